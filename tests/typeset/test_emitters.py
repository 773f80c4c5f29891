"""One table of layouts and what each of the four styles must make of them."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import pytest

from diffkit.core.errors import UsageError
from diffkit.typeset import (
    Accent,
    Apply,
    Big,
    Cases,
    Commas,
    Derivative,
    Fence,
    Fraction,
    Glyph,
    Integral,
    Logic,
    Mark,
    Matrix,
    Name,
    Negative,
    Not,
    Number,
    Operator,
    Plus,
    Prefix,
    Prime,
    Relation,
    Root,
    Row,
    Subscript,
    Superscript,
    Text,
    Times,
    Transpose,
    absolute,
    call,
    expectation,
    gradient,
    hadamard,
    indicator,
    interval,
    norm,
    number,
    relation,
    render,
)
from diffkit.typeset.tree import Node as AnyNode

STYLES = ("text", "latex", "typst", "mathml")

x, y, a, b, n, w, X, f = map(Name, ("x", "y", "a", "b", "n", "w", "X", "f"))
zero, one, two, three = map(Number, ("0", "1", "2", "3"))
half = Fraction(one, two)


#: Name -> layout; what the styles make of it stands under the same name in emitters.golden.
LAYOUTS = {
    "word": Text("otherwise"),
    "hostile_text": Text("50% <b> & $x$ #1 \\ {_^~}"),
    "greek": Name("sigma"),
    "subscript_in_the_name": Name("w_1"),
    "digits_in_the_name": Name("theta1"),
    "layer_index": Name("W^{(l)}_{ij}"),
    "shifted_index": Name("x_{t+1}"),
    "word_index": Name("x_max"),
    "accent_in_the_name": Name("y_hat"),
    "snake_case": Name("learning_rate"),
    "capital_stays_capital": Name("L"),
    "hostile_name": Name('<script>"#$\\'),
    "control_character": Name("a\x1b[31m\u202e"),
    "two_subscripts": Subscript(Name("x_1"), n),
    "decimal": Number("0.044715"),
    "small_decimal": Times((Number("1.5e-07"), x)),
    "power_of_ten": Number("1e+20"),
    "infinity": Negative(Glyph("infinity")),
    "sum_with_signs": Plus((Superscript(x, two), Negative(y), one)),
    "minus_a_sum": Plus((x, Negative(Plus((a, b))))),
    "negative_factor": Times((a, Negative(b))),
    "factor_before_bracket": Times((x, Plus((one, Negative(x))))),
    "number_before_number": Times((two, Superscript(three, n))),
    "words_as_factors": Times((Name("loss"), Name("rate"))),
    "matrix_product": Times(
        (Fraction(two, n), Transpose(X), Plus((Times((X, w), "matrix"), Negative(y)))), "matrix"
    ),
    "outer_product": Times((Name("p"), Transpose(Name("p"))), "matrix"),
    "transposed_function": Times((Transpose(call("tanh", X)), X), "matrix"),
    "inverse_transpose": Superscript(X, Negative(Glyph("transpose"))),
    "pseudo_inverse": Superscript(X, Mark("+")),
    "quadratic_form": Times((Transpose(x), X, x), "matrix"),
    "greek_matrix": Times((Name("Sigma"), Plus((x, y))), "matrix"),
    "ones": Times((Glyph("ones"), Transpose(b)), "matrix"),
    "entrywise_quotient": Times((x, Plus((a, b))), "⊘"),
    "entrywise_power": Superscript(X, Row((Mark("⊙"), two))),
    "differential": Times((X, Prefix(Glyph("d"), X)), "matrix"),
    "differential_of_a_sum": Prefix(Glyph("d"), Plus((x, y))),
    "hadamard": hadamard(Name("W"), Plus((a, b))),
    "fraction": Fraction(Plus((a, b)), Times((two, x))),
    "fraction_of_fractions": Fraction(Fraction(a, b), Fraction(x, y)),
    "product_of_fractions": Times((Fraction(a, b), Fraction(x, y))),
    "power_of_a_fraction": Superscript(Fraction(a, b), n),
    "inline_fraction": Superscript(x, Fraction(one, three, inline=True)),
    "power_of_a_power": Superscript(Superscript(x, two), n),
    "power_of_a_sum": Superscript(Plus((a, b)), Negative(one)),
    "exponent_with_a_product": Superscript(Glyph("e"), Negative(Times((a, x)))),
    "power_of_a_function": Superscript(call("relu", x), half),
    "function_power": Apply(Superscript(Operator("sin"), two), (x,)),
    "square_root": Root(Plus((x, one))),
    "product_with_a_root": Times((Root(two), x)),
    "cube_root": Root(x, three),
    "function": call("log", Fraction(x, y)),
    "function_of_two": call("log_add", x, y),
    "prime": Apply(Prime(f), (x,)),
    "high_order_prime": Prime(f, 4),
    "absolute_value": absolute(Plus((x, absolute(y)))),
    "norm": norm(Negative(x), two),
    "floor": Fence(x, "⌊", "⌋"),
    "half_open_interval": interval(zero, one, open_low=False),
    "inner_product": Fence(Commas((x, y)), "⟨", "⟩"),
    "expectation": expectation(Superscript(x, two), relation(x, "∼", Name("p"))),
    "indicator": indicator(relation(x, ">", zero)),
    "gradient": gradient(Name("L"), w),
    "big_sum": Times((half, Big("sum", Name("x_i"), relation(Name("i"), "=", one), n))),
    "sum_of_a_sum": Big("sum", Plus((x, y)), Name("i")),
    "big_sum_before_a_factor": Times((Big("sum", Name("x_i"), Name("i")), y)),
    "big_product": Big("prod", x, relation(Name("i"), "=", one), n),
    "argmin": Big("argmin", norm(x), Name("theta")),
    "integral": Integral(Superscript(x, two), x, zero, one),
    "derivative": Derivative(Superscript(x, two), ((x, 1),)),
    "partial_derivative": Derivative(Apply(f, (x, y)), ((x, 1), (y, 2)), partial=True),
    "cases": Cases(((x, relation(x, ">", zero)), (zero, Text("otherwise")))),
    "cases_as_a_factor": Times((two, Cases(((x, Text("else")),)))),
    "matrix": Matrix(((a, one), (zero, b))),
    "relation_chain": Relation((zero, x, one), ("<", "≤")),
    "logic": Logic((relation(x, "≠", y), Logic((a, b), "∨")), "∧"),
    "negation": Not(relation(x, "∈", Glyph("reals"))),
    "overline": Accent(Plus((x, y)), "overline"),
}


class Case(NamedTuple):
    """A layout and its writings; MathML as the outline that `outline` makes of it."""

    name: str
    node: AnyNode
    text: str
    latex: str
    typst: str
    mathml: str


def read_cases() -> list[Case]:
    """The layouts joined with their expected writings, by name."""
    table = Path(__file__).with_name("emitters.golden").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in table.split("\n\n")[1:]]
    expected = {name: [line.strip() for line in lines] for name, *lines in blocks}
    assert expected.keys() == LAYOUTS.keys()
    return [Case(name, node, *expected[name]) for name, node in LAYOUTS.items()]


CASES = read_cases()


def outline(element: ET.Element) -> str:
    """MathML without tags: {row}, fraction(above below), 'words', * times, @ apply, _ space."""
    tag = element.tag.partition("}")[2]
    if tag in ("mi", "mn", "mo"):
        return {"\u2062": "*", "\u2061": "@"}.get(element.text or "", element.text or "")
    if tag == "mtext":
        return f"'{element.text}'"
    if tag == "mspace":
        return "_"
    inside = " ".join(map(outline, element))
    return f"{{{inside}}}" if tag == "mrow" else f"{tag}({inside})"


def is_balanced(latex: str) -> bool:
    """Whether every unescaped brace is closed, and every \\left has its \\right."""
    depth, i = 0, 0
    while i < len(latex):
        if latex[i] == "\\":
            i += 2
            continue
        depth += {"{": 1, "}": -1}.get(latex[i], 0)
        if depth < 0:
            return False
        i += 1
    return depth == 0 and latex.count(r"\left") == latex.count(r"\right")


def compiled(typst_maths: str) -> bytes:
    """The page that `typst` makes of the formula; it raises where the markup is wrong."""
    typst = pytest.importorskip("typst")
    return typst.compile(f"$ {typst_maths} $".encode(), format="pdf")


each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_text_is_one_unambiguous_line(case):
    assert render(case.node, "text") == case.text


@each_case
def test_latex_is_as_in_the_table_and_balanced(case):
    assert render(case.node, "latex") == case.latex
    assert is_balanced(case.latex)


@each_case
def test_typst_is_as_in_the_table(case):
    assert render(case.node, "typst") == case.typst


@each_case
def test_mathml_is_well_formed_and_as_in_the_table(case):
    root = ET.fromstring(render(case.node, "mathml"))
    assert root.tag == "{http://www.w3.org/1998/Math/MathML}math"
    assert " ".join(map(outline, root)) == case.mathml


def test_typst_compiles_every_case():
    page = " $ \n\n $ ".join(case.typst for case in CASES)
    assert compiled(page).startswith(b"%PDF")


def test_typst_refuses_what_is_no_formula():
    """The control of the test above: a bare word of several letters is an unknown variable."""
    pytest.importorskip("typst")
    with pytest.raises(Exception, match="unknown variable"):
        compiled("loss + 1")


def test_a_missing_brace_is_noticed():
    assert not is_balanced(r"\frac{1}{x")
    assert is_balanced(r"\{ x")


HOSTILE = (
    "</mi><script>alert(1)</script>",
    "#panic()",
    '"#panic()"',
    "$ #panic() $",
    "\\",
    '\\"',
    "{",
    "}_{",
    r"\input{/etc/passwd}",
    "&amp;",
    "a;b",
    "a,b:c",
    "\x00\x1b[2J",
    "\u202etxet",
    "",
    "_",
    "x_{",
    "x^{(}",
    "//",
    "/*",
)


@pytest.mark.parametrize("make", [Name, Text, Operator], ids=lambda make: make.__name__)
@pytest.mark.parametrize("words", HOSTILE)
def test_no_name_reaches_a_document_as_markup(make, words):
    node = Times((Subscript(make(words), make(words)), Plus((make(words), one))))
    math = ET.fromstring(render(node, "mathml"))
    known = {"math", "mrow", "msub", "msup", "mi", "mn", "mo", "mtext", "mspace"}
    assert {element.tag.partition("}")[2] for element in math.iter()} <= known
    assert is_balanced(render(node, "latex"))
    assert r"\input" not in render(node, "latex")
    assert compiled(render(node, "typst"))
    assert render(node, "text").isprintable()


def test_all_styles_write_every_class_of_node():
    from diffkit import typeset

    classes = {
        made
        for made in vars(typeset).values()
        if isinstance(made, type) and issubclass(made, typeset.Node) and made is not typeset.Node
    }
    seen, stack = set(), [case.node for case in CASES]
    while stack:
        node = stack.pop()
        seen.add(type(node))
        stack += [part for part in node.children if part is not None]
    assert classes - seen <= {typeset.Row, typeset.Mark, typeset.Negative}


def test_a_deep_tree_is_written_without_recursion():
    node = x
    for _ in range(1500):
        node = Negative(Plus((node, one)))
    assert all(len(render(node, style)) > 1500 for style in STYLES)


def test_a_tree_that_repeats_itself_too_often_is_refused_at_once():
    node = x
    for _ in range(200):
        node = Times((node, node))
    with pytest.raises(UsageError, match="repeats large subexpressions"):
        render(node)


@pytest.mark.parametrize("text", ["-1", "1e", "x", "1; DROP", "", "١"])
def test_a_number_that_is_no_decimal_is_refused(text):
    with pytest.raises(UsageError, match="no unsigned decimal"):
        Number(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (-2.5, "−2.5"), (1e-7, "10⁻⁷"), (0.1 + 0.2, "0.3"), (float("inf"), "∞")],
)
def test_a_float_shows_its_sensible_digits(value, text):
    assert render(number(value)) == text


def test_a_foreign_style_or_sign_is_refused():
    with pytest.raises(UsageError, match="unknown style"):
        render(x, "html")
    with pytest.raises(UsageError, match="unknown relation sign"):
        relation(x, "<script>", y)
    with pytest.raises(UsageError, match="unknown delimiter"):
        Fence(x, r"\left", ")")
