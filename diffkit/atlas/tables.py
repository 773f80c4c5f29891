"""The atlas as JSON, as text for a terminal, as Markdown, and in short for the paper."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from math import isfinite
from typing import Any

from diffkit.atlas.entry import SCHEMA, Entry, Trap, place_of
from diffkit.atlas.survey import Atlas
from diffkit.typeset.tables import aligned, markdown
from diffkit.verify.accuracy import CLASSES

#: So many functions are shown in full, more of them as a table.
MOST_IN_FULL = 2
#: The worst class of a derivative as an answer.
_ANSWERS = {
    "accurate": "AD is accurate at every point asked",
    "ill-conditioned": "AD loses digits only where the derivative itself is ill-conditioned",
    "unstable": "AD loses digits that the derivative has",
    "wrong": "AD is off by more than its rounding explains",
    "": "no accuracy was measured",
}
#: Traps listed in a terminal, per kind.
MOST_LISTED = 12


def to_data(atlas: Atlas) -> dict[str, Any]:
    """The whole atlas as plain data."""
    return {
        "schema": f"diffkit.atlas/{SCHEMA}",
        "versions": dict(atlas.versions),
        "cpu": atlas.cpu,
        "seconds": round(atlas.seconds, 1),
        "summary": summary(atlas),
        "derivatives": [asdict(entry) for entry in atlas.entries],
        "unlisted": dict(atlas.unlisted),
    }


def record(atlas: Atlas) -> dict[str, Any]:
    """What the paper reports: counts and suspected defects, without the rows."""
    data = to_data(atlas)
    return {key: data[key] for key in ("schema", "versions", "cpu", "seconds", "summary")}


def summary(atlas: Atlas) -> dict[str, Any]:
    """Counts per module, and of traps by kind."""
    modules: dict[str, Counter[str]] = {}
    for entry in atlas.entries:
        found = modules.setdefault(entry.module, Counter())
        found["derivatives"] += 1
        found[entry.verdict or "not measured"] += 1
        found["with a kink"] += any(trap.kind == "kink" for trap in entry.traps)
        found["with a trap"] += any(trap.severity != "note" for trap in entry.traps)
        found["with a defect"] += bool(entry.defects)
        found["missing a mode"] += any(entry.modes.values())
        found["unfinished"] += bool(entry.unfinished)
    kinds: Counter[str] = Counter()
    for entry in atlas.entries:
        for trap in entry.traps:
            kinds[trap.kind] += 1 + trap.more
    return {
        "derivatives": len(atlas.entries),
        "functions": len({entry.name for entry in atlas.entries}),
        "modules": {name: dict(counts) for name, counts in modules.items()},
        "kinds": dict(kinds.most_common()),
        "defects": [defect_row(entry) for entry in atlas.defects],
    }


def defect_row(entry: Entry) -> dict[str, Any]:
    """The first suspected defect of an entry: what, where, who contradicts, how to see it."""
    first = entry.defects[0]
    return {
        "function": entry.name,
        "argument": entry.argument,
        "kind": first.kind,
        "dtype": first.dtype,
        "message": first.message,
        "groups": list(first.groups),
        "reproducer": first.reproducer,
    }


_COUNTS = (
    "derivatives",
    *CLASSES,
    "not measured",
    "with a kink",
    "with a trap",
    "with a defect",
    "missing a mode",
    "unfinished",
)


def module_table(atlas: Atlas) -> list[list[str]]:
    """One line per module and one of all, under a head."""
    modules = summary(atlas)["modules"]
    lines = [
        [name, *(str(counts.get(key, 0)) for key in _COUNTS)] for name, counts in modules.items()
    ]
    total = [str(sum(counts.get(key, 0) for counts in modules.values())) for key in _COUNTS]
    return [["module", *_COUNTS], *lines, ["all", *total]]


def to_text(atlas: Atlas) -> str:
    """What a terminal shows: counts, suspected defects, traps; or one derivative in full."""
    if len({*(entry.name for entry in atlas.entries), *atlas.unlisted}) <= MOST_IN_FULL:
        without = (f"{name} is not listed: {why}" for name, why in atlas.unlisted.items())
        return "\n\n".join([*map(entry_text, atlas.entries), *without])
    lines = [aligned(module_table(atlas))]
    if atlas.defects:
        lines.append(f"\nsuspected defects ({len(atlas.defects)} derivatives):")
        lines += [f"  {entry.title}: {entry.defects[0].message}" for entry in atlas.defects]
    for kind, traps in _by_kind(atlas.entries).items():
        lines.append(f"\n{kind} ({len(traps)} derivatives):")
        lines += [f"  {entry.title}: {trap.message}" for entry, trap in traps[:MOST_LISTED]]
        if len(traps) > MOST_LISTED:
            lines.append(f"  and {len(traps) - MOST_LISTED} more; --report FILE.html shows all")
    if atlas.unlisted:
        lines.append(f"\n{len(atlas.unlisted)} public names have no derivative; --json says why")
    return "\n".join(lines)


def entry_text(entry: Entry) -> str:
    """One derivative in full."""
    examined = f"{entry.form}, held against {entry.truth}" if entry.form else "not examined"
    lines = [f"{entry.title}: {entry.call}  ({examined})", f"  {answer(entry)}"]
    lines += [f"  no {mode} mode: {reason}" for mode, reason in entry.modes.items() if reason]
    for row in entry.accuracy:
        if not row["points"]:
            continue
        condition = f", condition {row['condition']:.2g}" if isfinite(row["condition"]) else ""
        undecided = f", {row['undecided']} points undecided" if row.get("undecided") else ""
        lines.append(
            f"  {row['dtype']:<9}{row['mode']:<8} {row['verdict']:<16}median "
            f"{row['median']:.2g} ulp, worst {row['worst']:.3g} ulp at {place_of(row)}{condition}, "
            f"{row['scaled']:.2g} ulp of the usual size{undecided}"
        )
    for trap in entry.traps:
        order = f", derivative of order {trap.order}" if trap.order > 1 else ""
        lines.append(f"  {_severity(trap):<9}{trap.kind:<14}{trap.message} ({trap.dtype}{order})")
        lines += [f"      {line}" for line in trap.reproducer.splitlines()]
    lines += [f"  unfinished {each}" for each in entry.unfinished]
    lines += [f"  not asked {what}: {reason}" for what, reason in entry.skipped.items()]
    return "\n".join(lines)


def answer(entry: Entry) -> str:
    """A derivative in one clause each: its worst class, defects, traps, kinks, missing modes."""
    counts = {
        "suspected defect": len(entry.defects),
        "trap": sum(not trap.is_defect and trap.severity != "note" for trap in entry.traps),
        "kink": sum(trap.kind == "kink" for trap in entry.traps),
    }
    told = [f"{n} {word}{'s' if n > 1 else ''}" for word, n in counts.items() if n]
    told += [f"no {mode} mode" for mode, reason in entry.modes.items() if reason]
    return "; ".join([_ANSWERS[entry.verdict], *told])


def _severity(trap: Trap) -> str:
    return "DEFECT" if trap.is_defect else trap.severity


def _by_kind(entries: Iterable[Entry]) -> dict[str, list[tuple[Entry, Trap]]]:
    """Kind -> the first trap of each derivative that has one, defects left out."""
    found: dict[str, list[tuple[Entry, Trap]]] = {}
    for entry in entries:
        for kind in dict.fromkeys(trap.kind for trap in entry.traps if not trap.is_defect):
            first = next(t for t in entry.traps if t.kind == kind and not t.is_defect)
            found.setdefault(kind, []).append((entry, first))
    return dict(sorted(found.items()))


def to_markdown(atlas: Atlas) -> str:
    """Counts, suspected defects and traps as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in atlas.versions.items())
    counts = module_table(atlas)
    parts = [
        "# Atlas of derivatives\n",
        f"Written by `diffkit atlas --format markdown` with {versions} on {atlas.cpu}; "
        "do not edit.\n",
        *markdown(counts[0], counts[1:]),
        "## Suspected defects\n",
        *markdown(
            ["derivative", "kind", "format", "what happens"],
            (
                [e.title, e.defects[0].kind, e.defects[0].dtype, e.defects[0].message]
                for e in atlas.defects
            ),
        ),
    ]
    for kind, traps in _by_kind(atlas.entries).items():
        parts.append(f"## {kind}\n")
        rows = ([entry.title, trap.dtype, trap.message] for entry, trap in traps)
        parts += markdown(["derivative", "format", "what happens"], rows)
    return "\n".join(parts)
