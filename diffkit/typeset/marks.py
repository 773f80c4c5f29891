"""The signs of mathematics and their spelling in each style, as tables.

A sign that is not in a table does not exist for the emitters, so nothing a user typed can
reach a document as markup.  Text and MathML write the character itself.
"""

import re
from typing import NamedTuple


class Spelling(NamedTuple):
    """One sign: the Unicode character, its LaTeX and its Typst."""

    char: str
    latex: str
    typst: str


GREEK: dict[str, Spelling] = {
    name: Spelling(char, rf"\{latex}", typst)
    for name, char, latex, typst in (
        ("alpha", "α", "alpha", "alpha"),
        ("beta", "β", "beta", "beta"),
        ("gamma", "γ", "gamma", "gamma"),
        ("delta", "δ", "delta", "delta"),
        ("epsilon", "ε", "varepsilon", "epsilon"),
        ("varepsilon", "ε", "varepsilon", "epsilon"),
        ("zeta", "ζ", "zeta", "zeta"),
        ("eta", "η", "eta", "eta"),
        ("theta", "θ", "theta", "theta"),
        ("iota", "ι", "iota", "iota"),
        ("kappa", "κ", "kappa", "kappa"),
        ("lambda", "λ", "lambda", "lambda"),
        ("lamda", "λ", "lambda", "lambda"),
        ("mu", "μ", "mu", "mu"),
        ("nu", "ν", "nu", "nu"),
        ("xi", "ξ", "xi", "xi"),
        ("pi", "π", "pi", "pi"),
        ("rho", "ρ", "rho", "rho"),
        ("sigma", "σ", "sigma", "sigma"),
        ("tau", "τ", "tau", "tau"),
        ("upsilon", "υ", "upsilon", "upsilon"),
        ("phi", "φ", "varphi", "phi"),
        ("varphi", "φ", "varphi", "phi"),
        ("chi", "χ", "chi", "chi"),
        ("psi", "ψ", "psi", "psi"),
        ("omega", "ω", "omega", "omega"),
        ("Gamma", "Γ", "Gamma", "Gamma"),
        ("Delta", "Δ", "Delta", "Delta"),
        ("Theta", "Θ", "Theta", "Theta"),
        ("Lambda", "Λ", "Lambda", "Lambda"),
        ("Xi", "Ξ", "Xi", "Xi"),
        ("Pi", "Π", "Pi", "Pi"),
        ("Sigma", "Σ", "Sigma", "Sigma"),
        ("Upsilon", "Υ", "Upsilon", "Upsilon"),
        ("Phi", "Φ", "Phi", "Phi"),
        ("Psi", "Ψ", "Psi", "Psi"),
        ("Omega", "Ω", "Omega", "Omega"),
    )
}
GREEK |= {sign.char: sign for sign in tuple(GREEK.values())}

GLYPHS: dict[str, Spelling] = {
    "infinity": Spelling("∞", r"\infty", "infinity"),
    "e": Spelling("e", "e", "e"),
    "i": Spelling("i", "i", "i"),
    "pi": Spelling("π", r"\pi", "pi"),
    "euler_gamma": Spelling("γ", r"\gamma", "gamma"),
    "nabla": Spelling("∇", r"\nabla", "nabla"),
    "partial": Spelling("∂", r"\partial", "partial"),
    "d": Spelling("d", r"\mathrm{d}", "dif"),
    "ellipsis": Spelling("…", r"\dots", "dots.h"),
    "star": Spelling("*", "*", "ast"),
    "expectation": Spelling("𝔼", r"\mathbb{E}", "bb(E)"),
    "probability": Spelling("ℙ", r"\mathbb{P}", "bb(P)"),
    "indicator": Spelling("𝟙", r"\mathbf{1}", "bb(1)"),
    "ones": Spelling("𝟏", r"\mathbf{1}", "bold(1)"),
    "transpose": Spelling("⊤", r"\top", "top"),
    "reals": Spelling("ℝ", r"\mathbb{R}", "bb(R)"),
    "integers": Spelling("ℤ", r"\mathbb{Z}", "bb(Z)"),
    "naturals": Spelling("ℕ", r"\mathbb{N}", "bb(N)"),
}

#: Signs between operands: relations, products, logic.
INFIX: dict[str, Spelling] = {
    sign.char: sign
    for sign in (
        Spelling("=", "=", "eq"),
        Spelling("≠", r"\neq", "eq.not"),
        Spelling("<", "<", "lt"),
        Spelling(">", ">", "gt"),
        Spelling("≤", r"\leq", "lt.eq"),
        Spelling("≥", r"\geq", "gt.eq"),
        Spelling("≈", r"\approx", "approx"),
        Spelling("≡", r"\equiv", "equiv"),
        Spelling("∈", r"\in", "in"),
        Spelling("∉", r"\notin", "in.not"),
        Spelling("⊂", r"\subset", "subset"),
        Spelling("∼", r"\sim", "tilde.op"),
        Spelling("∝", r"\propto", "prop"),
        Spelling("→", r"\to", "arrow.r"),
        Spelling("↦", r"\mapsto", "arrow.r.bar"),
        Spelling("⇒", r"\Rightarrow", "arrow.r.double"),
        Spelling("⇔", r"\Leftrightarrow", "arrow.l.r.double"),
        Spelling("⪰", r"\succeq", "succ.eq"),
        Spelling("⪯", r"\preceq", "prec.eq"),
        Spelling("∣", r"\mid", "divides"),
        Spelling("∧", r"\land", "and"),
        Spelling("∨", r"\lor", "or"),
        Spelling("·", r"\cdot", "dot.op"),
        Spelling("⊙", r"\odot", "dot.o"),
        Spelling("⊗", r"\otimes", "times.o"),
        Spelling("⊘", r"\oslash", "slash.o"),
        Spelling("×", r"\times", "times"),
    )
}

MARKS: dict[str, Spelling] = {
    "+": Spelling("+", "+", "plus"),
    "-": Spelling("−", "-", "minus"),
    "=": Spelling("=", "=", "eq"),
    ",": Spelling(",", ",", "comma"),
    "*": Spelling("*", "*", "ast"),
    "/": Spelling("/", "/", "slash"),
    ":": Spelling(":", ":", "colon"),
    "|": Spelling("|", "|", "bar.v"),
    "⊙": Spelling("⊙", r"\odot", "dot.o"),
}

DELIMITERS: dict[str, Spelling] = {
    "(": Spelling("(", "(", "paren.l"),
    ")": Spelling(")", ")", "paren.r"),
    "[": Spelling("[", "[", "bracket.l"),
    "]": Spelling("]", "]", "bracket.r"),
    "{": Spelling("{", r"\{", "brace.l"),
    "}": Spelling("}", r"\}", "brace.r"),
    "|": Spelling("|", "|", "bar.v"),
    "‖": Spelling("‖", r"\|", "bar.v.double"),
    "⟨": Spelling("⟨", r"\langle", "chevron.l"),
    "⟩": Spelling("⟩", r"\rangle", "chevron.r"),
    "⌊": Spelling("⌊", r"\lfloor", "floor.l"),
    "⌋": Spelling("⌋", r"\rfloor", "floor.r"),
    "⌈": Spelling("⌈", r"\lceil", "ceil.l"),
    "⌉": Spelling("⌉", r"\rceil", "ceil.r"),
}

#: Combining character (text, MathML accent), LaTeX command, Typst function.
ACCENTS: dict[str, tuple[str, str, str, str]] = {
    "hat": ("\u0302", "^", "hat", "hat"),
    "bar": ("\u0304", "¯", "bar", "macron"),
    "tilde": ("\u0303", "~", "tilde", "tilde"),
    "dot": ("\u0307", "˙", "dot", "dot"),
    "vec": ("\u20d7", "→", "vec", "arrow"),
    "overline": ("\u0305", "¯", "overline", "overline"),
}

SUPERSCRIPTS = str.maketrans("0123456789+-−()nijkltT⊤", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ⁿⁱʲᵏˡᵗᵀᵀ")
SUBSCRIPTS = str.maketrans("0123456789+-−()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")

_DECIMAL = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)


def is_decimal(text: str) -> bool:
    """Whether `text` is an unsigned decimal, with or without an exponent."""
    return _DECIMAL.fullmatch(text) is not None


def is_small(text: str, table: dict[int, int]) -> bool:
    """Whether every character of `text` has a raised (or lowered) form in `table`."""
    return bool(text) and all(ord(char) in table for char in text)
