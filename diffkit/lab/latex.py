r"""Formulas and tables of the paper as LaTeX, for those who write in TeX.

One file for each table (booktabs) and one for the laws of each experiment (amsmath); `all.tex` is a
document that shows them all.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diffkit.core.verdict import write_atomically
from diffkit.typeset.marks import GLYPHS, GREEK, INFIX, MARKS

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{char: rf"\{char}" for char in "&%$#_{}"},
}
_SIGNS = {
    sign.char: f"${sign.latex}$"
    for signs in (GREEK, GLYPHS, INFIX, MARKS)
    for sign in signs.values()
    if len(sign.char) == 1 and not sign.char.isascii()
}
_WORDS = {
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "√": r"$\surd$",
    "–": "--",
    "—": "---",
    "’": "'",
    "\N{NO-BREAK SPACE}": "~",
}
#: A power of ten as the paper's numbers spell it for Typst.
_POWER = re.compile(r"(-?\d+(?:\.\d+)?) dot 10\^\((-?\d+)\)")
#: A Greek letter with an index of one letter, or a lone letter with a star: sigma_w, q*.
_SYMBOL = re.compile(r"\b([α-ω])_(\w)\b|\b([a-z])\*(?=[\s,]|$)")
_NUMBER = re.compile(r"[+\-−]?[\d.,]+(?: ± [\d.]+)?%?|(-?\d+(?:\.\d+)?) dot 10\^\((-?\d+)\)|")
#: Letters above which a column is a paragraph.
_LONG = 36

DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{amsmath,amssymb,booktabs}
\usepackage[margin=2cm]{geometry}
\begin{document}
%s
\end{document}
"""


def escape(text: str) -> str:
    r"""Text as LaTeX text: special characters escaped, signs in mathematics.

    >>> print(escape("50 % of x_1 ± 3·σ"))
    50 \% of x\_1 $\pm$ 3$\cdot$$\sigma$
    >>> print(escape("σ_w of q*"))
    $\sigma_w$ of $q^*$
    """
    power = _POWER.fullmatch(text)
    if power is not None:
        return rf"${power[1]} \cdot 10^{{{power[2]}}}$"
    shown, done = "", 0
    for symbol in _SYMBOL.finditer(text):
        greek, index, starred = symbol.groups()
        mark = f"{_escaped(greek).strip('$')}_{index}" if greek else f"{starred}^*"
        shown += f"{_escaped(text[done : symbol.start()])}${mark}$"
        done = symbol.end()
    return shown + _escaped(text[done:])


def _escaped(text: str) -> str:
    return "".join(map(_character, text))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A `tabular` of booktabs; numbers to the right, long texts as paragraphs.

    Args:
        heads: Head of each column, none for a table without heads.
        rows: The cells, texts as the paper prints them.
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(heads)
    long = sum(_is_long(column) for column in columns)
    layout = "".join(_alignment(column, long) for column in columns)
    lines = [" & ".join(map(escape, row)) + r" \\" for row in rows]
    if heads:
        lines = [" & ".join(map(escape, heads)) + r" \\", r"\midrule", *lines]
    body = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", *lines, r"\bottomrule"]
    return "\n".join([*body, r"\end{tabular}", ""])


def laws(entries: Sequence[Mapping[str, Any]], label: str) -> str:
    """Laws with the equations they follow from.

    Args:
        entries: What `Law.to_dict` gives: name, latex, lines, assumes, source.
        label: Start of the labels of the equations.
    """
    blocks = []
    for number, law in enumerate(entries, 1):
        lines = [rf"\paragraph{{{escape(law['name'])}.}}"]
        lines += [f"Of {escape(law['assumes'])}."] if law.get("assumes") else []
        lines += [
            r"\begin{equation}",
            rf"\label{{{label}-{number}}}",
            mathematics(law["latex"]),
            r"\end{equation}",
        ]
        for line in law.get("lines", ()):
            lines += [f"{escape(line['reason'])}:", rf"\[{mathematics(line['latex'])}\]"]
        lines += [f"Source: {escape(law['source'])}."] if law.get("source") else []
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def mathematics(text: str) -> str:
    r"""A formula, its comparisons spelt as TeX does.

    >>> print(mathematics(r"R = 1 \quad (p <= n)"))
    R = 1 \quad (p \leq n)
    """
    return text.replace("<=", r"\leq").replace(">=", r"\geq")


def files(numbers: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name of each file -> its content.

    Args:
        numbers: The numbers of the paper; an entry whose key ends in "table" is a table:
            {"heads": [...], "rows": [[...]]}, or rows whose heads are the entry "heads" beside it.
        results: Experiment -> the results of its run; the entries "laws" of it or of its parts are
            exported.
    """
    found = {f"{name}.tex": text for name, text in _tables(numbers, ())}
    for experiment, result in results.items():
        entries = list(_laws(result))
        if entries:
            found[f"{experiment}-laws.tex"] = laws(entries, f"eq:{experiment}")
    shown = "\n\n".join(rf"\section*{{{escape(n[:-4])}}}\input{{{n[:-4]}}}" for n in sorted(found))
    return {**found, "all.tex": DOCUMENT % shown}


def write(folder: Path, contents: Mapping[str, str]) -> None:
    """Write the files that changed, and remove those of an earlier build that are no more."""
    for path in folder.glob("*.tex"):
        if path.name not in contents:
            path.unlink()
    for name, text in contents.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)


def _character(char: str) -> str:
    if char.isascii():
        return _SPECIAL.get(char, char)
    known = _WORDS.get(char) or _SIGNS.get(char)
    if known is not None:
        return known
    # a raised or lowered digit or sign: its plain form, raised or lowered
    kind, _, plain = unicodedata.decomposition(char).partition(" ")
    if kind in ("<super>", "<sub>"):
        base = "".join(chr(int(code, 16)) for code in plain.split()).replace("−", "-")
        return f"${'^' if kind == '<super>' else '_'}{{{base}}}$"
    return char


def _tables(numbers: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Name and LaTeX of every table among the numbers, at any depth."""
    if not isinstance(numbers, Mapping):
        return
    for key, value in numbers.items():
        name = "-".join((*path, key))
        if not key.endswith("table"):
            yield from _tables(value, (*path, key))
        elif isinstance(value, Mapping):
            yield name, table(value["heads"], value["rows"])
        elif value:
            heads = numbers.get(f"{key.removesuffix('table')}heads", ())
            # heads beside a table name its last columns, the first ones may have none
            yield (
                name,
                table([*[""] * (len(value[0]) - len(heads)), *heads] if heads else [], value),
            )


def _laws(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from result.get("laws", ())
    for part in result.values():
        if isinstance(part, Mapping):
            yield from _laws(part)


def _is_long(column: Sequence[str]) -> bool:
    return max(map(len, column), default=0) > _LONG


def _alignment(column: Sequence[str], long: int) -> str:
    if _is_long(column):
        return rf"p{{{0.7 / long:.2f}\linewidth}}"
    return "r" if column and all(_NUMBER.fullmatch(cell) for cell in column) else "l"
