"""`derive`: the closed form of a derivative, the steps that lead to it, and the evidence for it.

Text and SymPy never import JAX: their certificate compares the result with a difference quotient
at 40 digits.  A JAX function is lifted first; its certificate compares the lowered formula with
`jax.jvp` of the function itself in float64 (`bridge.derive_function`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy as sp

from diffkit.bridge.formula import Formula, Wrt
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.verdict import plain
from diffkit.symbolic import steps as symbolic_steps
from diffkit.symbolic.certificate import Certificate as Compared
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.derivation import Derivation as Written
from diffkit.symbolic.derivation import Step
from diffkit.symbolic.gradient import gradient
from diffkit.symbolic.layout import show
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS
from diffkit.tensor.notation.scalar_latex import latex_or_text
from diffkit.tensor.steps import ArrayDerivation, ArrayStep

SCHEMA = "diffkit.derivation/1"
_FLAT = (sp.floor, sp.ceiling, sp.sign, sp.Heaviside, FUNCTIONS["step"])


@dataclass(frozen=True)
class Certificate:
    """The numeric evidence that a derived form is right.

    Args:
        points: Name -> value, one mapping per point.
        error: The largest disagreement, relative.
        bound: What it was allowed to be.
        route: The independent way the other value was obtained.
        notes: Constants read as exact numbers, what was left out.
    """

    points: tuple[Mapping[str, Any], ...]
    error: float
    bound: float
    route: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{len(self.points)} points, {self.route}: error {self.error:.0e} <= {self.bound:.0e}"
        )


@dataclass(frozen=True, repr=False)
class Derivation:
    """A derivative: formula, steps, certificate, and a compiled function.

    Args:
        target: What was differentiated.
        wrt: Name of the variable, or a tuple of names.
        order: Order of the derivative.
        formula: The closed form; a tuple when `wrt` is one, a pytree when it names one.
        certificate: Numeric evidence from an independent route.
        written: One derivation in steps per variable; computed when they are asked for.
        of_leaves: Makes a program of the formula's inputs one of the target's arguments.
    """

    target: Formula
    wrt: str | tuple[str, ...]
    order: int
    formula: Any
    certificate: Certificate
    written: Callable[[], tuple[Written | ArrayDerivation, ...]] = field(repr=False)
    of_leaves: Callable[[Callable[..., Any]], Callable[..., Any]] = field(
        default=lambda program: program, repr=False
    )

    @cached_property
    def derivations(self) -> tuple[Written | ArrayDerivation, ...]:
        """The derivation in steps, one per variable."""
        return self.written()

    @property
    def steps(self) -> tuple[Step | ArrayStep, ...]:
        """Every step in order; those of the first variable come first."""
        return tuple(step for each in self.derivations for step in each)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know about the result."""
        found = (note for each in self._formulas for note in each.notes)
        return tuple(dict.fromkeys((*found, *self.certificate.notes)))

    @property
    def _formulas(self) -> tuple[Formula, ...]:
        if isinstance(self.formula, Formula):
            return (self.formula,)
        if isinstance(self.formula, tuple) and all(isinstance(f, Formula) for f in self.formula):
            return self.formula
        import jax

        return tuple(jax.tree.leaves(self.formula))

    @property
    def _variables(self) -> tuple[str, ...]:
        return self.wrt if isinstance(self.wrt, tuple) else (self.wrt,)

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        import jax

        from diffkit.bridge.lower import lower

        if isinstance(self.formula, Formula):
            return self.of_leaves(jax.jit(lower(self.formula)))
        tree, program = jax.tree.structure(self.formula), jax.jit(lower(self._formulas))
        return self.of_leaves(lambda *args, **kwargs: tree.unflatten(program(*args, **kwargs)))

    def compile(self) -> Callable[..., Any]:
        """The lowered and jitted closed form, a function of the target's arguments."""
        return self._compiled

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the closed form at the target's arguments."""
        return self._compiled(*args, **kwargs)

    def text(self) -> str:
        """The numbered steps, then the result."""
        return "\n\n".join(each.text() for each in self.derivations)

    def markdown(self) -> str:
        """The steps as a nested list with formulas in dollar signs."""
        return "\n\n".join(each.markdown() for each in self.derivations)

    def latex(self, style: str = "matrix", *, steps: bool = False) -> str:
        """The result, or with `steps` the whole derivation, in LaTeX."""
        if steps:
            return "\n".join(each.latex() for each in self.derivations)
        return r" \\ ".join(each.latex(style) for each in self._formulas)

    def to_html(self) -> str:
        """The result and its steps as a self-contained HTML fragment, formulas as MathML."""
        return "\n".join(each.html() for each in self.derivations)

    def to_dict(self) -> dict[str, Any]:
        """The derivation as plain data, with a schema version."""
        certificate = self.certificate
        return {
            "schema": SCHEMA,
            "target": str(self.target),
            "wrt": list(self._variables),
            "order": self.order,
            "result": [_source(each) for each in self._formulas],
            "latex": [each.latex() for each in self._formulas],
            "steps": [
                dict(zip(("rule", "before", "after"), (step.rule, *step.sides()), strict=True))
                for step in self.steps
            ],
            "notes": list(self.notes),
            "certificate": {
                "points": plain(
                    [{k: _number(v) for k, v in p.items()} for p in certificate.points]
                ),
                "error": certificate.error,
                "bound": certificate.bound,
                "route": certificate.route,
            },
        }

    def __str__(self) -> str:
        pairs = zip(self._variables, self._formulas, strict=True)
        if not isinstance(self.wrt, tuple):
            return str(self.formula)
        return "\n".join(f"d/d{name} = {formula}" for name, formula in pairs)

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        return self.to_html()


def derive(
    target: str | sp.Basic | Formula | Callable[..., Any],
    *args: Any,
    wrt: Wrt | tuple[Wrt, ...] | None = None,
    order: int = 1,
    assume: Mapping[str, str | Domain] | None = None,
    domain: str | Mapping[str, str | Domain] | None = None,
    conventions: Mapping[str, float] | None = None,
    **kwargs: Any,
) -> Derivation:
    """Derive the closed form of a derivative.

    Args:
        target: Formula text, LaTeX of numbers, a SymPy expression, a `Formula`, or a JAX function.
        *args: Example arguments of a function (values, or `jax.ShapeDtypeStruct`).
        wrt: Name or position of the variable, or a tuple of them; a function's default is its
            first argument, a formula's its only symbol.
        order: Order of the derivative, >= 1.
        assume: Name -> declared domain of an argument.
        domain: Where the certificate draws its points: a domain for the only variable, or
            name -> domain.
        conventions: Values of a derivative at a kink, for example {"relu0": 1}.
        **kwargs: Arguments of the function by name; what is no array stays fixed.

    Raises:
        UsageError: several symbols without `wrt`, arguments given to a formula, a target that is
            piecewise constant or a statement, an input of whole numbers.
        UnsupportedPrimitive: the function holds an equation without a row.
        UnsupportedFunction: a function has no rule of differentiation.
        CertificateError: the result failed its own check (a defect of diffkit).

    >>> print(derive("log(1 + exp(-x))"))
    σ(x) − 1
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise UsageError(f"the order must be a whole number >= 1, not {order!r}")
    if callable(target) and not isinstance(target, Formula | sp.Basic):
        from diffkit.bridge.derive_function import derive_function

        declared = {**dict(assume or {})}
        return derive_function(target, args, kwargs, wrt, order, declared, domain, conventions)
    if args or kwargs:
        raise UsageError(
            "example arguments belong to a JAX function; a formula needs none "
            f"(got {len(args) + len(kwargs)}). Is wrt= meant?"
        )
    formula = read(target)
    names = pick(formula, wrt)
    domains = read_domains(formula.names, domain, assume)
    return _derive_expression(formula, names, order, domains, conventions)


def read(target: str | sp.Basic | Formula) -> Formula:
    """A target that is no function as a `Formula`.

    Raises:
        UsageError: it is something else.
    """
    if isinstance(target, Formula):
        return target
    if isinstance(target, str):
        found = latex_or_text(target)
        return Formula.from_text(found) if isinstance(found, str) else Formula.from_sympy(found)
    if isinstance(target, sp.Basic):
        return Formula.from_sympy(target)
    raise UsageError(
        f"cannot derive a {type(target).__name__}; give text, a SymPy expression, a Formula or a "
        "JAX function"
    )


def pick(formula: Formula, wrt: Wrt | tuple[Wrt, ...] | None) -> str | tuple[str, ...]:
    """The names `wrt` stands for; a tuple stays one.

    Raises:
        UsageError: no or an unknown variable; the message lists the known ones.
    """
    if isinstance(wrt, tuple):
        if not wrt:
            raise UsageError("wrt is an empty tuple; name at least one variable")
        return tuple(formula.input(each).name for each in wrt)
    return formula.input(wrt).name


def read_domains(
    names: tuple[str, ...],
    domain: str | Domain | Mapping[str, str | Domain] | None,
    assume: Mapping[str, str | Domain] | None = None,
) -> dict[str, Domain]:
    """Name -> domain from `assume=` and `domain=`; the latter counts where both are given.

    Raises:
        UsageError: an unknown name, or one domain for several variables.
    """
    if isinstance(domain, str | Domain):
        if len(names) != 1:
            listed = ", ".join(names)
            raise UsageError(f'domain= needs names, as {{"{names[0]}": "(0, 1)"}}; known: {listed}')
        domain = {names[0]: domain}
    given = {**dict(assume or {}), **dict(domain or {})}
    unknown = sorted(given.keys() - set(names))
    if unknown:
        raise UsageError(f"domain names {', '.join(unknown)}; the symbols are {', '.join(names)}")
    return {name: Domain.parse(text) for name, text in given.items()}


def write_steps(
    expr: sp.Basic,
    names: str | tuple[str, ...],
    order: int,
    domains: Mapping[str, Domain],
    conventions: Mapping[str, float] | None,
) -> tuple[Written, ...]:
    """One derivation in steps per variable."""
    each = names if isinstance(names, tuple) else (names,)
    return tuple(
        symbolic_steps.derive_steps(
            expr, symbol(name), order=order, conventions=conventions, domains=domains
        )
        for name in each
    )


def refuse_flat(expr: sp.Basic, result: sp.Basic, name: str) -> None:
    """Refuse a target whose derivative is zero only because it is piecewise constant.

    Raises:
        UsageError: it is.
    """
    flat = sorted({type(node).__name__ for node in expr.atoms(*_FLAT) if node.has(symbol(name))})
    if result == 0 and flat:
        raise UsageError(
            f"{show(expr)} is piecewise constant in {name} ({', '.join(flat)}): its derivative is "
            "0 where it exists, so there is nothing to derive; differentiate a smooth surrogate"
        )


def refuse_statement(expr: sp.Basic) -> None:
    """Refuse an equation or inequality.

    Raises:
        UsageError: `expr` is true or false.
    """
    if isinstance(expr, sp.logic.boolalg.Boolean) and not isinstance(expr, sp.Symbol):
        raise UsageError(
            f"{show(expr)} is a statement, not a function; derive one of its sides, or check it"
        )


def _derive_expression(
    target: Formula,
    names: str | tuple[str, ...],
    order: int,
    domains: Mapping[str, Domain],
    conventions: Mapping[str, float] | None,
) -> Derivation:
    expr = target.sympy()
    refuse_statement(expr)
    if isinstance(names, tuple) and order == 1:
        partials = gradient(
            expr, [symbol(name) for name in names], conventions=conventions, domains=domains
        )
        results = tuple(partials[symbol(name)] for name in names)
        evidence = _compare(expr, names, results, domains)

        def written() -> tuple[Written, ...]:
            return write_steps(expr, names, order, domains, conventions)

        notes: tuple[str, ...] = ()
    else:
        derivations = write_steps(expr, names, order, domains, conventions)
        results = tuple(each.result for each in derivations)
        evidence = _merge(tuple(each.certificate for each in derivations))
        notes = tuple(note for each in derivations for note in each.notes)

        def written() -> tuple[Written, ...]:
            return derivations

    for name, result in zip(names if isinstance(names, tuple) else (names,), results, strict=True):
        refuse_flat(expr, result, name)
    formulas = tuple(target.with_expression(result, notes) for result in results)
    formula = formulas if isinstance(names, tuple) else formulas[0]
    return Derivation(target, names, order, formula, evidence, written)


def _compare(
    expr: sp.Basic,
    names: tuple[str, ...],
    results: tuple[sp.Basic, ...],
    domains: Mapping[str, Domain],
) -> Certificate:
    """Compare partial derivatives with difference quotients at one point each."""
    parts = []
    for name, result in zip(names, results, strict=True):
        before = sp.Derivative(expr, symbol(name)) if expr.has(symbol(name)) else sp.S.Zero
        parts.append(certify(before, result, domains=domains, points=1, digits=25))
    return _merge(tuple(parts))


def _merge(parts: tuple[Compared, ...]) -> Certificate:
    """Several comparisons as one certificate, the worst error and the widest bound."""
    return Certificate(
        points=tuple(point for part in parts for point in part.points),
        error=max(part.error for part in parts),
        bound=max(part.bound for part in parts),
        route="difference quotient at 40 digits",
    )


def _source(formula: Formula) -> str:
    """The formula as text that diffkit reads back."""
    return str(formula.sympy()) if formula.is_elementwise else str(formula)


def _number(value: Any) -> Any:
    return float(value) if hasattr(value, "numerator") else value
