"""Index equations: how 0/1 arrays `Affine` vanish from a product.

An equation between two labels renames one of them; an equation that fixes a label nobody else
carries is summed away; two equations over one such label become one; an equation in mixed radix
(i n + j = i' n + j') splits.  Every rule is exact for the ranges of the labels at hand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import gcd

Terms = tuple[tuple[int, int], ...]  # (label, coefficient), labels distinct, coefficients not 0


@dataclass(frozen=True)
class Equation:
    """sum of coefficient * index of label, plus offset, is 0 ("=") or not negative (">=").

    Args:
        terms: (label, coefficient) pairs, sorted by label.
        offset: The constant.
        relation: "=" or ">=".
    """

    terms: Terms
    offset: int
    relation: str

    @classmethod
    def of(
        cls, labels: Sequence[int], coefficients: Sequence[int], offset: int, relation: str
    ) -> "Equation":
        """The equation of an `Affine` whose axes carry `labels`; equal labels are added up."""
        total: dict[int, int] = {}
        for label, coefficient in zip(labels, coefficients, strict=True):
            total[label] = total.get(label, 0) + coefficient
        terms = tuple(sorted((label, c) for label, c in total.items() if c))
        return cls(terms, offset, relation).oriented()

    def oriented(self) -> "Equation":
        """An equation with a positive first coefficient; inequalities stay."""
        if self.relation == "=" and self.terms and self.terms[0][1] < 0:
            flipped = tuple((label, -c) for label, c in self.terms)
            return Equation(flipped, -self.offset, "=")
        return self

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels that count."""
        return tuple(label for label, _ in self.terms)

    def renamed(self, before: int, after: int) -> "Equation":
        """The equation with one label for another."""
        names = [after if label == before else label for label, _ in self.terms]
        return Equation.of(names, [c for _, c in self.terms], self.offset, self.relation)

    def span(self, sizes: dict[int, int]) -> tuple[int, int]:
        """The smallest and largest value of the left-hand side over all indices."""
        low = high = self.offset
        for label, c in self.terms:
            end = c * (sizes[label] - 1)
            low, high = low + min(0, end), high + max(0, end)
        return low, high

    def verdict(self, sizes: dict[int, int]) -> bool | None:
        """True or False where it holds for all indices or for none, else None."""
        low, high = self.span(sizes)
        if self.relation == ">=":
            return True if low >= 0 else (False if high < 0 else None)
        if low > 0 or high < 0:
            return False
        return True if low == high == 0 else None

    def equal_labels(self, sizes: dict[int, int]) -> tuple[int, int] | None:
        """The two labels it says are equal, when it says just that."""
        if self.relation != "=" or self.offset or len(self.terms) != 2:
            return None
        (left, a), (right, b) = self.terms
        return (left, right) if a == -b and sizes[left] == sizes[right] else None

    def split(self, sizes: dict[int, int]) -> "tuple[Equation, ...]":
        """Equations that hold exactly when this one does, each with fewer labels.

        With A = the terms whose coefficients g divides and B the others, A + B = 0 and |B| < g
        force A = 0 and B = 0.
        """
        if self.relation != "=" or len(self.terms) < 2:
            return (self,)
        for g in sorted({abs(c) for _, c in self.terms if abs(c) > 1}, reverse=True):
            divided = tuple((label, c) for label, c in self.terms if c % g == 0)
            rest = tuple((label, c) for label, c in self.terms if c % g)
            if not divided or not rest:
                continue
            for offset in {self.offset - self.offset % g, self.offset - self.offset % g + g}:
                small = Equation(rest, self.offset - offset, "=")
                low, high = small.span(sizes)
                if -g < low and high < g:
                    return (
                        *Equation(divided, offset, "=").reduced().split(sizes),
                        *small.oriented().split(sizes),
                    )
        return (self.reduced(),)

    def reduced(self) -> "Equation":
        """Divide by the common factor of all coefficients, where it divides the offset."""
        common = gcd(*(c for _, c in self.terms), self.offset) if self.terms else 1
        if self.relation == "=" and common > 1:
            terms = tuple((label, c // common) for label, c in self.terms)
            return Equation(terms, self.offset // common, "=").oriented()
        return self.oriented()

    def is_solved_by(self, label: int, sizes: dict[int, int]) -> bool:
        """Whether for all other indices exactly one index of `label` fulfils the equation."""
        own = dict(self.terms)[label]
        if self.relation != "=" or abs(own) != 1:
            return False
        others = replace(self, terms=tuple(t for t in self.terms if t[0] != label))
        low, high = others.span(sizes)
        # own * k + rest = 0, so k = -own * rest
        low, high = (low, high) if own == -1 else (-high, -low)
        return low >= 0 and high < sizes[label]

    def count(self, sizes: dict[int, int]) -> int:
        """How many indices of its one label fulfil it."""
        ((label, c),) = self.terms
        values = (c * k + self.offset for k in range(sizes[label]))
        return sum(v == 0 if self.relation == "=" else v >= 0 for v in values)


@dataclass
class Indices:
    """What is left of a product's equations.

    Args:
        equations: Those that stay.
        renames: Label -> label, to be applied to every other factor.
        gone: Labels that vanished: renamed, or summed away with what `coefficient` says.
        coefficient: Factor from labels that were summed away; 0 when the product is zero.
    """

    equations: list[Equation]
    renames: dict[int, int]
    gone: set[int]
    coefficient: int = 1


def eliminate(
    equations: Iterable[Equation],
    out: Sequence[int],
    carried: Iterable[int],
    sizes: dict[int, int],
) -> Indices:
    """Remove the equations that rename, count or combine.

    Args:
        equations: The index equations of a product.
        out: Labels of the result.
        carried: Labels that other factors carry.
        sizes: Length of the axis behind every label.
    """
    state = Indices([], {}, set())
    pending = [part for equation in equations for part in equation.split(sizes)]
    outside, used = {label: place for place, label in enumerate(out)}, set(carried)
    while True:
        pending = _decided(pending, sizes, state)
        if state.coefficient == 0:
            return state
        step = (
            _rename(pending, outside, used, sizes, state)
            or _sum_away(pending, outside, used, sizes, state)
            or _combine(pending, outside, used, sizes, state)
            or _remove_bundle(pending, outside, used, sizes, state)
        )
        if not step:
            state.equations = sorted(set(pending), key=lambda e: (e.terms, e.offset, e.relation))
            return state


def _decided(pending: list[Equation], sizes: dict[int, int], state: Indices) -> list[Equation]:
    kept = []
    for given in dict.fromkeys(pending):
        # An axis of length 1 has the index 0.
        terms = tuple((label, c) for label, c in given.terms if sizes[label] > 1)
        equation = replace(given, terms=terms).oriented()
        verdict = equation.verdict(sizes)
        if verdict is False:
            state.coefficient = 0
        elif verdict is None:
            kept.append(equation)
    return kept


def _rename(
    pending: list[Equation],
    out: dict[int, int],
    used: set[int],
    sizes: dict[int, int],
    state: Indices,
) -> bool:
    """One label for two that are equal; a label of the result stays, the earlier one of two."""
    for equation in pending:
        pair = equation.equal_labels(sizes)
        if pair is None:
            continue
        keep, drop = pair
        if drop in out and out[drop] < out.get(keep, len(out)):
            keep, drop = drop, keep
        elsewhere = [e for e in pending if e is not equation and drop in e.labels]
        if drop in out:
            # Both stay in the result: the identity stays, everything else carries the first.
            if drop not in used and not elsewhere:
                continue
        else:
            pending.remove(equation)
            state.gone.add(drop)
            elsewhere = [e for e in pending if drop in e.labels]
        for other in elsewhere:
            pending.remove(other)
            pending.extend(other.renamed(drop, keep).split(sizes))
        for name, target in list(state.renames.items()):
            if target == drop:
                state.renames[name] = keep
        state.renames[drop] = keep
        if drop in used:
            used.discard(drop)
            used.add(keep)
        return True
    return False


def _sum_away(
    pending: list[Equation],
    out: dict[int, int],
    used: set[int],
    sizes: dict[int, int],
    state: Indices,
) -> bool:
    """A label that only one equation carries, and not the result."""
    for equation in pending:
        for label in equation.labels:
            alone = label not in out and label not in used
            if not alone or sum(label in e.labels for e in pending) > 1:
                continue
            if len(equation.terms) == 1:
                state.coefficient *= equation.count(sizes)
            elif not equation.is_solved_by(label, sizes):
                continue
            pending.remove(equation)
            state.gone.add(label)
            return True
    return False


def _combine(
    pending: list[Equation],
    out: dict[int, int],
    used: set[int],
    sizes: dict[int, int],
    state: Indices,
) -> bool:
    """Two equations over a label that nobody else carries: solve one, put it in the other."""
    for first in pending:
        for label in first.labels:
            if label in out or label in used:
                continue
            holders = [e for e in pending if label in e.labels]
            if len(holders) != 2 or not first.is_solved_by(label, sizes):
                continue
            (second,) = (e for e in holders if e is not first)
            own, there = dict(first.terms)[label], dict(second.terms)[label]
            # own*k + rest = 0 with own = +-1: k = -own*rest
            factor = -own * there
            labels = [l for l, _ in second.terms if l != label]
            coefficients = [c for l, c in second.terms if l != label]
            labels += [l for l, _ in first.terms if l != label]
            coefficients += [factor * c for l, c in first.terms if l != label]
            merged = Equation.of(
                labels, coefficients, second.offset + factor * first.offset, second.relation
            )
            pending.remove(first)
            pending.remove(second)
            state.gone.add(label)
            pending.extend(merged.split(sizes))
            return True
    return False


def _remove_bundle(
    pending: list[Equation],
    out: dict[int, int],
    used: set[int],
    sizes: dict[int, int],
    state: Indices,
) -> bool:
    """Several labels that count through a range as one: m + 8 n for all m < 8 and n.

    Where nobody else carries them, an equation that gives their number one value in the range is
    summed away; a second one over the same number takes that value.
    """
    holders: dict[int, list[int]] = {}
    for place, equation in enumerate(pending):
        for label in equation.labels:
            if label not in out and label not in used:
                holders.setdefault(label, []).append(place)
    for first, equation in enumerate(pending):
        if equation.relation != "=":
            continue
        for places in {tuple(holders[label]) for label in equation.labels if label in holders}:
            labels = [label for label in equation.labels if tuple(holders.get(label, ())) == places]
            value = _value_of_bundle(equation, labels, sizes)
            if value is None or len(labels) < 2 or len(places) > 2:
                continue
            merged = []
            if len(places) == 2:
                second = pending[places[1] if places[0] == first else places[0]]
                found = _with_bundle(second, equation, labels, value)
                if found is None:
                    continue
                merged = list(found.split(sizes))
            for held in [pending[place] for place in places]:
                pending.remove(held)
            pending.extend(merged)
            state.gone.update(labels)
            return True
    return False


def _value_of_bundle(
    equation: Equation, labels: Sequence[int], sizes: dict[int, int]
) -> tuple[Terms, int] | None:
    """What sum |c| k over the labels must be, where that always lies in their range.

    The coefficients must be those of a mixed radix: 1, n_1, n_1 n_2, ..., all of one sign.
    """
    own = sorted(
        ((c, label) for label, c in equation.terms if label in labels), key=lambda p: abs(p[0])
    )
    length = 1
    sign = 1 if own[0][0] > 0 else -1
    for c, label in own:
        if c != sign * length:
            return None
        length *= sizes[label]
    rest = tuple((label, -sign * c) for label, c in equation.terms if label not in labels)
    offset = -sign * equation.offset
    low, high = Equation(rest, offset, "=").span(sizes)
    return (rest, offset) if low >= 0 and high < length else None


def _with_bundle(
    second: Equation, first: Equation, labels: Sequence[int], value: tuple[Terms, int]
) -> Equation | None:
    """The second equation with the number of the bundle known; None where it is another number."""
    one, other = dict(first.terms), dict(second.terms)
    scale = other[min(labels, key=lambda label: abs(one[label]))]
    if any(other[label] != scale * abs(one[label]) for label in labels):
        return None
    terms, offset = value
    names = [label for label, _ in second.terms if label not in labels]
    coefficients = [c for label, c in second.terms if label not in labels]
    names += [label for label, _ in terms]
    coefficients += [scale * c for _, c in terms]
    return Equation.of(names, coefficients, second.offset + scale * offset, second.relation)
