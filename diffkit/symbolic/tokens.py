"""Formula text cut into tokens: the only place that looks at characters.

Whatever is not a token of the grammar is refused here with its remedy, before anything is
built: quotes, attributes, invisible characters, letters of other alphabets.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from diffkit.core.errors import ParseError

MAX_LENGTH = 10_000
MAX_NAME = 64
#: Digits a number may have; more is no formula but an attack on the arithmetic behind it.
MAX_DIGITS = 1000

TokenKind = Literal["number", "name", "operator", "superscript", "end"]

_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OPERATOR = re.compile(r"\*\*|<=|>=|==|!=|[-+*/^(),<>]")
_SAME_OPERATOR = {
    "^": "**",
    "\N{MINUS SIGN}": "-",
    "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*",
    "\N{MULTIPLICATION SIGN}": "*",
    "\N{ASTERISK OPERATOR}": "*",
    "\N{DIVISION SIGN}": "/",
    "\N{DIVISION SLASH}": "/",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{NOT EQUAL TO}": "!=",
}
_SAME_NAME = {
    "\N{INFINITY}": "oo",
    "\N{SQUARE ROOT}": "sqrt",
    "\N{MICRO SIGN}": "mu",
    "\N{GREEK LUNATE EPSILON SYMBOL}": "epsilon",
    "\N{GREEK THETA SYMBOL}": "theta",
    "\N{GREEK PHI SYMBOL}": "phi",
    "\N{GREEK RHO SYMBOL}": "rho",
    "\N{GREEK KAPPA SYMBOL}": "kappa",
    "\N{GREEK PI SYMBOL}": "pi",
    "\N{GREEK SMALL LETTER FINAL SIGMA}": "sigma",
}
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lamda mu nu xi omicron pi rho "
    "sigma tau upsilon phi chi psi omega"
)
_LETTERS = {
    **{
        unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}"): name.replace("lamda", "lambda")
        for name in _GREEK.split()
    },
    **{
        unicodedata.lookup(f"GREEK CAPITAL LETTER {name.upper()}"): name.replace(
            "lamda", "lambda"
        ).capitalize()
        for name in _GREEK.split()
    },
    **{chr(0x2080 + digit): str(digit) for digit in range(10)},
    **{name: spelled for name, spelled in _SAME_NAME.items() if name not in "\u221e\u221a"},
}
_SUPERSCRIPTS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b", "0123456789+-"
)
_REMEDIES = {
    "=": "write == for an equation; `=` assigns",
    "@": "the matrix product needs arrays: check a JAX function of them instead of text",
    "!": "write factorial(n)",
    ".": "a formula has no attributes; a number needs digits next to its point",
    "'": "a formula holds no text; write Derivative(f, x) for a derivative",
    '"': "a formula holds no text",
    "`": "a formula holds no text",
    "[": "write round parentheses; an index becomes part of the name, such as x_1",
    "]": "write round parentheses; an index becomes part of the name, such as x_1",
    "{": "write round parentheses",
    "}": "write round parentheses",
    "|": "write abs(x), or `or` between two conditions",
    "&": "write `and` between two conditions",
    "~": "write `not` before a condition",
    "%": "write x - n*floor(x/n) for a remainder, p/100 for a percentage",
    ":": "write where(condition, a, b) for a choice, (x, a, b) for a range",
    ";": "one formula at a time",
    "\\": "this is LaTeX; write sqrt(x), alpha, ... as plain names",
    "$": "leave the dollar signs out",
    "#": "leave comments out",
    "?": "write where(condition, a, b) for a choice",
    "_": "a name begins with a letter",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text with a meaning.

    Args:
        kind: What it is.
        text: Its spelling, normalised ("^" is "**", a Greek letter is its name).
        position: Offset in the text.
        value: The exact value of a number, the exponent of a superscript.
    """

    kind: TokenKind
    text: str
    position: int
    value: Fraction = Fraction(0)


def tokenise(text: str) -> list[Token]:
    """Cut `text` into tokens; the last one has kind "end".

    Raises:
        ParseError: a character or number that no formula holds, or too much text.

    >>> [token.text for token in tokenise("2*x^2")]
    ['2', '*', 'x', '**', '2', '']
    """
    if len(text) > MAX_LENGTH:
        raise ParseError(
            f"the text has {len(text)} characters; a formula has at most {MAX_LENGTH}: split it",
            visible(text[: MAX_LENGTH + 1]),
            MAX_LENGTH,
        )
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        if text[position] in " \t\r\n":
            position += 1
            continue
        token, position = _next(text, position)
        tokens.append(token)
    tokens.append(Token("end", "", len(text)))
    return tokens


def _next(text: str, position: int) -> tuple[Token, int]:
    """The token that starts at `position` and where the one after it may start."""
    letter = text[position]
    if match := _NUMBER.match(text, position):
        return _number(text, match), match.end()
    if match := _OPERATOR.match(text, position):
        spelled = _SAME_OPERATOR.get(match.group(), match.group())
        return Token("operator", spelled, position), match.end()
    if letter in _SAME_OPERATOR:
        return Token("operator", _SAME_OPERATOR[letter], position), position + 1
    if letter in "\u221e\u221a":
        return Token("name", _SAME_NAME[letter], position), position + 1
    if ord(letter) in _SUPERSCRIPTS:
        return _superscript(text, position)
    if _is_name_part(letter) and letter != "_" and not _is_subscript(letter):
        return _name(text, position)
    raise ParseError(_refusal(letter), visible(text), position)


def spelled_out(name: str) -> str:
    """A name as formula text spells it: a Greek letter is its name.

    >>> spelled_out("\N{GREEK SMALL LETTER THETA}_1")
    'theta_1'
    """
    return "".join(_LETTERS.get(letter, letter) for letter in name)


def visible(text: str) -> str:
    """`text` with what would act on a terminal replaced, so that an error can quote it."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if _is_invisible(letter) else letter for letter in text
    )


def _is_invisible(letter: str) -> bool:
    return letter not in "\t\r\n" and unicodedata.category(letter)[0] == "C"


def _number(text: str, match: re.Match[str]) -> Token:
    spelled = match.group()
    mantissa, _, exponent = spelled.lower().partition("e")
    if len(mantissa) > MAX_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) >= MAX_DIGITS:
        raise ParseError(
            f"a number has at most {MAX_DIGITS} digits; write a name for a larger one",
            visible(text),
            match.start(),
        )
    return Token("number", spelled, match.start(), Fraction(spelled))


def _superscript(text: str, position: int) -> tuple[Token, int]:
    end = position
    while end < len(text) and ord(text[end]) in _SUPERSCRIPTS:
        end += 1
    spelled = text[position:end].translate(_SUPERSCRIPTS)
    if not re.fullmatch(r"[+-]?[0-9]{1,6}", spelled):
        raise ParseError(
            "a raised exponent is a whole number; write x**(...)", visible(text), position
        )
    return Token("superscript", spelled, position, Fraction(spelled)), end


def _name(text: str, position: int) -> tuple[Token, int]:
    end = position
    while end < len(text) and _is_name_part(text[end]):
        end += 1
    name = spelled_out(text[position:end])
    if end - position > MAX_NAME:
        raise ParseError(f"a name has at most {MAX_NAME} characters", visible(text), position)
    return Token("name", name, position), end


def _is_name_part(letter: str) -> bool:
    return (letter.isascii() and (letter.isalnum() or letter == "_")) or letter in _LETTERS


def _is_subscript(letter: str) -> bool:
    return "\u2080" <= letter <= "\u2089"


def _refusal(letter: str) -> str:
    """Why `letter` is in no formula, and what to write instead."""
    if letter in _REMEDIES:
        return f"{letter!r} is not part of a formula: {_REMEDIES[letter]}"
    name = unicodedata.name(letter, f"U+{ord(letter):04X}").lower()
    if _is_invisible(letter):
        return f"the invisible character U+{ord(letter):04X} is not part of a formula: delete it"
    if letter.isalpha():
        return f"the letter {letter!r} ({name}) is not read; use Latin or Greek letters"
    return f"{letter!r} ({name}) is not part of a formula: delete it or spell it out"
