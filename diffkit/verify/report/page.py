"""The report: one HTML file with verdicts, evidence, error curves and computational graphs.

Native MathML and inline SVG, one inline script that a content security policy names by its
hash, no address of any other file: the page works from a disk without network.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib import metadata, resources
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.core.verdict import SEVERITY, Verdict
from diffkit.verify.report.judged import Judged
from diffkit.verify.report.section import badge, section
from diffkit.verify.report.writing import text

#: Verdicts whose graph, error curve and derivation are computed, the worst first.
MOST_DETAILED = 12
#: Up to this many verdicts every section is unfolded.
MOST_OPEN = 3
TITLE = "diffkit report"


def report(
    verdicts: Verdict | Judged | Sequence[Verdict | Judged],
    f: Any = None,
    *args: Any,
    title: str = TITLE,
    allow_none: bool = False,
    **kwargs: Any,
) -> str:
    """Write verdicts as one self-contained HTML page.

    Args:
        verdicts: One verdict or several; `Judged` brings the function with it.
        f: The function one verdict is about, with the arguments it was judged with; needed when
            it can be found neither as text nor by an import, or the verdict was read from data.
        *args: Example arguments of `f`.
        title: Title of the page.
        allow_none: Whether an empty list makes a page without verdicts instead of an error.
        **kwargs: Arguments of `f` by name.

    Returns:
        The text of the file; write it with UTF-8.

    Raises:
        UsageError: no verdict, something that is none, or a function for several verdicts.

    >>> from diffkit.verify.check import check
    >>> page = report(check("x**2", "2*x"))
    >>> page.startswith("<!doctype html>"), "proved" in page
    (True, True)
    """
    entries = [] if allow_none and _is_empty(verdicts) else _entries(verdicts, f, args, kwargs)
    detailed = _worst_first(entries)[:MOST_DETAILED]
    sections = [
        section(
            judged,
            place,
            is_detailed=place in detailed,
            is_open=len(entries) <= MOST_OPEN or (not judged.verdict.ok and place in detailed),
        )
        for place, judged in enumerate(entries, start=1)
    ]
    body = f"<main>{_header(entries, str(title))}{''.join(sections)}</main>"
    return document(str(title), body, asset("report.css"), asset("report.js"))


def _is_empty(verdicts: Any) -> bool:
    return isinstance(verdicts, list | tuple) and not verdicts


def _entries(verdicts: Any, f: Any, args: Sequence[Any], kwargs: Any) -> list[Judged]:
    single = isinstance(verdicts, Verdict | Judged)
    try:
        listed = [verdicts] if single else list(verdicts)
    except TypeError:
        listed = [verdicts]
    strangers = [each for each in listed if not isinstance(each, Verdict | Judged)]
    if strangers or not listed:
        found = type(strangers[0]).__name__ if strangers else "an empty list"
        raise UsageError(
            f"a report is made of verdicts, not of {found}; give what check or verify returned"
        )
    if f is not None:
        if not single or isinstance(verdicts, Judged):
            raise UsageError(
                "a function belongs to one verdict; for several give "
                "[Judged(verdict, f, args), ...]"
            )
        return [Judged(verdicts, f, args, kwargs)]
    if args or kwargs:
        raise UsageError("arguments need their function: report(verdict, f, *args)")
    return [each if isinstance(each, Judged) else Judged(each) for each in listed]


def _worst_first(entries: Sequence[Judged]) -> list[int]:
    """Places of the verdicts, from 1: the worst status first, then those with findings."""

    def key(place: int) -> tuple[int, bool, int]:
        verdict = entries[place - 1].verdict
        return SEVERITY.index(verdict.status), not verdict.findings, place

    return sorted(range(1, len(entries) + 1), key=key)


def _header(entries: Sequence[Judged], title: str) -> str:
    counts = Counter(judged.verdict.status for judged in entries)
    found = sum(len(judged.verdict.findings) for judged in entries)
    words = "finding" if found == 1 else "findings"
    badges = "".join(
        f"<li>{counts[status]} {badge(status)}</li>" for status in SEVERITY if counts[status]
    )
    lead = (
        f"<header><p class='brand'>diffkit <span>a derivative is a claim</span></p>"
        f"<h1>{text(title)}</h1><ul class='counts'>{badges}<li>{found} {words}</li></ul></header>"
    )
    return lead + (_contents(entries, counts) if len(entries) > 1 else "")


def _contents(entries: Sequence[Judged], counts: Counter) -> str:
    items = "".join(
        f"<li data-status='{judged.verdict.status}'><a href='#verdict-{place}'>"
        f"{badge(judged.verdict.status)} {text(judged.verdict.statement, 120)}</a></li>"
        for place, judged in enumerate(entries, start=1)
    )
    choices = "".join(
        f"<button type='button' data-filter='{status}' aria-pressed='false'>{status}</button>"
        for status in SEVERITY
        if counts[status]
    )
    filters = (
        "<div class='filters' role='group' aria-label='show verdicts'>"
        f"<button type='button' data-filter='' aria-pressed='true'>all</button>{choices}</div>"
        if len(counts) > 1
        else ""
    )
    return f"<nav aria-label='verdicts'>{filters}<ol>{items}</ol></nav>"


def document(title: str, body: str, style: str, script: str) -> str:
    """A whole HTML file: nothing is loaded, and only the script given may run.

    Args:
        title: Title of the page.
        body: HTML between the body tags, escaped by who wrote it.
        style: Style sheet.
        script: Script; the content security policy names it by its hash.
    """
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta name="generator" content="diffkit {escape(_version())}">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def asset(name: str, package: str = "diffkit.verify.report") -> str:
    """A style sheet or script of a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _version() -> str:
    try:
        return metadata.version("diffkit")
    except metadata.PackageNotFoundError:
        return "(not installed)"
