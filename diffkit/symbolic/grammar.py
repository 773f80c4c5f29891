"""The grammar of formulas: tokens to a tree of plain nodes, before SymPy sees anything.

From loose to tight: `or`, `and`, `not`, comparisons (which chain), sums, products, a sign, powers
(which group to the right: -x**2 is -(x**2)).  Operators of one level make one node with all its
operands, so a sum of a thousand terms is flat; nesting is limited.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from diffkit.core.errors import ParseError
from diffkit.symbolic.tokens import Token, tokenise

#: Parentheses, signs and powers inside each other. Formulas people write stay below 20.
MAX_DEPTH = 50

OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, POWER = range(1, 9)
_LEVELS = {
    "or": OR,
    "and": AND,
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), COMPARE),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/"), PRODUCT),
    "**": POWER,
}
_KINDS = {OR: "or", AND: "and", COMPARE: "compare", SUM: "sum", PRODUCT: "product"}
_WORDS = {
    "if": "write where(condition, a, b) for a choice",
    "else": "write where(condition, a, b) for a choice",
    "for": "write Sum(f, (i, 1, n)) for a sum",
    "in": "write a comparison such as 0 < x",
    "is": "write == for an equation",
    "import": "a formula imports nothing",
    "def": "a formula defines nothing",
    "return": "leave `return` out",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree.

    Args:
        kind: number, name, call, tuple, negate, power, or one of the chained levels.
        position: Offset in the text, for errors.
        name: The name, or the function called.
        args: The operands.
        operators: The operator before each operand but the first.
        value: The exact value of a number.
    """

    kind: str
    position: int
    name: str = ""
    args: tuple["Node", ...] = ()
    operators: tuple[str, ...] = ()
    value: Fraction = Fraction(0)


def read(text: str) -> Node:
    """Read the tree of a formula.

    Raises:
        ParseError: `text` does not follow the grammar.

    >>> read("-x**2").kind, read("a - b + c").operators
    ('negate', ('-', '+'))
    """
    tokens = tokenise(text)
    if len(tokens) == 1:
        raise ParseError("the formula is empty; write one such as x**2", text, 0)
    reader = _Reader(text, tokens)
    node = reader.expression(OR)
    if reader.current.kind != "end":
        raise reader.unexpected_after_value()
    return node


@dataclass
class _Reader:
    text: str
    tokens: list[Token]
    index: int = field(default=0)
    depth: int = field(default=0)

    @property
    def current(self) -> Token:
        return self.tokens[self.index]

    def advance(self) -> Token:
        token = self.tokens[self.index]
        self.index += 1
        return token

    def error(self, reason: str, token: Token) -> ParseError:
        return ParseError(reason, self.text, token.position)

    def level(self) -> int:
        """Binding strength of the operator that comes next; 0 if none does."""
        token = self.current
        if token.kind == "superscript":
            return POWER
        return _LEVELS.get(token.text, 0) if token.kind in ("operator", "name") else 0

    def expression(self, minimum: int) -> Node:
        """Read operands joined by operators at least as tight as `minimum`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(
                f"more than {MAX_DEPTH} levels are nested; name a part and use its name",
                self.current,
            )
        left = self.operand()
        while (level := self.level()) and level >= minimum:
            left = self.power(left) if level == POWER else self.chain(left, level)
        self.depth -= 1
        return left

    def chain(self, first: Node, level: int) -> Node:
        """Read all operators of one level that follow `first`."""
        position = self.current.position
        operands, operators = [first], []
        while self.level() == level:
            operators.append(self.advance().text)
            operands.append(self.expression(level + 1))
        return Node(_KINDS[level], position, args=tuple(operands), operators=tuple(operators))

    def power(self, base: Node) -> Node:
        token = self.advance()
        if token.kind == "superscript":
            exponent = Node("number", token.position, value=token.value)
        else:
            exponent = self.expression(POWER)
        return Node("power", token.position, args=(base, exponent))

    def operand(self) -> Node:
        """Read a number, a name, a call, something in parentheses, or a sign before one."""
        token = self.advance()
        if token.kind == "number":
            return Node("number", token.position, value=token.value)
        if token.kind == "name":
            return self.named(token)
        if token.text == "(":
            return self.group(token)
        if token.text == "-":
            return Node("negate", token.position, args=(self.expression(SIGN),))
        if token.text == "+":
            return self.expression(SIGN)
        raise self.missing_operand(token)

    def named(self, token: Token) -> Node:
        if token.text == "not":
            return Node("not", token.position, args=(self.expression(COMPARE),))
        if token.text in ("and", "or"):
            raise self.missing_operand(token)
        if token.text in _WORDS:
            raise self.error(
                f"`{token.text}` is not part of a formula: {_WORDS[token.text]}", token
            )
        if self.current.text != "(" or self.current.kind != "operator":
            return Node("name", token.position, name=token.text)
        opening = self.advance()
        return Node("call", token.position, name=token.text, args=self.items(opening))

    def group(self, opening: Token) -> Node:
        items = self.items(opening)
        if not items:
            raise self.error("nothing stands between these parentheses", opening)
        return items[0] if len(items) == 1 else Node("tuple", opening.position, args=items)

    def items(self, opening: Token) -> tuple[Node, ...]:
        """Read expressions separated by commas up to the closing parenthesis."""
        items: list[Node] = []
        while not self.takes(")"):
            items.append(self.expression(OR))
            if self.takes(")"):
                break
            if not self.takes(","):
                if self.current.kind == "end":
                    raise self.error(
                        "this parenthesis is never closed; write ) at its end", opening
                    )
                raise self.unexpected_after_value()
        return tuple(items)

    def takes(self, symbol: str) -> bool:
        """Step over `symbol` if it comes next."""
        if self.current.kind == "operator" and self.current.text == symbol:
            self.index += 1
            return True
        return False

    def missing_operand(self, token: Token) -> ParseError:
        if token.kind == "end":
            return self.error("the formula ends where a number, a name or ( must follow", token)
        return self.error(
            f"a number, a name or ( must come before {token.text!r}; complete or delete it", token
        )

    def unexpected_after_value(self) -> ParseError:
        token = self.current
        before = self.tokens[self.index - 1]
        if token.text in _WORDS:
            return self.error(
                f"`{token.text}` is not part of a formula: {_WORDS[token.text]}", token
            )
        if token.kind in ("number", "name") or token.text == "(":
            left = before.text if len(before.text) <= 20 else "..."
            right = token.text if len(token.text) <= 20 else "..."
            return self.error(
                f"an operator is missing between {left} and {right}: "
                f"write {left}*{right} for a product",
                token,
            )
        if token.text == ")":
            return self.error("this parenthesis closes nothing; delete it or open it with (", token)
        if token.text == ",":
            return self.error(
                "a comma only separates the arguments of a function; delete it", token
            )
        return self.error(f"{token.text!r} cannot stand here; delete it", token)
