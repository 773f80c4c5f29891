r"""Functions and big operators of LaTeX formulas: where their arguments end.

A function in parentheses takes these; \log, \sin, \mathrm{tr} and their like also take the factors
beside them, up to an operator or the next function; any other takes one factor.
"""

from collections.abc import Callable, Mapping
from typing import Any

from diffkit.tensor.notation.latex_names import (
    BIG,
    COMMANDS,
    LETTER_FUNCTIONS,
    LOOSE,
    MACROS,
    function_of_word,
)
from diffkit.tensor.notation.syntax import Token, Tree

#: The reader of the grammar (`latex_grammar._Reader`).
Reader = Any
#: Opening brackets and what closes them.
BRACKETS = {"(": ")", "[": "]", "\\{": "\\}", "langle": "rangle"}


def call(reader: Reader, name: str, token: Token) -> Tree:
    """A function with its primes, power and index, and its arguments."""
    primes = 0
    while reader.takes("'"):
        primes += 1
    exponent: Tree | None = None
    index: tuple[Token, ...] = ()
    while reader.at("^", "_"):
        if reader.takes("_"):
            index = reader.raw_argument()
        else:
            reader.advance()
            exponent = reader.argument()
    if name in ("max", "min") and index:
        return big(reader, name, token, index)
    args = arguments(reader, name, token)
    result = Tree(
        "call", token.position, name=name, args=args, extra=index, operators=("'",) * primes
    )
    if exponent is None:
        return result
    if exponent.kind == "negate":
        reader.fail(f"write \\arc{name} or 1/\\{name}(...): a raised -1 can mean both", token)
    return Tree("entry_power", token.position, args=(result, exponent))


def arguments(reader: Reader, name: str, token: Token) -> tuple[Tree, ...]:
    """The arguments of a function, in brackets or beside it."""
    if reader.at("(", "[", "\\{"):
        opening = reader.advance()
        inner = reader.enclosed((BRACKETS[opening.text],), opening)
        return inner.args if inner.kind == "tuple" else (inner,)
    if not reader.starts_factor():
        reader.fail(f"the argument of {name} is missing: write {name}(x)", token)
    factors = [reader.factor()]
    while reader.starts_factor() and not starts_function(reader):
        if name not in LOOSE or reader.at("(", "[", "\\{"):
            reader.fail(f"put the argument of {name} in parentheses: its end is unclear", token)
        factors.append(reader.factor())
    if len(factors) == 1:
        return (factors[0],)
    return (Tree("juxtapose", factors[0].position, args=tuple(factors)),)


def starts_function(reader: Reader) -> bool:
    """Whether a function or a big operator comes next, which ends a loose argument."""
    token = reader.current
    if token.kind == "word":
        return token.text not in reader.names and bool(function_of_word(token.text))
    is_letter = token.text in LETTER_FUNCTIONS and token.text not in reader.names
    return token.kind == "command" and (
        token.text in COMMANDS
        or token.text in MACROS
        or token.text in BIG
        or (is_letter and calls_at_next(reader))
    )


def calls_next(reader: Reader) -> bool:
    """Whether a parenthesis follows, perhaps after primes."""
    place = reader.index
    while reader.tokens[place].text == "'":
        place += 1
    return reader.tokens[place].text in ("(", "[") and reader.tokens[place].kind == "symbol"


def calls_at_next(reader: Reader) -> bool:
    """Whether a parenthesis follows the next token."""
    reader.index += 1
    found = calls_next(reader)
    reader.index -= 1
    return found


def big(reader: Reader, name: str, token: Token, index: tuple[Token, ...] = ()) -> Tree:
    """A sum, product, maximum or minimum over index letters, over the rest of the term."""
    upper: tuple[Token, ...] = ()
    while reader.at("_", "^"):
        if reader.advance().text == "_":
            index = reader.raw_argument()
        else:
            upper = reader.raw_argument()
    reader.enter()
    body = reader.signed_term()
    reader.leave()
    return Tree("big", token.position, name=name, args=(body,), extra=(index, upper))


def fraction(reader: Reader, token: Token) -> Tree:
    r"""\frac{a}{b} and \frac12."""
    above, below = reader.argument(), reader.argument()
    if "d" not in reader.names and _is_differential(above) and _is_differential(below):
        reader.fail("a derivative only stands on the left of =; give its value", token)
    return Tree("fraction", token.position, args=(above, below))


def _is_differential(tree: Tree) -> bool:
    """Whether a tree is dx."""
    first = tree.args[0] if tree.kind == "juxtapose" else tree
    return first.kind == "symbol" and first.name == "d"


def root(reader: Reader, token: Token) -> Tree:
    r"""\sqrt{x} and \sqrt[3]{x}."""
    order: Tree | None = None
    if reader.at("["):
        opening = reader.advance()
        order = reader.enclosed(("]",), opening)
    return Tree("root", token.position, args=(reader.argument(), order))


def binomial(reader: Reader, token: Token) -> Tree:
    r"""\binom{n}{k}."""
    args = (reader.argument(), reader.argument())
    return Tree("call", token.position, name="binomial", args=args)


def modulus(reader: Reader, token: Token) -> Tree:
    r"""\abs{x}."""
    return Tree("abs", token.position, args=(reader.argument(),))


def norm(reader: Reader, token: Token) -> Tree:
    r"""\norm{x}; its index is read with the other scripts."""
    return Tree("norm", token.position, args=(reader.argument(),))


#: Commands that are followed by arguments in braces.
FORMS: Mapping[str, Callable[[Reader, Token], Tree]] = {
    "frac": fraction,
    "sqrt": root,
    "binom": binomial,
    "abs": modulus,
    "norm": norm,
}
