"""The optimisers of Optax against the papers they cite.

A row holds the paper's lines as text and the dotted name of the Optax function; nothing here
answers the question.  `optimiser_claims` lifts the function for symbolic gradients and
hyper-parameters and has the judge compare three updates.  Where the two differ, the deviations are
listed, each as the lines it changes: with all of them Optax is proved to be the rule, and with
fewer it is refuted.

Growth: a rule is one `OptimiserRow`.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from diffkit.bridge.formula import Formula
from diffkit.core.errors import UnknownNameError
from diffkit.core.verdict import Verdict
from diffkit.symbolic.update_rule import UpdateRule
from diffkit.verify.updates import check_updates

Kind = Literal["epsilon", "start", "bias correction", "schedule", "learning rate", "variable"]

#: The first judged point; the proofs hold on the whole of `DOMAINS`.
VALUES: Mapping[str, float] = {
    "a": 1 / 8, "b": 1 / 2, "b1": 1 / 2, "b2": 3 / 4, "rho": 3 / 4, "eps": 1 / 16, "s": 1 / 4,
    "lam": 1 / 4,
}  # fmt: skip
DOMAINS: Mapping[str, str] = dict.fromkeys(("b", "b1", "b2", "rho"), "(0, 1)")


@dataclass(frozen=True)
class Deviation:
    """One thing in which a program differs from the paper.

    Args:
        kind: What it is about.
        says: The difference in words: what the program does.
        lines: Line -> its right side in the program; a new name is a new line.
        start: Memory -> its start in the program.
        at: Where the program takes the gradient, None where the paper does.
    """

    kind: Kind
    says: str
    lines: Mapping[str, str] = field(default_factory=dict)
    start: Mapping[str, str] = field(default_factory=dict)
    at: str | None = None


@dataclass(frozen=True)
class OptimiserRow:
    """A paper's rule and the program that cites it.

    Args:
        name: As the field calls it.
        rule: The paper's lines.
        source: Where they are printed.
        program: Dotted name of the function that builds the optimiser.
        arguments: Argument -> formula in the hyper-parameters.
        options: Arguments that are no numbers.
        deviations: What the program does otherwise; none where the two are equal.
        cure: Arguments with which the program is the paper's rule, {} if there are none needed
            or possible.
        cured: Hyper-parameter of the paper -> its value then ("0").
        cure_options: Arguments of the cure that are no numbers.
    """

    name: str
    rule: UpdateRule
    source: str
    program: str
    arguments: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    deviations: tuple[Deviation, ...] = ()
    cure: Mapping[str, str] = field(default_factory=dict)
    cured: Mapping[str, str] = field(default_factory=dict)
    cure_options: Mapping[str, Any] = field(default_factory=dict)

    def with_deviations(self, chosen: Iterable[Deviation]) -> UpdateRule:
        """The paper's rule with some of the deviations."""
        rule = self.rule
        for each in chosen:
            rule = rule.changed(each.lines, each.start, each.at)
        return rule

    def build(self, *, is_cured: bool = False) -> Callable[..., Any]:
        """A function of the hyper-parameters that builds the program's optimiser."""
        arguments = {**self.arguments, **(self.cure if is_cured else {})}
        options = {**self.options, **(self.cure_options if is_cured else {})}

        def make(**hyper: Any) -> Any:
            module, _, name = self.program.rpartition(".")
            values = {key: _value(text, hyper) for key, text in arguments.items()}
            return getattr(importlib.import_module(module), name)(**values, **options)

        return make

    @property
    def call(self) -> str:
        """The program's call that is the paper's rule, as code; "" where there is none."""
        if not (self.cure or self.cure_options):
            return ""
        words = [f"{key}={text}" for key, text in self.cure.items()]
        words += [f"{key}={value}" for key, value in self.cure_options.items()]
        return f"{self.program}({', '.join(words)})"


@dataclass(frozen=True)
class OptimiserClaim:
    """What the judge says of one row.

    Args:
        row: The row.
        paper: Verdict on "the program is the paper's rule".
        deviating: The same with all deviations; None where there are none.
        fewer: Verdicts with every proper, non-empty part of the deviations.
        cured: Verdict on "the call in `row.call` is the paper's rule"; None where there is none.
    """

    row: OptimiserRow
    paper: Verdict
    deviating: Verdict | None = None
    fewer: tuple[Verdict, ...] = ()
    cured: Verdict | None = None

    @property
    def is_located(self) -> bool:
        """Whether the deviations explain the difference, and no fewer of them do."""
        if self.deviating is None:
            return self.paper.ok
        refuted = (self.paper, *self.fewer)
        return self.deviating.ok and all(each.status == "refuted" for each in refuted)

    def __str__(self) -> str:
        lines = [f"{self.paper.status.upper():<9} {self.row.program} = {self.row.source}"]
        if self.paper.status == "refuted":
            lines.append(f"          {self.paper.contradiction}")
        lines += [f"deviation {each.kind}: {each.says}" for each in self.row.deviations]
        if self.deviating is not None:
            lines.append(f"          with the above {self.deviating.status.upper()}")
        if self.cured is not None:
            lines.append(f"paper's   {self.row.call}    {self.cured.status.upper()}")
        return "\n".join(lines)


def optimiser_claims(names: Iterable[str] | None = None) -> tuple[OptimiserClaim, ...]:
    """Judge the rows, all of them or those of some names.

    Raises:
        UnknownNameError: no row of that name.

    >>> print(optimiser_claims(["RMSProp"])[0])
    REFUTED   optax.rmsprop = Tieleman and Hinton (2012), lecture 6e
              at a = 1/8, eps = 1/16, g1 = 2, rho = 3/4, w = 1: claimed 3/4, true 0.7574644
    deviation epsilon: epsilon is added under the root
              with the above PROVED
    paper's   optax.rmsprop(eps=0)    PROVED
    """
    return tuple(judge_optimiser(row) for row in _chosen(names))


def judge_optimiser(row: OptimiserRow) -> OptimiserClaim:
    """Judge one row: the paper's rule, the rule with its deviations, with fewer, and the cure."""

    def ask(rule: UpdateRule, *, is_cured: bool = False) -> Verdict:
        given = row.cured if is_cured else {}
        return check_updates(
            row.build(is_cured=is_cured),
            rule,
            _values(row),
            domain=domains_of(_used(row)),
            given=given,
            with_repair=False,
        )

    fewer = [
        ask(row.with_deviations(chosen))
        for count in range(1, len(row.deviations))
        for chosen in combinations(row.deviations, count)
    ]
    return OptimiserClaim(
        row,
        ask(row.rule),
        ask(row.with_deviations(row.deviations)) if row.deviations else None,
        tuple(fewer),
        ask(row.rule, is_cured=True) if row.call else None,
    )


def _chosen(names: Iterable[str] | None) -> tuple[OptimiserRow, ...]:
    if names is None:
        return ROWS
    by_name = {row.name: row for row in ROWS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise UnknownNameError(f"no optimiser {unknown[0]!r}; known: {', '.join(by_name)}")
    return tuple(by_name[name] for name in names)


def _used(row: OptimiserRow) -> set[str]:
    """Hyper-parameters of the rule, of the program and of the deviations."""
    texts = [*row.arguments.values(), *row.cure.values()]
    from_program = {name for text in texts for name in Formula.from_text(text).names}
    return {*row.with_deviations(row.deviations).hyper, *row.rule.hyper, *from_program}


def _values(row: OptimiserRow) -> dict[str, float]:
    return {name: value for name, value in VALUES.items() if name in _used(row)}


def domains_of(names: Iterable[str]) -> dict[str, str]:
    """The domains of those of the hyper-parameters that are no positive numbers of any size."""
    return {name: DOMAINS[name] for name in names if name in DOMAINS}


def _value(text: str, hyper: Mapping[str, Any]) -> Any:
    """An argument of the program from its formula in the hyper-parameters."""
    if text in hyper:
        return hyper[text]
    formula = Formula.from_text(text)
    if not formula.names:
        return float(text)
    return formula.lower()(*(hyper[name] for name in formula.names))


_M = "m = b1*m + (1 - b1)*g"
_V = "v = b2*v + (1 - b2)*g**2"
_MEAN_SQUARE = "v = rho*v + (1 - rho)*g**2"
_ADAM_ARGUMENTS = {"learning_rate": "a", "b1": "b1", "b2": "b2", "eps": "eps"}
_RESCHEDULED = "b1*(1 - 0.96**({step}/250)/2)"

ROWS: tuple[OptimiserRow, ...] = (
    OptimiserRow(
        "SGD",
        UpdateRule(("w = w - a*g",)),
        "Robbins and Monro (1951)",
        "optax.sgd",
        {"learning_rate": "a"},
    ),
    OptimiserRow(
        "momentum",
        UpdateRule(
            ("here = w", "w = w - a*g + b*(w - before)", "before = here"), start={"before": "w"}
        ),
        "Polyak (1964)",
        "optax.sgd",
        {"learning_rate": "a", "momentum": "b"},
    ),
    OptimiserRow(
        "Nesterov",
        UpdateRule(("v = b*v - a*g", "w = w + v"), at="w + b*v"),
        "Nesterov (1983), as in Sutskever et al. (2013)",
        "optax.sgd",
        {"learning_rate": "a", "momentum": "b"},
        {"nesterov": True},
        deviations=(
            Deviation(
                "variable",
                "the parameter is the place x + b v at which the paper takes the gradient",
                {"x": "x + v", "w": "x + b*v"},
                {"x": "w"},
                "w",
            ),
        ),
    ),
    OptimiserRow(
        "Adagrad",
        UpdateRule(("G = G + g**2", "w = w - a*g/(eps + sqrt(G))")),
        "Duchi, Hazan and Singer (2011)",
        "optax.adagrad",
        {"learning_rate": "a", "eps": "eps", "initial_accumulator_value": "s"},
        deviations=(
            Deviation("start", "the sum of squares starts at 0.1, not at 0", start={"G": "s"}),
            Deviation("epsilon", "epsilon is added under the root", {"w": "w - a*g/sqrt(G + eps)"}),
        ),
        cure={"initial_accumulator_value": "0", "eps": "0"},
        cured={"eps": "0"},
    ),
    OptimiserRow(
        "Adadelta",
        UpdateRule(
            (
                _MEAN_SQUARE,
                "d = -sqrt(u + eps)/sqrt(v + eps)*g",
                "u = rho*u + (1 - rho)*d**2",
                "w = w + d",
            )
        ),
        "Zeiler (2012), algorithm 1",
        "optax.adadelta",
        {"learning_rate": "a", "rho": "rho", "eps": "eps"},
        deviations=(
            Deviation(
                "learning rate",
                "a learning rate multiplies the step, but not the step that is remembered",
                {"w": "w + a*d"},
            ),
        ),
        cure={"learning_rate": "1"},
    ),
    OptimiserRow(
        "RMSProp",
        UpdateRule((_MEAN_SQUARE, "w = w - a*g/sqrt(v)")),
        "Tieleman and Hinton (2012), lecture 6e",
        "optax.rmsprop",
        {"learning_rate": "a", "decay": "rho", "eps": "eps"},
        deviations=(
            Deviation("epsilon", "epsilon is added under the root", {"w": "w - a*g/sqrt(v + eps)"}),
        ),
        cure={"eps": "0"},
    ),
    OptimiserRow(
        "Adam",
        UpdateRule((_M, _V, "w = w - a*(m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps)")),
        "Kingma and Ba (2015), algorithm 1",
        "optax.adam",
        _ADAM_ARGUMENTS,
    ),
    OptimiserRow(
        "AdaMax",
        UpdateRule((_M, "u = Max(b2*u, Abs(g))", "w = w - a/(1 - b1**t)*m/u")),
        "Kingma and Ba (2015), algorithm 2",
        "optax.adamax",
        _ADAM_ARGUMENTS,
        deviations=(
            Deviation(
                "epsilon",
                "epsilon is added to the gradient's size",
                {"u": "Max(b2*u, Abs(g) + eps)"},
            ),
        ),
        cure={"eps": "0"},
    ),
    OptimiserRow(
        "Nadam",
        UpdateRule(
            (
                f"mu = {_RESCHEDULED.format(step='t')}",
                f"next = {_RESCHEDULED.format(step='(t + 1)')}",
                "p = p*mu",
                _M,
                _V,
                "w = w - a*(next*m/(1 - p*next) + (1 - mu)*g/(1 - p))/(sqrt(v/(1 - b2**t)) + eps)",
            ),
            start={"p": "1"},
        ),
        "Dozat (2015), as PyTorch and Keras document it",
        "optax.nadam",
        _ADAM_ARGUMENTS,
        deviations=(
            Deviation(
                "schedule", "the momentum is constant, not warmed up", {"mu": "b1", "next": "b1"}
            ),
        ),
    ),
    OptimiserRow(
        "AMSGrad",
        UpdateRule((_M, _V, "n = m", "u = Max(u, v)", "w = w - a*n/sqrt(u)")),
        "Reddi, Kale and Kumar (2018), algorithm 2",
        "optax.amsgrad",
        _ADAM_ARGUMENTS,
        deviations=(
            Deviation("bias correction", "the first moment is corrected", {"n": "m/(1 - b1**t)"}),
            Deviation(
                "bias correction",
                "the maximum is one of corrected second moments",
                {"u": "Max(u, v/(1 - b2**t))"},
            ),
            Deviation("epsilon", "epsilon is added to the root", {"w": "w - a*n/(sqrt(u) + eps)"}),
        ),
        cure={"eps": "0"},
        cure_options={"bias_correction_mu": False, "bias_correction_nu": False},
    ),
    OptimiserRow(
        "AdamW",
        UpdateRule((_M, _V, "w = w - (a*(m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps) + lam*w)")),
        "Loshchilov and Hutter (2019), algorithm 2",
        "optax.adamw",
        {**_ADAM_ARGUMENTS, "weight_decay": "lam"},
        deviations=(
            Deviation(
                "learning rate",
                "the decay is multiplied by the learning rate",
                {"w": "w - a*((m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps) + lam*w)"},
            ),
        ),
        cure={"weight_decay": "lam/a"},
    ),
    OptimiserRow(
        "Lion",
        UpdateRule(
            (
                "c = b1*m + (1 - b1)*g",
                "w = w - a*(sign(c) + lam*w)",
                "m = b2*m + (1 - b2)*g",
            )
        ),
        "Chen et al. (2023), algorithm 2",
        "optax.lion",
        {"learning_rate": "a", "b1": "b1", "b2": "b2", "weight_decay": "lam"},
    ),
)
