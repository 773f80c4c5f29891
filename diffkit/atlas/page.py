"""The atlas as one self-contained HTML page: every derivative, searchable, with what was found."""

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from math import isnan
from typing import Any

from diffkit.atlas.entry import Entry, Trap, place_of
from diffkit.atlas.survey import Atlas
from diffkit.numeric.ulps import FORMATS
from diffkit.verify.accuracy import CLASSES
from diffkit.verify.report.page import asset, document
from diffkit.verify.report.writing import number

TITLE = "Atlas of derivatives"
#: Choice of the page -> what it shows; a kind that is not here is shown by its own name.
KINDS = {
    "defect": "suspected defects",
    "kink": "kinks",
    "nan-gradient": "nan",
    "inf-gradient": "inf",
    "wrong-limit": "wrong limits",
    "silent-zero": "silent zeros",
    "cancellation": "cancellation",
    "overflow": "overflow",
    "domain-edge": "ends of domains",
    "missing-mode": "missing modes",
    "unstable": "unstable",
    "unfinished": "unfinished",
}


def page(atlas: Atlas, title: str = TITLE) -> str:
    """The text of the HTML file; it needs no network and no other file."""
    body = "".join(
        [
            "<main>",
            _header(atlas, title),
            _defects(atlas),
            _controls(atlas),
            "<div class='heads' aria-hidden='true'><span>derivative</span>",
            *(f"<span>{dtype}</span>" for dtype in FORMATS),
            "<span>found</span></div>",
            *(_row(entry) for entry in atlas.entries),
            _unlisted(atlas.unlisted),
            "</main>",
        ]
    )
    package = "diffkit.atlas"
    style = asset("report.css") + asset("atlas.css", package)
    return document(title, body, style, asset("atlas.js", package))


def _header(atlas: Atlas, title: str) -> str:
    functions = len({entry.name for entry in atlas.entries})
    versions = ", ".join(f"{name} {version}" for name, version in atlas.versions.items())
    defects = sum(bool(entry.defects) for entry in atlas.entries)
    return (
        "<header><p class='brand'>diffkit <span>a derivative is a claim</span></p>"
        f"<h1>{escape(title)}</h1><ul class='counts'><li>{len(atlas.entries)} derivatives</li>"
        f"<li>{functions} functions</li><li>{defects} with a suspected defect</li></ul>"
        f"<p class='aside'>{escape(versions)}; {escape(atlas.cpu)}. Errors are in units in the "
        "last place of the float format, against ball arithmetic or, where a row says so, "
        "differences: "
        f"{_legend()}. Of array functions they are those of the gradient at one point, relative "
        "to its largest entry.</p></header>"
    )


def _legend() -> str:
    words = {
        "accurate": "at most 16",
        "ill-conditioned": "what rounding the argument costs",
        "unstable": "digits lost by the formula",
        "wrong": "more than rounding explains",
    }
    return ", ".join(f"<span class='digits {k}'>{k}</span> {v}" for k, v in words.items())


def _defects(atlas: Atlas) -> str:
    """The suspected defects, each with its reproducer and who contradicts AD."""
    if not atlas.defects:
        return ""
    items = []
    for entry in atlas.defects:
        first = entry.defects[0]
        items.append(
            f"<li><a href='#{_anchor(entry)}'>{escape(entry.title)}</a>: {escape(first.message)}"
            f"{_said_by(first)}{_reproducer(first)}</li>"
        )
    return (
        f"<details><summary><h2>Suspected defects ({len(items)})</h2></summary>"
        "<p>The derivative exists, is finite and can be represented; with each stands who "
        "contradicts AD: ball arithmetic, at doubled precision too (rigorous), difference "
        "quotients in many digits (high precision) or in float64 (numerical), or the lifted "
        "formula (closed form).</p>"
        f"<ul class='traps'>{''.join(items)}</ul></details>"
    )


def _controls(atlas: Atlas) -> str:
    modules = Counter(entry.module for entry in atlas.entries)
    present = dict.fromkeys(tag for entry in atlas.entries for tag in tags(entry))
    kinds = [kind for kind in KINDS if kind in present]
    kinds += sorted(kind for kind in present if kind not in KINDS)
    words = {kind: KINDS.get(kind, kind.replace("-", " ")) for kind in kinds}
    return (
        "<div class='controls' role='search'>"
        "<label>function <input id='search' type='search' placeholder='press / to search'></label>"
        f"<label>module <select id='module'>{_options(modules)}</select></label>"
        "<label>with <select id='kind'>"
        f"{_choices(words)}</select></label>"
        "<output id='shown' aria-live='polite'></output></div>"
    )


def _options(modules: Mapping[str, int]) -> str:
    return _choices({name: f"{name} ({count})" for name, count in modules.items()})


def _choices(words: Mapping[str, str]) -> str:
    found = (f"<option value='{escape(k)}'>{escape(v)}</option>" for k, v in words.items())
    return "<option value=''>all</option>" + "".join(found)


def tags(entry: Entry) -> list[str]:
    """What a row can be filtered by: kinds of its traps, defects, modes, accuracy."""
    found = [trap.kind for trap in entry.traps]
    found += ["defect"] * bool(entry.defects)
    found += ["missing-mode"] * any(entry.modes.values())
    found += ["unstable"] * (entry.verdict in ("unstable", "wrong"))
    found += ["unfinished"] * bool(entry.unfinished)
    return list(dict.fromkeys(found))


def _anchor(entry: Entry) -> str:
    return escape(f"{entry.name}-{entry.argument}", quote=True)


def _row(entry: Entry) -> str:
    mine = tags(entry)
    short = entry.name.removeprefix(f"{entry.module}.")
    return (
        f"<details class='row' id='{_anchor(entry)}' data-name='{escape(entry.title.lower())}' "
        f"data-module='{escape(entry.module)}' data-tags='{' '.join(mine)}'><summary>"
        f"<span class='name'>{escape(short)} <span class='by'>by {escape(entry.argument)}, "
        f"{escape(entry.module)}</span></span>"
        f"{''.join(_digits(entry, dtype) for dtype in FORMATS)}"
        f"<span class='tags'>{_tags(entry)}</span></summary><div>{_details(entry)}</div></details>"
    )


def _digits(entry: Entry, dtype: str) -> str:
    """The worst error of AD in one format."""
    rows = [r for r in entry.accuracy if r["dtype"] == dtype and r["mode"] != "primal"]
    rows = [row for row in rows if row["points"]]
    if not rows:
        return "<span class='digits none'>–</span>"
    worst = max(rows, key=lambda row: (CLASSES.index(row["verdict"]), row["worst"]))
    said = f"{dtype}: {worst['verdict']}, median {worst['median']:.2g} ulp"
    return (
        f"<span><span class='digits {worst['verdict']}' title='{said}'>"
        f"{number(worst['worst'], 3)} ulp</span></span>"
    )


def _tags(entry: Entry) -> str:
    counts: dict[tuple[str, str], int] = {}
    for trap in entry.traps:
        key = ("defect", "defect") if trap.is_defect else (trap.kind, trap.severity)
        counts[key] = counts.get(key, 0) + 1 + trap.more
    found = [
        f"<span class='tag {severity}'>{escape(kind)} {count if count > 1 else ''}</span>"
        for (kind, severity), count in counts.items()
    ]
    missing = [mode for mode, reason in entry.modes.items() if reason]
    found += [f"<span class='tag warning'>no {mode} mode</span>" for mode in missing]
    found += ["<span class='tag'>unfinished</span>"] * bool(entry.unfinished)
    return "".join(found)


def _details(entry: Entry) -> str:
    parts = [f"<p><code>{escape(entry.call)}</code> {_asked(entry)}; {entry.seconds:g} s</p>"]
    parts += [
        f"<p>{escape(mode)} mode: {escape(reason)}</p>"
        for mode, reason in entry.modes.items()
        if reason
    ]
    if entry.traps:
        parts.append(f"<ul class='traps'>{''.join(map(_trap, entry.traps))}</ul>")
    measured = [row for row in entry.accuracy if row["points"]]
    if measured:
        parts.append(_accuracy_table(measured))
    parts += [f"<p class='aside'>unfinished: {escape(each)}</p>" for each in entry.unfinished]
    parts += [
        f"<p class='aside'>not asked: {escape(what)}: {escape(reason)}</p>"
        for what, reason in entry.skipped.items()
    ]
    return "".join(parts)


def _asked(entry: Entry) -> str:
    """How the derivative was examined."""
    if not entry.form:
        return "was not examined"
    form = "numbers" if entry.form == "elementwise" else "arrays"
    return f"asked as a function of {form}, held against {entry.truth}"


def _trap(trap: Trap) -> str:
    severity = "suspected defect" if trap.is_defect else trap.severity
    order = f", order {trap.order}" if trap.order > 1 else ""
    more = f" ({trap.more} more such points)" if trap.more else ""
    remedy = f"<br>remedy: {escape(trap.remedy)}" if trap.remedy else ""
    return (
        f"<li><strong>{escape(trap.kind)}</strong> ({severity}{order}, {escape(trap.dtype)}): "
        f"{escape(trap.message)}{more}{remedy}{_said_by(trap)}{_reproducer(trap)}</li>"
    )


def _said_by(trap: Trap) -> str:
    return f"<br>contradicted by: {', '.join(map(escape, trap.groups))}" if trap.groups else ""


def _reproducer(trap: Trap) -> str:
    return f"<pre><code>{escape(trap.reproducer)}</code></pre>" if trap.reproducer else ""


#: Head of a column -> key of an accuracy row.
_COLUMNS = {
    "median": "median",
    "worst": "worst",
    "of usual size": "scaled",
    "AD": "value",
    "truth": "truth",
    "condition": "condition",
    "undecided": "undecided",
}


def _accuracy_table(rows: Iterable[Mapping[str, Any]]) -> str:
    names = ("format", "mode", "verdict", "at", *_COLUMNS)
    heads = "".join(f"<th scope='col'>{name}</th>" for name in names)
    lines = "".join(
        f"<tr><td>{row['dtype']}</td><td>{row['mode']}</td>"
        f"<td><span class='digits {row['verdict']}'>{row['verdict']}</span></td>"
        f"<td>{escape(place_of(row))}</td>"
        + "".join(
            f"<td class='number'>{_figure(row.get(key, 0))}</td>" for key in _COLUMNS.values()
        )
        + "</tr>"
        for row in rows
    )
    return f"<div class='scroll'><table><thead><tr>{heads}</tr></thead>{lines}</table></div>"


def _figure(value: float) -> str:
    return "" if isnan(value) else number(value, 3)


def _unlisted(unlisted: Mapping[str, str]) -> str:
    if not unlisted:
        return ""
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(why)}</td></tr>"
        for name, why in unlisted.items()
    )
    return (
        f"<section><details><summary><h2>Without a derivative ({len(unlisted)})</h2></summary>"
        f"<div class='scroll'><table>{lines}</table></div></details></section>"
    )
