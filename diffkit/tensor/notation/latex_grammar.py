r"""The grammar of LaTeX formulas of arrays: tokens to a tree, before any array is built.

From loose to tight: relations, sums, the operators \odot, \cdot, \otimes and / in one row,
factors beside each other, then scripts.  The body of a \sum is the rest of its term.  Names the
caller gives win: \sigma(z) is a product when an input is called sigma, else the logistic function.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from diffkit.tensor.notation.latex_calls import BRACKETS, FORMS, big, call, calls_next
from diffkit.tensor.notation.latex_cursor import LatexCursor
from diffkit.tensor.notation.latex_names import (
    ACCENTS,
    BIG,
    COMMANDS,
    GREEK,
    LETTER_FUNCTIONS,
    MACROS,
    REFUSED,
    candidates,
    function_of_word,
    spelled,
)
from diffkit.tensor.notation.latex_scripts import Scripts, label_of, marks_of
from diffkit.tensor.notation.syntax import Token, Tree

_RELATIONS = ("<", "<=", ">", ">=", "=", "!=")
_OPERATORS = ("odot", "cdot", "times", "otimes", "oslash", "/", ":")
_BARS = {"lvert": ("rvert", "|"), "|": ("|", "rvert")}
_DOUBLE_BARS = {"lVert": ("rVert", "||"), "||": ("||", "rVert")}
_MATRICES = frozenset("pmatrix bmatrix matrix smallmatrix array Bmatrix".split())
#: Kinds of trees that may follow / without parentheses, as in a/2s^2.
_SIMPLE = frozenset("number symbol subscript power norm abs".split())


def parse(text: str, tokens: Sequence[Token], names: Collection[str] = ()) -> Tree:
    """Read the tree of one formula.

    Args:
        text: The whole text, for errors.
        tokens: Tokens of the formula; the last has kind "end".
        names: What the formula may name.

    Raises:
        ParseError: the formula does not follow the grammar.
    """
    reader = _Reader(text, list(tokens), names=frozenset(names))
    if reader.current.kind == "end":
        reader.fail("the formula is empty; write one such as A^\\top x", reader.current)
    tree = reader.relation()
    if reader.current.kind != "end":
        reader.refuse()
    return tree


@dataclass
class _Reader(LatexCursor):
    """A cursor over LaTeX tokens with the rules of the grammar."""

    names: frozenset[str] = frozenset()
    brackets: list[tuple[str, ...]] = field(default_factory=list)

    # levels ---------------------------------------------------------------------------------------

    def relation(self) -> Tree:
        position = self.current.position
        sides, operators = [self.expression()], []
        while self.at(*_RELATIONS):
            operators.append(self.advance().text)
            sides.append(self.expression())
        if not operators:
            return sides[0]
        return Tree("compare", position, args=tuple(sides), operators=tuple(operators))

    def expression(self) -> Tree:
        """A sum of terms."""
        self.enter()
        position = self.current.position
        terms, operators = [self.signed_term()], []
        while self.at("+", "-"):
            operators.append(self.advance().text)
            terms.append(self.term())
        self.leave()
        if not operators:
            return terms[0]
        return Tree("sum", position, args=tuple(terms), operators=tuple(operators))

    def signed_term(self) -> Tree:
        token = self.current
        if self.takes("-"):
            return Tree("negate", token.position, args=(self.term(),))
        self.takes("+")
        return self.term()

    def term(self) -> Tree:
        """Factors joined by operators of one row."""
        position = self.current.position
        operands, operators = [self.juxtaposed()], []
        while True:
            if self.at(*_OPERATORS):
                operators.append(self.advance().text)
                is_quotient = operators[-1] == "/"
                operands.append(self.denominator(operands[-1]) if is_quotient else self.right())
            elif operators and operators[-1] == "/" and self.starts_factor():
                operators.append("")
                operands.append(self.juxtaposed())
            else:
                break
        if not operators:
            return operands[0]
        return Tree("chain", position, args=tuple(operands), operators=tuple(operators))

    def right(self) -> Tree:
        """What follows an operator; a sign may stand before it."""
        token = self.current
        if self.takes("-"):
            return Tree("negate", token.position, args=(self.juxtaposed(),))
        return self.juxtaposed()

    def juxtaposed(self) -> Tree:
        """Factors beside each other."""
        position = self.current.position
        factors = [self.factor()]
        while self.starts_factor():
            if self.current.kind == factors[-1].kind == "number":
                self.fail("an operator is missing between two numbers", self.current)
            factors.append(self.factor())
        if len(factors) == 1:
            return factors[0]
        return Tree("juxtapose", position, args=tuple(factors))

    def denominator(self, numerator: Tree) -> Tree:
        """What stands under /: one factor, or a row of numbers and letters as in a/2s^2."""
        token = self.current
        factors = [self.factor()]
        while factors[-1].kind in _SIMPLE and self.starts_factor() and self.is_simple_next():
            factors.append(self.factor())
        if len(factors) == 1:
            return factors[0]
        if numerator.kind == "number" and factors[0].kind == "number":
            self.fail("write \\frac12 x or 1/(2x): 1/2x can mean both", token)
        return Tree("denominator", token.position, args=tuple(factors))

    def is_simple_next(self) -> bool:
        token = self.current
        is_function = token.text in LETTER_FUNCTIONS and token.text not in self.names
        is_letter = token.kind in ("number", "letter")
        return is_letter or (token.text in GREEK and not (is_function and calls_next(self)))

    def starts_factor(self) -> bool:
        """Whether the next token begins a factor rather than ending one."""
        token = self.current
        if token.kind == "symbol":
            if self.brackets and token.text in self.brackets[-1]:
                return False
            return token.text in BRACKETS or token.text in _BARS or token.text in _DOUBLE_BARS or (
                token.text == "{"
            )  # fmt: skip
        if token.kind in ("end", "finish") or token.text == "top":
            return False
        return not (token.kind == "word" and token.text in ("where", "with", "if", "otherwise"))

    # factors --------------------------------------------------------------------------------------

    def factor(self) -> Tree:
        """An operand with its scripts."""
        self.enter()
        result = self.scripts(self.operand())
        self.leave()
        return result

    def operand(self) -> Tree:
        token = self.current
        if token.kind in _OPERANDS:
            return _OPERANDS[token.kind](self)
        if token.text in BRACKETS:
            return self.bracket()
        if token.text == "{":
            self.advance()
            inner = self.enclosed(("}",), token)
            return inner if inner.kind != "tuple" else self.comma(token)
        if token.text in _BARS or token.text in _DOUBLE_BARS:
            return self.bars()
        if token.kind == "end":
            self.fail("the formula ends where a number, a letter or ( must follow", token)
        shown = "&" if token.text == "&" else token.text
        raise self.error(
            f"a number, a letter or ( must come before {shown!r}; complete or delete it", token
        )

    def number(self) -> Tree:
        token = self.advance()
        return Tree("number", token.position, value=token.value)

    def ones(self) -> Tree:
        r"""\mathbf 1, an indicator when a condition follows."""
        token = self.advance()
        if self.at("[", "(", "\\{"):
            bracket = self.bracket()
            inner = bracket.args[0] if bracket.kind == "group" else bracket
            if inner.kind == "compare" or inner.kind == "iverson":
                condition = inner if inner.kind == "compare" else inner.args[0]
                return Tree("iverson", token.position, args=(condition,))
            if token.text == "I":
                eye = Tree("symbol", token.position, name="I")
                return Tree("juxtapose", token.position, args=(eye, bracket))
            return Tree("juxtapose", token.position, args=(Tree("ones", token.position), bracket))
        if token.text == "I":
            return Tree("symbol", token.position, name="I")
        return Tree("ones", token.position)

    def zeros(self) -> Tree:
        return Tree("zeros", self.advance().position)

    def letter(self) -> Tree:
        """A letter, or a longer name that the caller gave and whose letters mean nothing."""
        token = self.current
        for name in sorted(self.names, key=len, reverse=True):
            if len(name) > 1 and self.text.startswith(name, token.position):
                letters = [c for c in name if c.isalpha()]
                if all(c in self.names for c in letters) or not name[-1].isalnum():
                    continue
                while self.current.position < token.position + len(name):
                    self.advance()
                return Tree("symbol", token.position, name=name)
        self.advance()
        if token.text == "e" and "e" not in self.names and self.at("^"):
            return self.euler(token)
        return Tree("symbol", token.position, name=token.text)

    def euler(self, token: Token) -> Tree:
        """e^{...}."""
        self.advance()
        return Tree("exponential", token.position, args=(self.argument(),))

    def word(self) -> Tree:
        token = self.advance()
        name = spelled(token)
        if candidates(name)[0] in self.names or name in self.names:
            return Tree("symbol", token.position, name=name)
        if name == "e" and self.at("^"):
            return self.euler(token)
        if name in ("Id", "I"):
            return Tree("symbol", token.position, name="I")
        function = function_of_word(token.text)
        if function:
            return call(self, function, token)
        if name == "d":
            self.fail("a differential is not read; give the gradient", token)
        if name in REFUSED or token.text in ("E", "Var", "Cov", "argmax", "argmin"):
            reason = REFUSED.get(name, "expectations are not read; give the value itself")
            self.fail(f"{name}: {reason}", token)
        return Tree("symbol", token.position, name=name, extra=("word",))

    def command(self) -> Tree:
        token = self.advance()
        name = token.text
        if name in LETTER_FUNCTIONS and name not in self.names and calls_next(self):
            return call(self, LETTER_FUNCTIONS[name], token)
        if name in GREEK:
            return Tree("symbol", token.position, name=name)
        if name in COMMANDS:
            return call(self, COMMANDS[name], token)
        if name in FORMS:
            return FORMS[name](self, token)
        if name in MACROS:
            return call(self, function_of_word(name), token)
        if name in ACCENTS:
            return Tree("accent", token.position, name=name, args=(self.argument(),))
        if name in BIG:
            return big(self, BIG[name], token)
        if name in REFUSED:
            self.fail(f"\\{name}: {REFUSED[name]}", token)
        raise self.error(f"the command \\{name} is not read; write it with known ones", token)

    # brackets -------------------------------------------------------------------------------------

    def enclosed(self, closing: tuple[str, ...], opening: Token) -> Tree:
        """Formulas separated by commas up to a closing bracket; one of them is not a tuple."""
        self.enter()
        self.brackets.append(closing)
        items = [self.relation()]
        while self.takes(",", ";"):
            items.append(self.relation())
        self.brackets.pop()
        self.leave()
        if not self.at(*closing):
            self.expect(closing[0], opening)
        self.advance()
        return items[0] if len(items) == 1 else Tree("tuple", opening.position, args=tuple(items))

    def bracket(self) -> Tree:
        opening = self.advance()
        inner = self.enclosed((BRACKETS[opening.text],), opening)
        if opening.text == "langle":
            if inner.kind != "tuple" or len(inner.args) != 2:
                self.fail("an inner product joins two arrays: \\langle a, b\\rangle", opening)
            if self.takes("_") and "".join(t.text for t in self.raw_argument()) not in ("F", "2"):
                self.fail("an inner product carries no index but F", opening)
            return Tree("inner", opening.position, args=inner.args)
        if inner.kind == "compare" and opening.text == "[":
            return Tree("iverson", opening.position, args=(inner,))
        if inner.kind == "tuple":
            if opening.text == "[":
                return Tree("matrix", opening.position, args=(inner.args,))
            return self.comma(opening)
        return Tree("group", opening.position, name=opening.text, args=(inner,))

    def comma(self, opening: Token) -> NoReturn:
        raise self.error(
            "a comma only separates the arguments of a function; known are \\max, \\min, the "
            "scalar functions and \\langle a, b\\rangle",
            opening,
        )

    def bars(self) -> Tree:
        """|x| or ||x||; the index of a norm belongs to it."""
        opening = self.advance()
        closing = _BARS.get(opening.text) or _DOUBLE_BARS[opening.text]
        inner = self.enclosed(closing, opening)
        if inner.kind == "tuple":
            self.comma(opening)
        if opening.text in _BARS:
            return Tree("abs", opening.position, args=(inner,))
        index: tuple[Token, ...] = ()
        if self.takes("_"):
            index = self.raw_argument()
        return Tree("norm", opening.position, args=(inner,), extra=index)

    def environment(self) -> Tree:
        """A matrix of blocks, or cases."""
        opening = self.advance()
        if opening.text not in _MATRICES and opening.text != "cases":
            self.fail(f"the environment {opening.text} is not read; write pmatrix", opening)
        self.enter()
        self.brackets.append(())
        rows: list[tuple[Tree, ...]] = []
        while self.current.kind != "finish":
            if self.current.kind == "end":
                self.fail(f"\\begin{{{opening.text}}} is never ended", opening)
            rows.append(self.row(opening))
            if not self.takes("\\\\") and self.current.kind not in ("finish", "end"):
                self.refuse()
        self.brackets.pop()
        self.leave()
        if self.advance().text != opening.text:
            self.fail(f"\\begin{{{opening.text}}} is never ended", opening)
        if opening.text == "cases":
            return Tree("cases", opening.position, args=tuple(rows))
        return Tree("matrix", opening.position, args=tuple(rows))

    def row(self, opening: Token) -> tuple[Tree, ...]:
        cells: list[Tree] = []
        while True:
            if self.current.kind == "end":
                self.fail(f"\\begin{{{opening.text}}} is never ended", opening)
            if self.current.kind == "word" and opening.text == "cases":
                word = self.advance()
                if word.text in ("otherwise", "else"):
                    cells.append(Tree("otherwise", word.position))
                elif word.text not in ("if", "when", "for", "where"):
                    self.fail("a case ends with a condition or \\text{otherwise}", word)
                else:
                    cells.append(self.relation())
            else:
                cells.append(self.relation())
            self.takes(",")
            if not self.takes("&"):
                return tuple(cells)

    # arguments and scripts ------------------------------------------------------------------------

    def argument(self) -> Tree:
        r"""A group in braces, or the one token that TeX takes: \frac12."""
        token = self.current
        if token.text == "{" and token.kind == "symbol":
            self.advance()
            inner = self.enclosed(("}",), token)
            return self.comma(token) if inner.kind == "tuple" else inner
        self.split_number()
        if self.current.kind == "end" or self.at("}", ")", "^", "_"):
            self.fail("an argument in braces is missing here", self.current)
        return self.operand()

    def scripts(self, base: Tree) -> Tree:
        """The scripts after an operand, in the order in which they act."""
        scripts = Scripts(base)
        while self.at("_", "^", "'"):
            token = self.advance()
            if token.text == "'":
                scripts.raise_by(Tree("marks", token.position, operators=("prime",)))
            elif token.text == "_":
                if scripts.has_subscript:
                    self.fail("two subscripts on one letter; write x_{ij}", token)
                if base.kind == "norm" and not base.extra:
                    base = replace(base, extra=self.raw_argument())
                    scripts.base = base
                else:
                    scripts.lower_by(token.position, self.raw_argument())
            elif scripts.is_raised:
                self.fail("two superscripts on one letter; write (x^2)^2", token)
            else:
                scripts.raise_by(self.superscript(token))
        return scripts.tree()

    def superscript(self, token: Token) -> Tree:
        """A transposition, an inverse, a label such as (i), a power of entries, or a power."""
        place = self.index
        raw = self.raw_argument()
        marks = marks_of(raw)
        if marks:
            return Tree("marks", token.position, operators=marks)
        label = label_of(raw)
        if label:
            return Tree("label", token.position, extra=label)
        self.index = place
        if len(raw) > 1 and raw[-1].text == "top":
            return self.transposed_power(token)
        if raw and raw[0].text == "odot" and self.takes("{"):
            opening = self.advance()
            exponent = self.enclosed(("}",), opening)
            return Tree("entry_power", token.position, args=(exponent,))
        return Tree("power", token.position, args=(self.argument(),))

    def transposed_power(self, token: Token) -> Tree:
        r"""X^{-2\top}: a power and a transposition."""
        opening = self.advance()
        exponent = self.expression()
        if self.advance().text != "top":
            self.fail("a power ends with \\top at most", opening)
        self.expect("}", opening)
        return Tree("power", token.position, args=(exponent,), operators=("T",))


_OPERANDS: Mapping[str, Callable[[_Reader], Tree]] = {
    "number": _Reader.number,
    "letter": _Reader.letter,
    "word": _Reader.word,
    "command": _Reader.command,
    "ones": _Reader.ones,
    "zeros": _Reader.zeros,
    "begin": _Reader.environment,
}
