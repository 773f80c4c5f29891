r"""A verdict as LaTeX for the body of a document: statement, verdict, reasons, evidence.

Words are text with every special character escaped; the signs that reports use (σ, ∂, ᵀ, ≤, ...)
become mathematics, and a sign without a spelling is written as its code point, so that what is
returned compiles with any engine.  Needs amsmath and amssymb.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffkit.core.evidence import Evidence
    from diffkit.core.verdict import Verdict

_ESCAPES: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "`": r"\textasciigrave{}",
    "\t": " ",
    "\n": r"\newline ",
}
_SIGNS: Mapping[str, str] = {
    "∞": r"\infty",
    "∇": r"\nabla",
    "∂": r"\partial",
    "…": r"\dots",
    "𝔼": r"\mathbb{E}",
    "ℙ": r"\mathbb{P}",
    "𝟙": r"\mathbf{1}",
    "𝟏": r"\mathbf{1}",
    "⊤": r"\top",
    "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}",
    "ℕ": r"\mathbb{N}",
    "≠": r"\neq",
    "≤": r"\leq",
    "≥": r"\geq",
    "≈": r"\approx",
    "≡": r"\equiv",
    "∈": r"\in",
    "∉": r"\notin",
    "⊂": r"\subset",
    "∼": r"\sim",
    "∝": r"\propto",
    "→": r"\to",
    "↦": r"\mapsto",
    "⇒": r"\Rightarrow",
    "⇔": r"\Leftrightarrow",
    "⪰": r"\succeq",
    "⪯": r"\preceq",
    "∣": r"\mid",
    "∧": r"\land",
    "∨": r"\lor",
    "¬": r"\neg",
    "·": r"\cdot",
    "⊙": r"\odot",
    "⊗": r"\otimes",
    "⊘": r"\oslash",
    "×": r"\times",
    "−": "-",
    "±": r"\pm",
    "√": r"\surd",
    "∛": r"{}^{3}\surd",
    "∑": r"\sum",
    "∏": r"\prod",
    "∫": r"\int",
    "′": "'",
    "‖": r"\|",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "⌈": r"\lceil",
    "⌉": r"\rceil",
}
_RAISED = {"<super>": "^", "<sub>": "_"}
#: Greek letters LaTeX spells otherwise than Unicode names them; capitals like Latin ones have none.
_GREEK = {"LAMDA": "lambda", "EPSILON": "varepsilon", "PHI": "varphi", "FINAL SIGMA": "varsigma"}
_LIKE_LATIN = frozenset("OMICRON ALPHA BETA EPSILON ZETA ETA IOTA KAPPA MU NU RHO TAU CHI".split())
#: Rows of evidence in the table.
MOST_ROWS = 30


def latex_of_verdict(verdict: "Verdict") -> str:
    r"""Return the verdict as a `description` list and a `tabular` of its evidence.

    Args:
        verdict: The verdict.

    >>> from diffkit.core.claim import Claim
    >>> from diffkit.core.verdict import Verdict
    >>> print(latex_of_verdict(Verdict(Claim("x**2", "2*x", "x"), "proved", "d/dx [x**2] = 2*x")))
    \begin{description}
      \item[Claim] d/dx [x**2] = 2*x
      \item[Verdict] \textbf{proved}
    \end{description}
    """
    lines = [r"\begin{description}"]
    lines += [rf"  \item[{label}] {text}" for label, text in _items(verdict)]
    lines.append(r"\end{description}")
    if verdict.evidence:
        lines += _table(verdict.evidence)
    return "\n".join(lines)


def escaped(text: str) -> str:
    r"""Return `text` for text mode: nothing in it is a command.

    >>> print(escaped("50% of σ(β x)_i"))
    50\% of $\sigma$($\beta$ x)\_i
    """
    found = "".join(map(_letter, text))
    return found.replace("--", "-{}-").replace("--", "-{}-")  # two would be a dash


def _items(verdict: "Verdict") -> Iterator[tuple[str, str]]:
    yield "Claim", escaped(verdict.statement or verdict.claim.target)
    if verdict.latex:
        yield "Formula", rf"$\displaystyle {verdict.latex}$"
    yield "Verdict", rf"\textbf{{{verdict.status}}}"
    if verdict.contradiction:
        yield "Contradiction", escaped(verdict.contradiction)
    if verdict.counterexample:
        point = ", ".join(f"{name} = {_short(at)}" for name, at in verdict.counterexample.items())
        yield "Counterexample", escaped(point)
    if verdict.repair is not None:
        repair = verdict.repair
        formula = rf"$\displaystyle {repair.latex}$" if repair.latex else escaped(repair.text)
        said = escaped(f"{repair.edit}; {repair.status} {repair.scope}".rstrip())
        yield "Repair", f"{formula} ({said})"
    for finding in verdict.findings:
        yield "Finding", escaped(str(finding))
    if verdict.scope:
        yield "Scope", escaped(verdict.scope)
    for assumption in verdict.assumptions:
        yield "Assumption", escaped(assumption)


def _table(rows: Sequence["Evidence"]) -> list[str]:
    head = ("witness", "group", "outcome", "dtype", "value", "error", "allowed")
    lines = [r"\begin{tabular}{lllllrr}", r"  \hline", rf"  {' & '.join(head)} \\", r"  \hline"]
    for row in rows[:MOST_ROWS]:
        cells = (
            row.oracle,
            row.group,
            row.outcome,
            row.dtype,
            "" if row.value is None else _short(row.value),
            "" if row.error is None else f"{float(row.error):.1e}",
            "" if row.allowed is None else str(row.allowed),
        )
        # the braces keep a "[" or "*" from being an argument of the line break before it
        lines.append(rf"  {{}}{' & '.join(map(escaped, cells))} \\")
    left_out = len(rows) - MOST_ROWS
    if left_out > 0:
        lines.append(rf"  \multicolumn{{7}}{{l}}{{and {left_out} more}} \\")
    return [*lines, r"  \hline", r"\end{tabular}"]


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _letter(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if " " <= letter <= "~":
        return letter
    math = _SIGNS.get(letter) or _raised(letter) or _greek(letter)
    if math:
        return f"${math}$"
    name = unicodedata.name(letter, "")
    if name.startswith("LATIN ") and unicodedata.decomposition(letter)[:1] != "<":
        return letter
    return rf"\texttt{{U+{ord(letter):04X}}}"


def _raised(letter: str) -> str:
    """A raised or lowered digit or letter as a power or an index."""
    kind, _, code = unicodedata.decomposition(letter).partition(" ")
    if kind not in _RAISED or " " in code:
        return ""
    base = chr(int(code, 16))
    body = {"−": "-"}.get(base) or (base if base.isascii() and base not in _ESCAPES else "")
    return f"{{}}{_RAISED[kind]}{{{body}}}" if body else ""


def _greek(letter: str) -> str:
    kind, _, name = unicodedata.name(letter, "").partition(" LETTER ")
    is_capital = kind == "GREEK CAPITAL"
    if kind not in ("GREEK SMALL", "GREEK CAPITAL") or not name.replace(" ", "").isalpha():
        return ""
    if name in ("OMICRON",) or (is_capital and name in _LIKE_LATIN):
        latin = {"ETA": "H", "NU": "N", "RHO": "P", "CHI": "X"}.get(name, name[0])
        return rf"\mathrm{{{latin if is_capital else latin.lower()}}}"
    if is_capital:
        command = {"LAMDA": "Lambda"}.get(name, name.capitalize())
        return rf"\{command}" if command in _CAPITALS else ""
    command = _GREEK.get(name, name.lower())
    return rf"\{command}" if command in _SMALL else ""


_CAPITALS = frozenset("Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split())
_SMALL = frozenset(
    (
        "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma "
        "varsigma tau upsilon varphi chi psi omega"
    ).split()
)
