"""Judge a claim about scalars given as formulas: prove it, or find where it fails.

Three witnesses that share no rule: the closed form (symbolic differentiation), germs of
balls evaluated on the target itself (rigorous), and high-precision difference quotients.
A proof comes from normal forms; a refutation from disjoint enclosures confirmed by a second
group at doubled precision; agreement of the enclosures without a proof is "supported".
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice

from diffkit.core.domain import Domain
from diffkit.core.errors import (
    CertificateError,
    DiffkitError,
)
from diffkit.core.evidence import Evidence
from diffkit.core.verdict import Status, Verdict
from diffkit.symbolic.layout import show
from diffkit.symbolic.prove import Proof, prove_equal
from diffkit.verify import repair, reproducer
from diffkit.verify.points import Point, points
from diffkit.verify.question import Expr, Question, evaluated, walk
from diffkit.verify.reading import (
    Reading,
    around,
    confirm,
    display,
    floats,
    gap,
    number,
    read_point,
    where,
)

BUDGET = {"fast": 48, "full": 400}
#: A claim without a proof needs this many judged points to be called supported.
FEWEST_POINTS = 8
#: Points at which a proof is put before the rigorous witness as well.
CROSS_CHECKS = 8
#: Ends of branches that are put before it besides, the other variables as at so many points.
MOST_BRANCHES, BASES = 48, 6
#: Points at which agreement without a proof is looked at again, and with how many bits.
CLOSER_POINTS, CLOSER_LADDER = 4, (1024, 2048)


def judge(
    question: Question, *, seed: int = 0, budget: str = "fast", with_repair: bool = True
) -> Verdict:
    """Judge an equality of formulas.

    Args:
        question: Both sides, read.
        seed: Seed of the random points.
        budget: "fast" or "full": how many points.
        with_repair: Whether to search a repair of a refuted claim.
    """
    quantity = question.quantity
    chosen = points(question.domains, given=question.claim.points, seed=seed, count=BUDGET[budget])
    proof = proven(question, quantity, question.claimed)
    if proof.status == "equal":
        return _proved(question, proof, chosen, with_repair)
    readings: list[Reading] = []
    for point in chosen:
        reading = read_point(question, point)
        readings.append(reading)
        if reading.outcome == "disagrees":
            evidence = confirm(question, quantity, reading)
            if evidence is not None:
                judged = len(readings)
                return _refuted(question, quantity, reading, evidence, judged, with_repair)
            readings[-1] = replace(reading, outcome="unsure", note="no second witness confirms")
    return _looked_closer(question, quantity, proof, readings, with_repair)


def _looked_closer(
    question: Question,
    quantity: Expr,
    proof: Proof,
    readings: list[Reading],
    with_repair: bool,
) -> Verdict:
    """Ask again, far more precisely, about sides that agree without a proof.

    Two sides may differ by less than the first enclosures are wide; a claim known to be
    different is never supported by the points at which it is close.
    """
    near = [reading.point for reading in readings if reading.outcome == "agrees"]
    if proof.witness is not None and set(proof.witness) == set(question.domains):
        near.insert(0, {name: Fraction(value) for name, value in proof.witness.items()})
    for point in near[:CLOSER_POINTS]:
        reading = read_point(question, point, CLOSER_LADDER)
        if reading.outcome != "disagrees":
            continue
        evidence = confirm(question, quantity, reading, tuple(2 * bits for bits in CLOSER_LADDER))
        if evidence is not None:
            judged = len(readings) + 1
            return _refuted(question, quantity, reading, evidence, judged, with_repair)
        readings.append(replace(reading, outcome="unsure", note="no second witness confirms"))
    verdict = _unproved(question, proof, readings)
    if proof.status != "different":
        return verdict
    scope = f"no second witness confirms that the sides differ: {proof.scope}"
    return replace(verdict, status="undecided", scope=scope)


def proven(
    question: Question,
    quantity: Expr,
    claimed: Expr,
    domains: Mapping[str, Domain] | None = None,
) -> Proof:
    """Compare normal forms where the target itself is real: elsewhere it has no derivative."""
    within = evaluated(question.target, question.domains) if question.order else None
    return prove_equal(quantity, claimed, domains or question.domains, within=within)


def _proved(
    question: Question, proof: Proof, chosen: Iterator[Point], with_repair: bool
) -> Verdict:
    """Report a proof after the rigorous witness has been heard on it."""
    heard: list[Reading] = []
    branches = list(islice(branch_points(question), MOST_BRANCHES))
    for place, point in enumerate(chain(branches, chosen)):
        reading = read_point(question, point)
        if reading.outcome == "disagrees" and not _is_kink(reading):
            evidence = confirm(question, question.quantity, reading)
            if evidence is not None and _has_branches(question):
                return _refuted(question, question.quantity, reading, evidence, 1, with_repair)
            if all(
                read_point(question, near).outcome == "agrees" for near in around(question, point)
            ):
                alone = replace(reading, note="the claim holds around it")
                return _refuted_at_kink(question, alone, with_repair=False)
            raise CertificateError(
                f"a proof of {question.statement!r} ({proof.method}) is contradicted by ball "
                f"arithmetic at {where(point)}; please report this formula"
            )
        if reading.outcome == "disagrees":
            return _refuted_at_kink(question, reading, with_repair)
        heard.append(reading)
        if place >= len(branches) and sum(r.outcome == "agrees" for r in heard) >= CROSS_CHECKS:
            break
    if not any(reading.outcome == "agrees" for reading in heard):
        return replace(
            _unproved(question, proof, heard),
            scope="the target has no finite value at any judged point; give domain= or points=",
        )
    if proof.jumps and not question.order:
        # Two programs that differ at a jump are two programs, and nothing was shown there.
        left_out = " or ".join(f"{show(place)} = 0" for place in proof.jumps)
        beside = replace(proof, method=f"{proof.method}, but nothing was shown where {left_out}")
        return _unproved(question, beside, heard)
    return Verdict(
        claim=question.claim,
        status="proved",
        statement=question.statement,
        scope=_scope(question, proof, heard),
        evidence=(
            Evidence("normal forms", "closed form", "agrees", note=proof.method),
            *_summary(heard),
        ),
        assumptions=(*question.notes, *_assumptions(heard)),
        latex=_latex(question),
    )


def branch_points(question: Question) -> Iterator[Point]:
    """Where a branch of a side ends: a proof of equal normal forms leaves these points out.

    A claim about values has them at the branches of both sides, x == 7 among them; a derivative
    only at those of the claim, as the target's own are kinks, where it may have none.
    """
    conditions = dict.fromkeys(filter(_is_condition, _branching(question)))
    for base in points(question.domains, count=BASES):  # not at 0 alone, where much is equal
        for condition in conditions:
            for name, place in _borders(condition, base):
                if question.domains[name].contains(place):
                    yield {**base, name: place}


def _branching(question: Question) -> Iterator[Expr]:
    """The nodes of the sides whose branches count."""
    sides = (question.claimed,) if question.order else (question.claimed, question.target)
    return chain.from_iterable(map(walk, sides))


def _is_condition(node: Expr) -> bool:
    return getattr(node, "is_Relational", False)


def _borders(node: Expr, base: Point) -> Iterator[tuple[str, Fraction]]:
    """A symbol and where the two sides of a condition meet in it, the others as at `base`."""
    sides = node.args[0] - node.args[1]
    symbols: list[Expr] = sorted(sides.free_symbols, key=str)
    for symbol in symbols:
        alone = sides.subs({s: base[s.name] for s in symbols if s != symbol})
        poly = alone.as_poly(symbol) if alone.is_polynomial(symbol) else None
        if (
            poly is not None
            and poly.degree() == 1
            and all(c.is_Rational for c in poly.all_coeffs())
        ):
            place = -poly.coeff_monomial(1) / poly.LC()
            yield symbol.name, Fraction(int(place.p), int(place.q))


def _has_branches(question: Question) -> bool:
    return any(node.func.__name__ == "Piecewise" for node in _branching(question))


def _is_kink(reading: Reading) -> bool:
    return "kink" in reading.note or "convention" in reading.note


def _refuted_at_kink(question: Question, reading: Reading, with_repair: bool) -> Verdict:
    """The claim is right away from the kink and wrong at it, by the convention asked for."""
    evidence = [
        Evidence(
            "germs of balls",
            "rigorous",
            "disagrees",
            floats(reading.point),
            value=display(reading.shown),
            claimed=display(reading.claimed),
            note=reading.note,
        )
    ]
    return _refuted(question, question.quantity, reading, evidence, 1, with_repair)


def _refuted(
    question: Question,
    quantity: Expr,
    reading: Reading,
    evidence: list[Evidence],
    judged: int,
    with_repair: bool,
) -> Verdict:
    found = repair.find(question, quantity) if with_repair else None
    narrower = _narrower(question, quantity, with_repair)
    said = _said(reading)
    if reading.note:
        said = f"{said} ({reading.note})"
    if narrower:
        said = f"{said}; the claim {narrower}"
    return Verdict(
        claim=question.claim,
        status="refuted",
        statement=question.statement,
        scope=f"fails at the point shown ({judged} points judged)",
        evidence=tuple(evidence),
        counterexample={name: number(value) for name, value in reading.point.items()},
        contradiction=f"at {where(reading.point)}: {said}" if reading.point else said,
        diagnosis=narrower or (found.edit if found else None),
        repair=found,
        reproducer=reproducer.lines(question, reading.point),
        latex=_latex(question),
    )


def _narrower(question: Question, quantity: Expr, is_wanted: bool) -> str | None:
    """The half line of one symbol on which the claim does hold, in words."""
    for name, domain in question.domains.items() if is_wanted else ():
        for side in ("positive", "negative"):
            if not domain.is_real_line:
                continue
            narrowed = {**question.domains, name: Domain.parse(side)}
            try:
                proof = proven(question, quantity, question.claimed, narrowed)
            except DiffkitError:
                continue
            if proof.status == "equal":
                return f"holds for {side} {name}"
    return None


def _said(reading: Reading) -> str:
    """Both values in words, and how far they are apart where seven digits do not show it."""
    claimed, true = display(reading.claimed), display(reading.shown)
    if reading.claimed is None or reading.shown is None:
        return f"claimed {claimed}, true {true}"
    digits = f"{reading.claimed.value:.7g}"
    if digits != f"{reading.shown.value:.7g}":
        return f"claimed {claimed}, true {true}"
    distance = gap(reading.shown, reading.claimed)
    # one of them may be a fraction, 4/5 beside 0.8, which does not read as another number
    both = (claimed, true) if claimed == true else (digits, digits)
    return f"claimed {both[0]}, true {both[1]}, which differ by {distance:.1e}"


def _unproved(question: Question, proof: Proof, readings: list[Reading]) -> Verdict:
    """No proof and no counterexample: supported if enough points were judged."""
    agreeing = sum(reading.outcome == "agrees" for reading in readings)
    unsure = sum(reading.outcome == "unsure" for reading in readings)
    enough = agreeing >= min(FEWEST_POINTS, 1 if not question.domains else FEWEST_POINTS)
    status: Status = "supported" if enough and unsure <= agreeing // 4 else "undecided"
    outside = sum(reading.outcome == "out of domain" for reading in readings)
    scope = (
        f"enclosures agree at {agreeing} of {len(readings)} points"
        f"{f', {outside} outside the domain' if outside else ''}"
        f"{f', {unsure} unsure' if unsure else ''}; no proof: {proof.method}"
    )
    return Verdict(
        claim=question.claim,
        status=status,
        statement=question.statement,
        scope=scope,
        evidence=_summary(readings),
        assumptions=(*question.notes, *_assumptions(readings)),
        latex=_latex(question),
    )


def is_contradicted(question: Question, candidate: Expr) -> bool:
    """Whether `candidate` in place of the claim fails at one of the simplest points."""
    asked = replace(question, claimed=candidate)
    simplest = points(asked.domains, given=question.claim.points, count=2 * CROSS_CHECKS)
    return any(read_point(asked, point).outcome == "disagrees" for point in simplest)


def supports(question: Question, candidate: Expr, *, count: int = 128) -> bool:
    """Whether enclosures agree with `candidate` in place of the claim, at `count` points."""
    asked = replace(question, claimed=candidate)
    outcomes = [read_point(asked, point).outcome for point in points(asked.domains, count=count)]
    return "disagrees" not in outcomes and outcomes.count("agrees") >= FEWEST_POINTS


def _scope(question: Question, proof: Proof, heard: list[Reading]) -> str:
    where = ", ".join(
        f"{name} {domain}" for name, domain in question.domains.items() if not domain.is_real_line
    )
    parts = [proof.scope, f"for {where}" if where else ""]
    if proof.error_probability:
        parts.append(f"identity test, error probability below {proof.error_probability:.1e}")
    agreeing = sum(reading.outcome == "agrees" for reading in heard)
    parts.append(f"ball arithmetic agrees at {agreeing} of {len(heard)} points")
    return "; ".join(part for part in parts if part)


def _summary(readings: list[Reading]) -> tuple[Evidence, ...]:
    """One row for the points that agree, one for each of the first that were set aside."""
    agreeing = [reading for reading in readings if reading.outcome == "agrees"]
    rows = []
    if agreeing:
        first = agreeing[0]
        rows.append(
            Evidence(
                "germs of balls",
                "rigorous",
                "agrees",
                floats(first.point),
                value=display(first.shown),
                claimed=display(first.claimed),
                note=f"and at {len(agreeing) - 1} further points" if len(agreeing) > 1 else "",
            )
        )
    aside = [reading for reading in readings if reading.outcome in ("unsure", "out of domain")]
    rows += [
        Evidence(
            "germs of balls", "rigorous", reading.outcome, floats(reading.point), note=reading.note
        )
        for reading in aside[:3]
    ]
    return tuple(rows)


def _assumptions(readings: list[Reading]) -> tuple[str, ...]:
    kinks = [reading for reading in readings if reading.note.startswith("kink")]
    return tuple(f"at {where(reading.point)}: {reading.note}" for reading in kinks[:3])


def _latex(question: Question) -> str:
    target = show(question.target, "latex")
    if question.order == 0:
        return f"{target} = {show(question.claimed, 'latex')}"
    name = show(question.wrt, "latex")
    power = f"^{{{question.order}}}" if question.order > 1 else ""
    return (
        rf"\frac{{\mathrm{{d}}{power}}}{{\mathrm{{d}}{name}{power}}} \left({target}\right)"
        f" = {show(question.claimed, 'latex')}"
    )
