"""One verdict as a section of the page: what was asked, what was found, and why.

A part that does not apply says so in a sentence; a part that fails never takes the page with it.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.graph import computational_graph
from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError
from diffkit.core.evidence import Evidence
from diffkit.core.finding import Finding
from diffkit.core.verdict import Verdict
from diffkit.verify.report import error_curve, error_plot, graph_svg, statement
from diffkit.verify.report.judged import Judged
from diffkit.verify.report.writing import brief as brief_value
from diffkit.verify.report.writing import cut, number, table, text

#: What a part of the page may raise: it is told in its place.
FAILURES = (DiffkitError, *USER_ERRORS)
#: Rows of evidence and findings that are shown.
MOST_ROWS = 200
#: Characters of a heading.
MOST_HEADING = 150
#: Said in place of what is not computed.
SHORT = (
    "Graph, error curve and derivation are shown for the worst verdicts only; make a report of "
    "this verdict alone to see them."
)
SIGNS = {"proved": "✓", "supported": "✓", "refuted": "✗", "undecided": "?"}
MEANINGS = {
    "proved": "equal normal forms, or an identity test with a stated error probability",
    "supported": "every witness agrees within its error bound; no proof",
    "refuted": "disjoint rigorous enclosures, confirmed by a second group of witnesses",
    "undecided": "the witnesses do not decide it",
}
_OUTCOMES = {"agrees": "✓", "disagrees": "✗", "unsure": "?", "out of domain": "–", "failed": "–"}


def badge(status: str) -> str:
    """A status as word, sign and colour."""
    return (
        f"<span class='badge {status}' title='{escape(MEANINGS[status])}'>"
        f"<span aria-hidden='true'>{SIGNS[status]}</span> {status}</span>"
    )


def section(judged: Judged, place: int, *, is_detailed: bool, is_open: bool) -> str:
    """The section of one verdict.

    Args:
        judged: The verdict and what it is about.
        place: Its place on the page, from 1.
        is_detailed: Whether derivation, error curve and graph are computed.
        is_open: Whether it is unfolded at first.
    """
    verdict = judged.verdict
    parts = [_formula(judged, is_detailed), _facts(verdict), _contradiction(judged)]
    parts += [_reproducer(verdict), _findings(verdict)]
    if is_detailed:
        parts += [_graph(judged, place), _evidence(verdict), _errors(judged), _derivation(judged)]
    else:
        parts += [_evidence(verdict), f"<p class='aside'>{SHORT}</p>"]
    return (
        f"<section class='diffkit-verdict {verdict.status}' id='verdict-{place}' "
        f"data-status='{verdict.status}'><details{' open' if is_open else ''}>"
        f"<summary>{badge(verdict.status)}<h2>{text(_short_heading(verdict))}</h2></summary>"
        f"{''.join(parts)}</details></section>"
    )


def _heading(verdict: Verdict) -> str:
    return verdict.statement or f"{verdict.claim.verb} {verdict.claim.target}"


def _short_heading(verdict: Verdict) -> str:
    """The statement in about two lines; of a long one what stands before its formula."""
    whole = _heading(verdict)
    if len(whole) <= MOST_HEADING:
        return whole
    lead, colon, _ = whole.partition(": ")
    return lead if colon and len(lead) <= MOST_HEADING else cut(whole, MOST_HEADING)


def _formula(judged: Judged, is_detailed: bool) -> str:
    """The claim as a formula; of AD's own derivative, the closed form it was held against."""
    head = _head(judged)
    shown = statement.statement(judged.claim, head)
    if not shown and is_detailed and judged.claim.verb == "verify":
        try:
            shown = statement.derived(judged.claim, head, judged.derivation)
        except FAILURES:
            shown = ""  # the reason stands in the part about the derivation
    return f"<div class='formula'>{shown}</div>" if shown else ""


def _head(judged: Judged) -> statement.Head | None:
    """What the claim is about, as a formula; None where it cannot be found."""
    claim = judged.claim
    try:
        found = judged.target()[0]
        names = judged.subject().names if claim.kind != "value" else ()
    except FAILURES:
        return None
    if callable(found) and not hasattr(found, "free_symbols"):
        return statement.head_of_function(claim.target.rpartition(":")[2], names)
    return statement.head_of_text(claim.target, len(names))


def _facts(verdict: Verdict) -> str:
    rows = [("Target", f"<code>{text(verdict.claim.target)}</code>")]
    if _short_heading(verdict) != _heading(verdict):
        rows.append(("Statement", text(_heading(verdict), 1000)))
    if verdict.claim.claimed:
        rows.append(("Claimed", f"<code>{text(verdict.claim.claimed)}</code>"))
    if verdict.claim.wrt:
        order = f", order {verdict.claim.order}" if verdict.claim.order > 1 else ""
        rows.append(("Variable", f"<code>{text(verdict.claim.wrt)}</code>{order}"))
    if verdict.claim.domain:
        pairs = ", ".join(f"{name}: {where}" for name, where in verdict.claim.domain.items())
        rows.append(("Domain", text(pairs)))
    if verdict.scope:
        rows.append(("Scope", text(verdict.scope)))
    rows += [("Assumes", text(note)) for note in verdict.assumptions]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f"<dl class='facts'>{listed}</dl>"


def _contradiction(judged: Judged) -> str:
    """Counterexample, diagnosis and repair."""
    verdict = judged.verdict
    parts = []
    if verdict.contradiction:
        parts.append(f"<p>{text(verdict.contradiction)}</p>")
    elif verdict.counterexample:
        parts.append(f"<p>Counterexample: {_point(verdict.counterexample)}</p>")
    repair = verdict.repair
    if repair is not None:
        shown = statement.repaired(verdict.claim, _head(judged), repair.text)
        body = shown or f"<p><code>{text(repair.text)}</code></p>"
        scope = f" {text(repair.scope)}" if repair.scope else ""
        parts.append(
            f"<div class='repair'><h3>Repair</h3>{badge(repair.status)}{scope}"
            f"<div class='formula'>{body}</div><p>The edit: {text(repair.edit)}.</p></div>"
        )
    elif verdict.diagnosis:
        parts.append(f"<p>Diagnosis: {text(verdict.diagnosis)}</p>")
    return f"<div class='contradiction'>{''.join(parts)}</div>" if parts else ""


def _findings(verdict: Verdict) -> str:
    if not verdict.findings:
        return ""
    shown = verdict.findings[:MOST_ROWS]
    items = "".join(_finding(finding) for finding in shown)
    return f"<h3>Findings</h3><ul class='findings'>{items}</ul>{_rest(verdict.findings)}"


def _finding(finding: Finding) -> str:
    place = f"<p class='where'><code>{text(finding.where)}</code></p>" if finding.where else ""
    remedy = f"<p class='remedy'><b>Remedy</b> {text(finding.remedy)}</p>" if finding.remedy else ""
    facts = [finding.dtype] if finding.dtype else []
    if finding.order != 1:
        facts.append(f"order {finding.order}")
    return (
        f"<li class='{escape(finding.severity)}'><p><span class='kind'>{text(finding.kind)}</span> "
        f"<span class='severity'>{text(finding.severity)}</span> {text(finding.message)}"
        f"<span class='aside'> ({text(', '.join(facts))})</span></p>{place}{remedy}</li>"
    )


def _rest(rows: Sequence[Any]) -> str:
    left = len(rows) - MOST_ROWS
    return f"<p class='aside'>{left} more are in the JSON.</p>" if left > 0 else ""


def _evidence(verdict: Verdict) -> str:
    if not verdict.evidence:
        return ""
    heads = ("Witness", "Group", "Outcome", "Point", "Value", "Claimed", "Error", "Allowed")
    rows = [_row(row) for row in verdict.evidence[:MOST_ROWS]]
    return (
        "<h3>Evidence</h3>"
        + table("one row per witness", (*heads, "Precision", "Note"), rows)
        + _rest(verdict.evidence)
    )


def _row(row: Evidence) -> tuple[str, ...]:
    outcome = row.outcome.replace(" ", "-")
    allowed = ""
    if row.allowed is not None:
        parts = row.allowed.parts
        source = (
            f" <span>({text(max(parts, key=lambda name: parts[name]))})</span>" if parts else ""
        )
        allowed = f"<span>{number(row.allowed.value, 2)}</span>{source}"
    return (
        text(row.oracle),
        text(row.group),
        f"<span class='outcome {outcome}'>{_OUTCOMES[row.outcome]} {text(row.outcome)}</span>",
        _point(row.point),
        _value(row.value),
        _value(row.claimed),
        "" if row.error is None else number(row.error, 2),
        allowed,
        text(f"{row.dtype}{f', order {row.order}' if row.order != 1 else ''}"),
        text(row.note, 160),
    )


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<span class='number' title='{escape(repr(value))}'>{number(value, 7)}</span>"
    return text(value, 60)


def _point(point: Any) -> str:
    return ", ".join(
        f"<span>{text(name, 40)} = {_entry(value)}</span>" for name, value in dict(point).items()
    )


def _entry(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<span title='{escape(repr(value))}'>{number(value, 6)}</span>"
    if isinstance(value, list):
        try:
            return text(brief_value(value))
        except (TypeError, ValueError):  # rows of unequal length, of a saved file
            return text(value, 40)
    return text(value, 40)


def _reproducer(verdict: Verdict) -> str:
    if not verdict.reproducer:
        return ""
    return f"<h3>Reproducer</h3><pre><code>{text(verdict.reproducer, 4000)}</code></pre>"


def _told(title: str, make: Callable[[], str]) -> str:
    """A part with its heading, or the reason why it is left out."""
    try:
        body = make()
    except RecursionError:  # before the errors of users, of which it is one
        body = _left_out("the program is nested too deeply")
    except FAILURES as error:
        body = _left_out(str(error).strip().partition("\n")[0] or type(error).__name__)
    return f"<h3>{title}</h3>{body}"


def _left_out(reason: str) -> str:
    return f"<p class='aside'>Left out: {text(reason.rstrip('.'))}.</p>"


def _graph(judged: Judged, place: int) -> str:
    def make() -> str:
        what = judged.subject()
        leaves, where = judged.point(what)
        graph = computational_graph(what, leaves)
        return graph_svg.graph_figure(graph, place, what.name, f"{where}, in float64")

    return _told("The program, forward and in reverse", make)


def _errors(judged: Judged) -> str:
    def make() -> str:
        what = judged.subject()
        domain = judged.domains(what).get(what.variable, Domain())
        order = judged.claim.order
        curves = error_curve.error_curves(what, judged.point(what)[0], domain, order=order)
        return error_plot.plot(curves, f"error of AD for {what.name}")

    if judged.claim.kind == "value":
        return ""
    return _told("Error of AD over the domain", make)


def _derivation(judged: Judged) -> str:
    def make() -> str:
        html = judged.derivation.to_html()
        return (
            f"<div class='scroll' tabindex='0' role='region' aria-label='derivation'>{html}</div>"
        )

    return "" if judged.claim.kind in ("value", "function") else _told("Derivation", make)
