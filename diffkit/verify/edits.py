"""The closed list of edits that turn a wrong claim into a candidate repair.

An edit knows the claim and the formula the claim is about, never the right answer: it
proposes, the judge compares.  Cheap and likely edits come first, so the first candidate
that survives is also the simplest explanation.  Expressions are handled through their own
`func` and `args`; this layer does not import SymPy.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

from diffkit.symbolic.differentiate import derivative

Expr = Any
Path = tuple[int, ...]

FACTORS = (2, 3, 4)
MOST_CANDIDATES = 6000
MOST_QUANTITIES = 40
_BINDERS = frozenset({"Sum", "Product", "Integral"})


@dataclass(frozen=True)
class Candidate:
    """One edited claim.

    Args:
        words: The edit's name with places for `parts`; most candidates are never named.
        expr: The new expression.
        parts: Expressions the name mentions.
    """

    words: str
    expr: Expr
    parts: tuple[Expr, ...] = ()

    @property
    def edit(self) -> str:
        """The edit's name in words."""
        return self.words.format(*(_worded(part) for part in self.parts))


def _worded(part: Any) -> str:
    """An expression inside a sentence, a sum in parentheses."""
    return f"({part})" if getattr(part, "is_Add", False) else str(part)


@dataclass(frozen=True)
class Subject:
    """What an edit may look at.

    Args:
        claim: The wrong claim.
        target: The formula it is a derivative of; the claim itself when it is about a value,
            for then the target is the right answer.
        wrt: The variable, or None.
        symbols: Every symbol of the question.
    """

    claim: Expr
    target: Expr
    wrt: Expr | None
    symbols: tuple[Expr, ...] = ()


def candidates(subject: Subject) -> Iterator[Candidate]:
    """Yield every distinct edited claim, simplest edits first, at most `MOST_CANDIDATES`."""
    seen = {subject.claim}
    for edit in EDITS:
        for candidate in edit(subject):
            if candidate.expr in seen:
                continue
            seen.add(candidate.expr)
            yield candidate
            if len(seen) > MOST_CANDIDATES:
                return


def sign(subject: Subject) -> Iterator[Candidate]:
    """The whole claim has the wrong sign."""
    yield Candidate("sign", -subject.claim)


def sign_of_term(subject: Subject) -> Iterator[Candidate]:
    """One term of a sum, at any depth, has the wrong sign."""
    for path, node in nodes(subject.claim):
        if not node.is_Add:
            continue
        for term in node.args:
            yield Candidate(
                "sign of the term {}", replace_at(subject.claim, path, node - 2 * term), (term,)
            )


def factor(subject: Subject) -> Iterator[Candidate]:
    """The whole claim lacks or carries a number, or a symbol of the problem."""
    for number in FACTORS:
        yield Candidate("factor {}", subject.claim * number, (number,))
        yield Candidate("factor 1/{}", subject.claim / number, (number,))
    for symbol in _symbols(subject):
        yield Candidate("missing factor {}", subject.claim * symbol, (symbol,))
        yield Candidate("missing 1/{}", subject.claim / symbol, (symbol,))
    for number in FACTORS[:1]:
        yield Candidate("factor -{}", -subject.claim * number, (number,))
        yield Candidate("factor -1/{}", -subject.claim / number, (number,))


def chain_factor(subject: Subject) -> Iterator[Candidate]:
    """The derivative of one inner function of the target was forgotten, or applied twice."""
    if subject.wrt is None:
        return
    for inner in _inner_functions(subject.target):
        for argument in inner.args if not inner.is_Piecewise else ():
            rate = derivative(argument, subject.wrt)
            if rate not in (0, 1):
                yield Candidate("missing chain factor {}", subject.claim * rate, (rate,))
                yield Candidate("extra chain factor {}", subject.claim / rate, (rate,))
        if inner.has(subject.wrt):
            outer = _outer_rates(inner)
            for rate in outer:
                yield Candidate("missing chain factor {}", subject.claim * rate, (rate,))
                yield Candidate("extra chain factor {}", subject.claim / rate, (rate,))


def dropped_factor(subject: Subject) -> Iterator[Candidate]:
    """A product, at any depth, carries a factor too many or lacks a symbol."""
    for path, node in nodes(subject.claim):
        if node.is_Mul:
            for part in node.args:
                yield Candidate(
                    "extra factor {}", replace_at(subject.claim, path, node / part), (part,)
                )
                yield Candidate(
                    "inverse of the factor {}",
                    replace_at(subject.claim, path, node / part**2),
                    (part,),
                )
    quantities = [q for q in _quantities(subject) if not q.is_Function]
    for path, node in nodes(subject.claim):
        if path and (node.is_Mul or node.is_Symbol or node.is_Function):
            for symbol in quantities:
                yield Candidate(
                    "missing factor {} in {}",
                    replace_at(subject.claim, path, node * symbol),
                    (symbol, node),
                )


def dropped_term(subject: Subject) -> Iterator[Candidate]:
    """The derivative of one term of the target is missing, or one term is too many."""
    for missing in _terms_of_rules(subject):
        yield Candidate("missing term {}", subject.claim + missing, (missing,))
    for path, node in nodes(subject.claim):
        if node.is_Add:
            for term in node.args:
                yield Candidate(
                    "extra term {}", replace_at(subject.claim, path, node - term), (term,)
                )


def _terms_of_rules(subject: Subject) -> Iterator[Expr]:
    """What the sum rule and the product rule contribute one by one, at any depth of sums."""
    if subject.wrt is None:
        return
    stack = [subject.target]
    while stack:
        node = stack.pop()
        if node.is_Add:
            stack.extend(node.args)
        factors = node.args if node.is_Mul else ()
        for part in factors:
            rate = derivative(part, subject.wrt, notes=[])
            if rate != 0:
                yield node / part * rate
            if part.is_Add:  # a constant times a sum
                stack.extend(node / part * term for term in part.args)
        whole = derivative(node, subject.wrt, notes=[]) if node != subject.target else 0
        if whole != 0:
            yield whole


def complement(subject: Subject) -> Iterator[Candidate]:
    """A factor u stands where 1 - u belongs (the lost minus of `u(1 u)`)."""
    for path, node in nodes(subject.claim):
        if node.is_Number:
            continue
        yield Candidate(
            "lost minus: 1 - {} for {}", replace_at(subject.claim, path, 1 - node), (node, node)
        )
        if node.is_Pow and node.exp == 2:
            yield Candidate(
                "lost minus: 1 - {} for {}",
                replace_at(subject.claim, path, node.base * (1 - node.base)),
                (node.base, node.base),
            )


def operator(subject: Subject) -> Iterator[Candidate]:
    """A plus or minus sign of the page was lost: a product stands for a sum or difference."""
    for path, node in nodes(subject.claim):
        if not node.is_Mul or len(node.args) > 6:
            continue
        for size in range(1, len(node.args)):
            for chosen in combinations(node.args, size):
                left = node.func(*chosen)
                right = node / left
                yield Candidate(
                    "lost minus: {} - {}",
                    replace_at(subject.claim, path, left - right),
                    (left, right),
                )
                yield Candidate(
                    "lost plus: {} + {}",
                    replace_at(subject.claim, path, left + right),
                    (left, right),
                )


def power(subject: Subject) -> Iterator[Candidate]:
    """An exponent is off: n for n - 1, a square for its base, a missing root or reciprocal."""
    for path, node in nodes(subject.claim):
        if node.is_Pow:
            base, exponent = node.base, node.exp
            for new in (exponent - 1, exponent + 1, -exponent, exponent / 2, exponent * 2):
                yield Candidate(
                    "power {} of {} for {}",
                    replace_at(subject.claim, path, base**new),
                    (new, base, exponent),
                )
        elif node.is_Symbol or node.is_Function or node.is_Add:
            yield Candidate(
                "missing square root of {}",
                replace_at(subject.claim, path, node ** Fraction(1, 2)),
                (node,),
            )
            yield Candidate(
                "missing square of {}", replace_at(subject.claim, path, node**2), (node,)
            )
            yield Candidate("inverse of {}", replace_at(subject.claim, path, 1 / node), (node,))
    yield Candidate("inverse", 1 / subject.claim)


def number(subject: Subject) -> Iterator[Candidate]:
    """A whole number is off by one, or has the wrong sign."""
    for path, node in nodes(subject.claim):
        if node.is_Integer:
            for new in (node + 1, node - 1, -node):
                yield Candidate("{} for {}", replace_at(subject.claim, path, new), (new, node))


def index(subject: Subject) -> Iterator[Candidate]:
    """A summation index, or its exponent, is shifted by one or by a symbol."""
    for path, node in nodes(subject.claim):
        if node.func.__name__ not in ("Sum", "Product"):
            continue
        body, limits = node.args[0], node.args[1:]
        counter = limits[0].args[0]
        outside = sorted((node.free_symbols | subject.target.free_symbols) - {counter}, key=str)
        for shift in (*outside, 1):
            for new in (counter - shift, counter + shift):
                moved = node.func(body.xreplace({counter: new}), *limits)
                yield Candidate(
                    "index {} for {}", replace_at(subject.claim, path, moved), (new, counter)
                )
        for place in (1, 2):
            before = limits[0].args[place]
            for bound in (before + 1, before - 1, *_symbols(subject)):
                ends = list(limits[0].args)
                if bound in (counter, before):
                    continue
                ends[place] = bound
                moved = node.func(body, limits[0].func(*ends))
                yield Candidate(
                    "summation from {} to {}",
                    replace_at(subject.claim, path, moved),
                    (ends[1], ends[2]),
                )


def exchange(subject: Subject) -> Iterator[Candidate]:
    """One quantity of the problem stands where another belongs (z for a, one index for another)."""
    known = _quantities(subject)
    symbols = _symbols(subject)
    for first, second in combinations(symbols, 2):
        swapped = subject.claim.xreplace({first: second, second: first})
        yield Candidate("{} and {} exchanged", swapped, (first, second))
    for path, node in nodes(subject.claim):
        for other in symbols if node.is_Number or not path else known:
            if other != node:
                yield Candidate("{} for {}", replace_at(subject.claim, path, other), (other, node))
    yield from _exchange_partial_sums(subject, known)


def function(subject: Subject) -> Iterator[Candidate]:
    """A function of the target was applied once too often or once too seldom."""
    wrappers = {
        node.func for _, node in nodes(subject.target) if node.is_Function and len(node.args) == 1
    }
    for path, node in nodes(subject.claim):
        if node.is_Function and len(node.args) == 1:
            yield Candidate(
                "{} for {}", replace_at(subject.claim, path, node.args[0]), (node.args[0], node)
            )
        if not node.is_Number:
            for wrapper in sorted(wrappers, key=str):
                yield Candidate(
                    "{} for {}",
                    replace_at(subject.claim, path, wrapper(node)),
                    (wrapper(node), node),
                )


#: Simplest and likeliest first.
EDITS: tuple[Callable[[Subject], Iterator[Candidate]], ...] = (
    sign,
    sign_of_term,
    factor,
    chain_factor,
    complement,
    operator,
    dropped_factor,
    dropped_term,
    power,
    number,
    index,
    exchange,
    function,
)


def nodes(expr: Expr, path: Path = ()) -> Iterator[tuple[Path, Expr]]:
    """Every subexpression of `expr` with the path of argument positions that leads to it."""
    if hasattr(expr, "as_coeff_Mul"):  # an expression, not a condition or the pair of a Piecewise
        yield path, expr
    # the limits of a sum bind their index: only the summand is a place to edit
    arguments = expr.args[:1] if expr.func.__name__ in _BINDERS else expr.args
    for position, argument in enumerate(arguments):
        yield from nodes(argument, (*path, position))


def replace_at(expr: Expr, path: Path, new: Expr) -> Expr:
    """`expr` with the subexpression at `path` replaced by `new`."""
    if not path:
        return new
    position, *rest = path
    arguments = list(expr.args)
    arguments[position] = replace_at(arguments[position], tuple(rest), new)
    return expr.func(*arguments)


def _exchange_partial_sums(subject: Subject, known: list[Expr]) -> Iterator[Candidate]:
    """The same for a quantity whose terms SymPy has merged into a longer sum: y - (w*a + b)."""
    sums = [quantity for quantity in known if quantity.is_Add]
    for path, node in nodes(subject.claim):
        if not node.is_Add:
            continue
        for part in sums:
            for rest, sign_ in ((node - part, 1), (node + part, -1)):
                if len(_terms(rest)) != len(node.args) - len(part.args):
                    continue
                for other in known:
                    if other != part:
                        yield Candidate(
                            "{} for {}",
                            replace_at(subject.claim, path, rest + sign_ * other),
                            (other, part),
                        )


def _terms(expr: Expr) -> tuple[Expr, ...]:
    if expr == 0:
        return ()
    return expr.args if expr.is_Add else (expr,)


def _quantities(subject: Subject) -> list[Expr]:
    """The named quantities of a problem: its symbols, and subexpressions of both sides."""
    found: dict[Expr, None] = dict.fromkeys(_symbols(subject))
    for source in (subject.target, subject.claim):
        for _, node in nodes(source):
            if node.is_Symbol or node.is_Function or node.is_Add:
                found[node] = None
    return list(found)[:MOST_QUANTITIES]


def _symbols(subject: Subject) -> list[Expr]:
    free = subject.target.free_symbols | subject.claim.free_symbols | set(subject.symbols)
    return sorted(free, key=str)


def _inner_functions(expr: Expr) -> list[Expr]:
    found = {node: None for _, node in nodes(expr) if node.is_Function or node.is_Pow}
    return list(found)


def _outer_rates(inner: Expr) -> list[Expr]:
    """g'(u) for g(u), when g has a derivative rule."""
    return [inner.fdiff(1)] if inner.is_Function and len(inner.args) == 1 else []
