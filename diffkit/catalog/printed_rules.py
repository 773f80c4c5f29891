"""Update rules as the lecture texts print them, against the papers they name.

The ledger (`catalog.lectures`) asks about one formula of such a row; here the whole rule runs for
three updates against the paper's.  A slip is refuted with a counterexample, and the rule with
the slip mended is judged again.

Growth: a printed rule is one `PrintedRule`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from diffkit.catalog.optimisers import DOMAINS, ROWS, VALUES, OptimiserRow
from diffkit.core.verdict import Verdict
from diffkit.symbolic.update_rule import UpdateRule
from diffkit.verify.updates import check_updates


@dataclass(frozen=True)
class PrintedRule:
    """One rule of a lecture.

    Args:
        id: Its row of the ledger.
        says: The row in a few words.
        rule: The lines as printed.
        named: The optimiser the lecture names: an `OptimiserRow`.
        mended: Line -> the right side it should have; {} where nothing is wrong.
        mended_at: Where the gradient should be taken, None where the place is right.
        mend: The slip in words, "" where nothing is wrong.
        adopted: Lines of the paper as the lecture may also write them (where epsilon stands).
        given: Hyper-parameter of the paper -> what the lecture calls it.
        slope: The gradient as a formula in `w` where its place matters.
        is_really: Name of the optimiser that a wrong rule is, "" if it is none.
    """

    id: str
    says: str
    rule: UpdateRule
    named: str
    mended: Mapping[str, str] = field(default_factory=dict)
    mended_at: str | None = None
    mend: str = ""
    adopted: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    slope: str | None = None
    is_really: str = ""

    @property
    def repaired(self) -> UpdateRule:
        """The rule with its slip mended."""
        return self.rule.changed(self.mended, at=self.mended_at)


@dataclass(frozen=True)
class PrintedClaim:
    """What the judge says of a printed rule.

    Args:
        row: The rule.
        printed: Verdict on "it is the rule of the paper it names".
        repaired: The same after the repair; None where nothing is wrong.
        paper: Whether it is so without `adopted`; None where nothing was adopted.
        really: Verdict on "it is the rule of `is_really`", or None.
    """

    row: PrintedRule
    printed: Verdict
    repaired: Verdict | None = None
    paper: Verdict | None = None
    really: Verdict | None = None


def printed_claims() -> tuple[PrintedClaim, ...]:
    """Judge the rules that the lectures print."""
    return tuple(judge_printed(row) for row in PRINTED)


def judge_printed(row: PrintedRule) -> PrintedClaim:
    """Judge one printed rule, its repair and what else it may be."""
    paper = _paper(row.named)
    meant = paper.rule.changed(row.adopted)
    repaired = row.repaired if row.mend else row.rule
    return PrintedClaim(
        row,
        _ask(row, row.rule, meant),
        _ask(row, repaired, meant) if row.mend else None,
        _ask(row, repaired, paper.rule) if row.adopted else None,
        _ask(row, row.rule, _paper(row.is_really).rule) if row.is_really else None,
    )


def _paper(name: str) -> OptimiserRow:
    return next(row for row in ROWS if row.name == name)


def _ask(row: PrintedRule, rule: UpdateRule, meant: UpdateRule) -> Verdict:
    given = {name: text for name, text in row.given.items() if name in meant.hyper}
    curvature = {} if row.slope is None else {"h": 0.75}
    values = {**VALUES, **curvature}
    return check_updates(
        rule, meant, values, domain=DOMAINS, slope=row.slope, given=given, with_repair=False
    )


_FIRST = "m = b1*m + (1 - b1)*g"
_SECOND = "v = b2*v + (1 - b2)*g**2"
_MEAN_SQUARE = "v = rho*v + (1 - rho)*g**2"

PRINTED: tuple[PrintedRule, ...] = (
    PrintedRule(
        "F0-45",
        "momentum is an exponential average of gradients",
        UpdateRule(("v = b*v + (1 - b)*g", "w = w - a*v")),
        "momentum",
        given={"a": "(1 - b)*a"},
    ),
    PrintedRule(
        "F0-50",
        "Adagrad divides by G, the sum of squares",
        UpdateRule(("G = G + g**2", "w = w - a*g/G")),
        "Adagrad",
        mended={"w": "w - a*g/sqrt(G)"},
        mend="the root of G divides",
        given={"eps": "0"},
    ),
    PrintedRule(
        "F0-51",
        "Adagrad's G is a decaying average",
        UpdateRule(("G = rho*G + (1 - rho)*g**2", "w = w - a*g/sqrt(G)")),
        "Adagrad",
        mended={"G": "G + g**2"},
        mend="G is the sum",
        given={"eps": "0"},
        is_really="RMSProp",
    ),
    PrintedRule(
        "F0-52",
        "RMSProp divides by the root of a moving average of squares",
        UpdateRule((_MEAN_SQUARE, "w = w - a*g/sqrt(v)")),
        "RMSProp",
    ),
    PrintedRule(
        "F0-53",
        "Adam has two moving averages and a bias correction",
        UpdateRule((_FIRST, _SECOND, "w = w - a*(m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps)")),
        "Adam",
    ),
    PrintedRule(
        "F4-48",
        "momentum adds mu times the last step",
        UpdateRule(("v = -a*g + b*v", "w = w + v")),
        "momentum",
    ),
    PrintedRule(
        "F4-49",
        "Nesterov looks at w - mu v and moves by the velocity before",
        UpdateRule(("w = w + v", "v = b*v - a*g"), at="w - b*v"),
        "Nesterov",
        mended={"w": "w + b*v - a*g"},
        mended_at="w + b*v",
        mend="the look-ahead is w + mu v, and w moves by the new velocity",
        slope="h*w",
    ),
    PrintedRule(
        "F4-50",
        "Adagrad with epsilon under the root",
        UpdateRule(("A = A + g**2", "w = w - a*g/sqrt(A + eps)")),
        "Adagrad",
        adopted={"w": "w - a*g/sqrt(G + eps)"},
    ),
    PrintedRule(
        "F4-51",
        "RMSProp with epsilon under the root",
        UpdateRule(("A = rho*A + (1 - rho)*g**2", "w = w - a*g/sqrt(A + eps)")),
        "RMSProp",
        adopted={"w": "w - a*g/sqrt(v + eps)"},
    ),
    PrintedRule(
        "F4-52",
        "Adam feeds the corrected moments back",
        UpdateRule(
            (
                "m = (b1*m + (1 - b1)*g)/(1 - b1**t)",
                "v = (b2*v + (1 - b2)*g**2)/(1 - b2**t)",
                "w = w - a*m/sqrt(v + eps)",
            )
        ),
        "Adam",
        mended={
            "m": "b1*m + (1 - b1)*g",
            "v": "b2*v + (1 - b2)*g**2",
            "w": "w - a*(m/(1 - b1**t))/sqrt(v/(1 - b2**t) + eps)",
        },
        mend="the moments are corrected in the step, not in the memory",
        adopted={"w": "w - a*(m/(1 - b1**t))/sqrt(v/(1 - b2**t) + eps)"},
    ),
)
