"""LaTeX of a verdict: balanced, escaped, and every sign diffkit prints has a spelling."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.core.as_latex import MOST_ROWS, escaped, latex_of_verdict
from diffkit.core.claim import Claim
from diffkit.core.evidence import ErrorBound, Evidence
from diffkit.core.finding import Finding
from diffkit.core.verdict import Repair, Verdict
from diffkit.typeset import marks
from diffkit.verify.check import check

FULL = Verdict(
    Claim("relu(x)", "step(x)", "x"),
    "refuted",
    "d/dx [relu(x)] = step(x)",
    "nowhere",
    evidence=(
        Evidence(
            "reverse",
            "AD rules",
            "disagrees",
            value=float("inf"),
            error=0.5,
            allowed=ErrorBound({"rounding": 1e-16, "truncation": float("inf")}),
            dtype="float32",
        ),
    ),
    counterexample={"x": float("-inf")},
    contradiction="claimed 1, true 0",
    repair=Repair("-step(x)", "sign", "proved", r"-\theta(x)"),
    findings=(Finding("kink", "note", "a tie", "guard it", "f.py:3"),),
    assumptions=("y held",),
    latex=r"\theta'",
)
#: Commands of text mode and what they print; written here apart from the table under test.
PRINTED = {
    "textbackslash{}": "\\",
    "textasciicircum{}": "^",
    "textasciitilde{}": "~",
    "textless{}": "<",
    "textgreater{}": ">",
    "textbar{}": "|",
    "textquotedblright{}": '"',
    "textasciigrave{}": "`",
    "newline ": "\n",
}


def printed(latex: str) -> str:
    """What text mode prints: an own reading of the escapes, mathematics left as it is."""
    found, rest = [], latex
    while rest:
        command = next((c for c in PRINTED if rest.startswith(f"\\{c}")), None)
        if command is not None:
            found.append(PRINTED[command])
            rest = rest[len(command) + 1 :]
        elif rest[0] == "\\":
            assert rest[1] in "{}$&#%_", f"an unknown command: {rest[:20]}"
            found.append(rest[1])
            rest = rest[2:]
        elif rest.startswith("{}"):
            rest = rest[2:]
        else:
            assert rest[0] not in "{}$&#%_^~", f"a special character: {rest[:20]}"
            found.append(rest[0])
            rest = rest[1:]
    return "".join(found)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_is_escaped_prints_as_it_was_typed(text):
    assert printed(escaped(text)) == text


@given(st.text())
def test_any_text_gives_balanced_latex_without_a_command_of_its_own(text):
    latex = escaped(text)
    bare = re.sub(r"\\[{}$&#%_]", "", latex)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert "--" not in latex
    assert not re.search(r"\\(input|write|def|catcode|immediate)\b", latex)


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "--", "---", "σ²", "\\input{x}", "50% & $x_1$"])
def test_the_doubtful_ones(text):
    latex = escaped(text)
    assert "\n" not in latex
    assert "\t" not in latex


def test_every_sign_of_the_typesetter_becomes_mathematics():
    tables = (marks.GREEK, marks.GLYPHS, marks.INFIX, marks.MARKS, marks.DELIMITERS)
    signs = {sign for table in tables for sign in table.values() if not sign.char.isascii()}
    assert len(signs) > 60
    for sign in signs:
        found = escaped(sign.char)
        assert found == f"${sign.latex}$", sign
    for table in (marks.SUPERSCRIPTS, marks.SUBSCRIPTS):
        for letter in map(chr, table.values()):
            assert re.fullmatch(r"\$\{\}[\^_]\{[\w+()=-]\}\$", escaped(letter)), letter


@pytest.mark.parametrize(
    ("letter", "latex"),
    [
        ("é", "é"),
        ("ℵ", r"\texttt{U+2135}"),
        ("中", r"\texttt{U+4E2D}"),
        ("\x07", r"\texttt{U+0007}"),
        ("Α", r"$\mathrm{A}$"),
        ("Η", r"$\mathrm{H}$"),
        ("ο", r"$\mathrm{o}$"),
        ("ς", r"$\varsigma$"),
        ("ͱ", r"\texttt{U+0371}"),
    ],
)
def test_letters_of_other_scripts_are_spelled_or_named(letter, latex):
    assert escaped(letter) == latex


def test_a_verdict_says_statement_verdict_reasons_and_evidence():
    latex = FULL.to_latex()
    for part in (
        r"\item[Claim] d/dx [relu(x)] = step(x)",
        r"\item[Formula] $\displaystyle \theta'$",
        r"\item[Verdict] \textbf{refuted}",
        r"\item[Contradiction] claimed 1, true 0",
        r"\item[Counterexample] x = -inf",
        r"\item[Repair] $\displaystyle -\theta(x)$ (sign; proved)",
        r"\item[Scope] nowhere",
        r"\item[Assumption] y held",
        r"{}reverse & AD rules & disagrees & float32 & inf & 5.0e-01 & unbounded (truncation) \\",
    ):
        assert part in latex
    assert latex.count(r"\begin{") == latex.count(r"\end{") == 2


def test_a_cell_that_begins_with_a_bracket_is_no_argument_of_the_line_break():
    hostile = replace(FULL, evidence=(Evidence("[2cm] *", "AD rules", "agrees"),) * 2)
    assert re.search(r"\\\\\s*[\[*]", hostile.to_latex()) is None


def test_a_long_table_says_how_much_is_left_out():
    many = replace(FULL, evidence=FULL.evidence[:1] * (MOST_ROWS + 3))
    assert r"\multicolumn{7}{l}{and 3 more} \\" in latex_of_verdict(many)


def test_a_real_verdict_has_its_formula():
    latex = check("softplus(x)", "sigmoid(x)**2").to_latex()
    assert r"\operatorname{softplus}(x)" in latex
    assert r"\item[Repair] $\displaystyle \sigma(x)$" in latex
