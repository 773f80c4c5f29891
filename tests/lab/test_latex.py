r"""LaTeX of tables and laws: what TeX would choke on is escaped, and every file is well formed."""

import re
from pathlib import Path

import pytest
import sympy as sp

from diffkit.lab import latex
from diffkit.theory.law import Law, Line

n, s2 = sp.symbols("n s2", positive=True)
LAW = Law(
    name="variance of a mean, 100 % of it",
    symbol=sp.Symbol("V"),
    formula=s2 / n,
    where="n >= 1",
    lines=(Line("a mean divides by n", n * s2 / n**2, s2 / n),),
    assumes="x_i ~ N(0, s2)",
    source="Author & Other (2020), theorem 1",
)


def faults(text: str) -> list[str]:
    """What keeps a text from being LaTeX: braces, environments, dollars, special characters."""
    found, environments, depth = [], [], 0
    for match in re.finditer(r"\\begin\{(\w+\*?)\}|\\end\{(\w+\*?)\}", text):
        if match[1]:
            environments.append(match[1])
        elif not environments or environments.pop() != match[2]:
            found.append(f"\\end{{{match[2]}}} without a beginning")
    found += [f"{name} does not end" for name in environments]
    plain = re.sub(r"\\[\\&%$#_{}]", "", text)
    for char in plain:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            found.append("} without {")
    found += ["{ without }"] * (depth > 0)
    found += ["an odd number of $"] * (plain.count("$") % 2)
    outside = re.sub(r"\$[^$]*\$|\\\[.*?\\\]|\\begin\{equation\}.*?\\end\{equation\}", "", plain,
                     flags=re.DOTALL)  # fmt: skip
    outside = re.sub(r"\\(input|label|usepackage|documentclass)\S*", "", outside)
    found += [f"{char} in text" for char in "#%^_" if char in outside]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 % & more", r"50 \% \& more"),
        ("x_1^2 {a} #3 $4", r"x\_1\textasciicircum{}2 \{a\} \#3 \$4"),
        (r"a\b~c", r"a\textbackslash{}b\textasciitilde{}c"),
        ("n <= 3", r"n \textless{}= 3"),
        ("0.73 ± 0.02", r"0.73 $\pm$ 0.02"),
        ("−1.5", "$-$1.5"),
        ("σ ≤ 2·10⁻³", r"$\sigma$ $\leq$ 2$\cdot$10$^{-}$$^{3}$"),
        ("c₂", "c$_{2}$"),
        ("3.1 dot 10^(-6)", r"$3.1 \cdot 10^{-6}$"),
        ("Erdős", "Erdős"),
    ],
)
def test_text_is_escaped(text, expected):
    assert latex.escape(text) == expected
    assert faults(latex.escape(text)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x_1", "_ in text"),
        ("50 %", "% in text"),
        ("a $ b", "an odd number of $"),
        ("{a", "{ without }"),
        (r"\begin{tabular}{l}", "tabular does not end"),
    ],
)
def test_what_is_not_escaped_is_noticed(text, fault):
    assert fault in faults(text)


def test_numbers_go_to_the_right_texts_to_the_left_and_long_ones_are_paragraphs():
    words = "a sentence that is too long for a column of its own"
    found = latex.table(["p", "name", "says"], [["1.5", "a", words], ["−2", "b & c", ""]])
    lines = found.splitlines()
    assert lines[0] == r"\begin{tabular}{rlp{0.70\linewidth}}"
    assert lines[1:5] == [r"\toprule", r"p & name & says \\", r"\midrule", rf"1.5 & a & {words} \\"]
    assert lines[5:] == [r"$-$2 & b \& c &  \\", r"\bottomrule", r"\end{tabular}"]
    assert faults(found) == []


def test_a_law_is_printed_with_its_derivation_and_its_source():
    found = latex.laws([LAW.to_dict()], "eq:mean")
    assert r"\paragraph{variance of a mean, 100 \% of it.}" in found
    assert r"Of x\_i \textasciitilde{} N(0, s2)." in found
    assert r"\label{eq:mean-1}" in found
    assert rf"V = {sp.latex(s2 / n)} \quad (n \geq 1)" in found
    assert rf"\[{LAW.lines[0].latex()}\]" in found
    assert r"Source: Author \& Other (2020), theorem 1." in found
    assert faults(found) == []


NUMBERS = {
    "first": {
        "table": {"heads": ["p", "error"], "rows": [["1", "0.5"]]},
        "part": {"rates_table": {"heads": ["a"], "rows": [["1"]]}, "note": "text"},
    },
    "atlas": {"heads": ["wrong"], "table": [["jax.nn", "3"]]},
    "plain": {"table": [["1", "2"]], "empty_table": []},
}
RESULTS = {
    "first": {"laws": [LAW.to_dict()], "rows": []},
    "parts": {"x": {"laws": [LAW.to_dict()]}},
}


def test_every_table_and_every_law_has_a_file_at_any_depth():
    found = latex.files(NUMBERS, RESULTS)
    assert set(found) == {
        "first-table.tex", "first-part-rates_table.tex", "atlas-table.tex", "plain-table.tex",
        "first-laws.tex", "parts-laws.tex", "all.tex",
    }  # fmt: skip
    assert r" & wrong \\" in found["atlas-table.tex"]
    assert r"\midrule" not in found["plain-table.tex"]
    for name in set(found) - {"all.tex"}:
        assert rf"\input{{{name[:-4]}}}" in found["all.tex"]
    assert {name: faults(text) for name, text in found.items() if faults(text)} == {}


def test_files_that_are_no_more_are_removed_and_the_others_left_alone(tmp_path: Path):
    latex.write(tmp_path, {"a.tex": "1", "b.tex": "2"})
    before = (tmp_path / "b.tex").stat().st_mtime_ns
    (tmp_path / "mine.txt").write_text("kept")
    latex.write(tmp_path, {"b.tex": "2", "c.tex": "3"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tex", "c.tex", "mine.txt"]
    assert (tmp_path / "b.tex").stat().st_mtime_ns == before
