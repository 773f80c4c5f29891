"""The grammar of array text: NumPy expressions to a tree, before any array is built.

From loose to tight, as in Python: or, and, not, comparisons, |, &, sums, products (`*`, `/`, `@`
in one row), a sign, powers (which group to the right), then calls, attributes and indices.
Names may carry a library's prefix: jnp.linalg.inv is inv.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from diffkit.core.errors import ParseError
from diffkit.symbolic import tokens as scalar
from diffkit.symbolic.tokens import MAX_DIGITS, MAX_NAME, visible
from diffkit.tensor.notation.syntax import Cursor, Token, Tree, check_length

#: Modules whose functions are named here without them.
MODULES = frozenset(
    "jnp np jax numpy scipy jsp jsl jss nn linalg special lax math sp torch jax_numpy".split()
)

_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[^\W\d]\w*")
_SYMBOL = re.compile(r"\*\*|<=|>=|==|!=|->|\.\.\.|[-+*/@^(),<>&|~\[\]:.=]")
_QUOTED = re.compile(r"'([^'\n]{0,200})'|\"([^\"\n]{0,200})\"")
_REFUSED = {
    "{": "write round parentheses",
    "}": "write round parentheses",
    ";": "one formula at a time",
    "\\": "this is LaTeX, which is read by read_latex",
    "!": "write factorial(n), or != for a comparison",
}
_WORDS = {
    "lambda": "write the formula itself, without lambda and its arguments",
    "if": "write where(condition, a, b) for a choice",
    "else": "write where(condition, a, b) for a choice",
    "for": "write a sum or einsum of arrays instead of a loop",
    "in": "write a comparison such as x > 0",
    "is": "write == for a comparison",
    "import": "a formula imports nothing",
    "def": "a formula defines nothing",
    "return": "leave `return` out",
}

OR, AND, NOT, COMPARE, UNION, BOTH, SUM, PRODUCT, SIGN, POWER = range(1, 11)
_LEVELS = {
    "or": OR,
    "and": AND,
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), COMPARE),
    "|": UNION,
    "&": BOTH,
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "@"), PRODUCT),
    "**": POWER,
}
_KINDS = {
    OR: "or",
    AND: "and",
    COMPARE: "compare",
    UNION: "or",
    BOTH: "and",
    SUM: "sum",
    PRODUCT: "product",
}


def tokenise(text: str) -> list[Token]:
    """Cut array text into tokens; the last one has kind "end".

    >>> [token.text for token in tokenise("X.T @ x**2")]
    ['X', '.', 'T', '@', 'x', '**', '2', '']
    """
    check_length(text)
    found: list[Token] = []
    position = 0
    while position < len(text):
        if text[position] in " \t\r\n":
            position += 1
            continue
        token = _next(text, position)
        found.append(token)
        position = token.end
    found.append(Token("end", "", len(text), end=len(text)))
    return found


def _next(text: str, position: int) -> Token:
    if match := _NUMBER.match(text, position):
        return number_token(text, match)
    if match := _NAME.match(text, position):
        name = match.group()
        if len(name) > MAX_NAME:
            raise ParseError(f"a name has at most {MAX_NAME} characters", visible(text), position)
        if not name.isascii():
            name = _spelled(text, name, position)
        if name.startswith("_"):
            raise ParseError("a name begins with a letter", visible(text), position)
        return Token("name", name, position, end=match.end())
    if match := _SYMBOL.match(text, position):
        spelled = "**" if match.group() == "^" else match.group()
        return Token("symbol", spelled, position, end=match.end())
    if match := _QUOTED.match(text, position):
        return Token("quoted", match.group(1) or match.group(2) or "", position, end=match.end())
    letter = text[position]
    if letter in _REFUSED:
        reason = f"{letter!r} is not part of an array formula: {_REFUSED[letter]}"
        raise ParseError(reason, visible(text), position)
    return Token("symbol", _spelled(text, letter, position), position, end=position + 1)


def number_token(text: str, match: re.Match[str]) -> Token:
    """A number, exactly."""
    spelled = match.group()
    mantissa, _, exponent = spelled.lower().partition("e")
    if len(mantissa) > MAX_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) >= MAX_DIGITS:
        reason = f"a number has at most {MAX_DIGITS} digits; write a name for a larger one"
        raise ParseError(reason, visible(text), match.start())
    return Token("number", spelled, match.start(), Fraction(spelled), match.end())


def _spelled(text: str, piece: str, position: int) -> str:
    """A name or sign of another alphabet as scalar text spells it."""
    try:
        found = scalar.tokenise(piece)
    except ParseError as error:
        raise ParseError(error.reason, visible(text), position + error.position) from None
    if found[0].kind == "superscript":
        raise ParseError("write a raised exponent as x**2", visible(text), position)
    if len(found) != 2 or found[0].kind not in ("name", "operator"):
        raise ParseError(
            "this sign is not read; write it in plain letters", visible(text), position
        )
    return found[0].text


def read(text: str, names: Collection[str] = ()) -> Tree:
    """Read the tree of an array formula.

    Args:
        text: The formula.
        names: Names of arrays, which win over those of modules.

    Kinds: number, name, call, method, attribute, index, tuple, list, quoted, negate, power, not,
    and the chained sum, product, compare, and, or.

    Raises:
        ParseError: the text does not follow the grammar.
    """
    tokens = tokenise(text)
    if len(tokens) == 1:
        raise ParseError("the formula is empty; write one such as A @ x", text, 0)
    reader = _Reader(text, tokens, names=frozenset(names))
    tree = reader.expression(OR)
    if reader.current.kind != "end":
        reader.refuse_rest()
    return tree


@dataclass
class _Reader(Cursor):
    """Operator precedence over the tokens of array text."""

    names: frozenset[str] = frozenset()

    def level(self) -> int:
        token = self.current
        return _LEVELS.get(token.text, 0) if token.kind in ("symbol", "name") else 0

    def expression(self, minimum: int) -> Tree:
        self.enter()
        left = self.operand()
        while (level := self.level()) and level >= minimum:
            left = self.power(left) if level == POWER else self.chain(left, level)
        self.leave()
        return left

    def chain(self, first: Tree, level: int) -> Tree:
        position = self.current.position
        operands, operators = [first], []
        while self.level() == level:
            operators.append(self.advance().text)
            operands.append(self.expression(level + 1))
        return Tree(_KINDS[level], position, args=tuple(operands), operators=tuple(operators))

    def power(self, base: Tree) -> Tree:
        token = self.advance()
        return Tree("power", token.position, args=(base, self.expression(POWER)))

    def operand(self) -> Tree:
        token = self.advance()
        if token.text in ("-", "+", "~") and token.kind == "symbol":
            inner = self.expression(SIGN)
            kind = {"-": "negate", "~": "not"}.get(token.text)
            return inner if kind is None else Tree(kind, token.position, args=(inner,))
        if token.text == "not" and token.kind == "name":
            return Tree("not", token.position, args=(self.expression(COMPARE),))
        return self.postfix(self.primary(token))

    def primary(self, token: Token) -> Tree:
        if token.kind == "number":
            return Tree("number", token.position, value=token.value)
        if token.kind == "quoted":
            return Tree("quoted", token.position, name=token.text)
        if token.kind == "name":
            return self.named(token)
        if token.text == "(":
            return self.group(token)
        if token.text == "[":
            items, _ = self.items(token, "]")
            return Tree("list", token.position, args=items)
        if token.kind == "end":
            self.fail("the formula ends where a number, a name or ( must follow", token)
        raise self.error(
            f"a number, a name or ( must come before {token.text!r}; complete or delete it", token
        )

    def named(self, token: Token) -> Tree:
        if token.text in _WORDS:
            reason = f"`{token.text}` is not part of a formula: {_WORDS[token.text]}"
            self.fail(reason, token)
        if token.text in ("and", "or"):
            self.fail(f"a condition must come before {token.text!r}", token)
        name, prefix = token.text, ""
        while name in MODULES - self.names and self.at(".") and self.following.kind == "name":
            self.advance()
            prefix, name = f"{prefix}{name}.", self.advance().text
        return Tree("name", token.position, name=name, extra=(prefix,))

    def group(self, opening: Token) -> Tree:
        items, is_tuple = self.items(opening, ")")
        if len(items) == 1 and not is_tuple:
            return items[0]
        return Tree("tuple", opening.position, args=items)

    def items(self, opening: Token, closing: str) -> tuple[tuple[Tree, ...], bool]:
        """Expressions separated by commas, and whether a comma was among them."""
        items: list[Tree] = []
        has_comma = False
        while not self.takes(closing):
            items.append(self.expression(OR))
            if self.takes(","):
                has_comma = True
            else:
                self.close(closing, opening)
                break
        return tuple(items), has_comma or not items

    def close(self, closing: str, opening: Token) -> None:
        if not self.at(closing) and self.current.kind != "end":
            self.refuse_rest()
        self.expect(closing, opening)

    def postfix(self, tree: Tree) -> Tree:
        """Calls, attributes and indices after an operand."""
        while self.at("(", "[", "."):
            self.enter()
            token = self.advance()
            if token.text == "(":
                tree = self.call(tree, token)
            elif token.text == "[":
                tree = Tree("index", token.position, args=(tree, *self.entries(token)))
            else:
                name = self.advance()
                if name.kind != "name":
                    self.fail("a name such as T must follow the point", name)
                tree = Tree("attribute", name.position, name=name.text, args=(tree,))
            self.leave()
        return tree

    def call(self, callee: Tree, opening: Token) -> Tree:
        args: list[Tree] = []
        keywords: list[tuple[str, Tree]] = []
        while not self.takes(")"):
            if self.current.kind == "name" and self.following.text == "=":
                name = self.advance().text
                self.advance()
                keywords.append((name, self.expression(OR)))
            elif keywords:
                self.fail("an argument by position cannot follow one by name", self.current)
            else:
                args.append(self.expression(OR))
            if not self.takes(","):
                self.close(")", opening)
                break
        if callee.kind not in ("name", "attribute"):
            self.fail("only a function is called; write * for a product", opening)
        kind = "call" if callee.kind == "name" else "method"
        return Tree(
            kind,
            callee.position,
            name=callee.name,
            args=(*callee.args, *args),
            keywords=tuple(keywords),
            extra=callee.extra,
        )

    def entries(self, opening: Token) -> tuple[Tree, ...]:
        """What stands in the brackets of an index."""
        entries: list[Tree] = []
        while not self.takes("]"):
            entries.append(self.entry())
            if not self.takes(","):
                self.close("]", opening)
                break
        if not entries:
            self.fail("an index names an entry: x[0]", opening)
        return tuple(entries)

    def entry(self) -> Tree:
        token = self.current
        if self.takes("..."):
            return Tree("ellipsis", token.position)
        parts: list[Tree | None] = [None, None, None]
        count = 0
        while True:
            if not self.at(":", ",", "]"):
                if parts[count] is not None:
                    self.refuse_rest()
                parts[count] = self.expression(OR)
            if count == 2 or not self.takes(":"):
                break
            count += 1
        if count:
            return Tree("slice", token.position, args=tuple(parts))
        (entry, *_) = parts
        if entry is None:
            self.fail("an index names an entry: x[0]", token)
        return entry

    def refuse_rest(self) -> None:
        """Say why the next token cannot follow a value."""
        token, before = self.current, self.tokens[self.index - 1]
        if token.text in _WORDS and token.kind == "name":
            reason = f"`{token.text}` is not part of a formula: {_WORDS[token.text]}"
            self.fail(reason, token)
        if token.kind in ("number", "name", "quoted"):
            left = before.text if len(before.text) <= 20 else "..."
            right = token.text if len(token.text) <= 20 else "..."
            self.fail(
                f"an operator is missing between {left} and {right}: write {left}*{right} "
                f"for entries, {left}@{right} for matrices",
                token,
            )
        if token.text in (")", "]"):
            self.fail(f"this {token.text} closes nothing; delete it or open it", token)
        if token.text == ",":
            self.fail("a comma only separates the arguments of a function; delete it", token)
        if token.text == "=":
            self.fail("write == for a comparison; `=` assigns", token)
        self.fail(f"{token.text!r} cannot stand here; delete it", token)
