r"""LaTeX cut into tokens: spacing, sizes of brackets and typefaces vanish, words stay whole.

Kinds: number, letter, command (its name without the backslash), word (\mathrm{tr}, \text{where}),
ones and zeros (\mathbf 1, \mathbf 0), begin and finish (of an environment), symbol, end.
"""

import re
from fractions import Fraction

from diffkit.core.errors import ParseError
from diffkit.symbolic import tokens as scalar
from diffkit.symbolic.tokens import MAX_DIGITS, visible
from diffkit.tensor.notation.syntax import Token, check_length

_SPACE = re.compile(r"[ \t\r\n~]+|\{[ \t\r\n]*\}")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?|\\(.)", re.DOTALL)
_ARGUMENT = re.compile(r"\s*(?:\{([^{}]*)\}|([A-Za-z0-9]))")
_ENVIRONMENT = re.compile(r"\s*\{([A-Za-z]+)\*?\}(?:\{[lcr| ]*\})?")
_PLAIN_WORD = re.compile(r"(?<![A-Za-z\\])(where|with)(?![A-Za-z])")
_IN_WORD = re.compile(r"(?:[A-Za-z0-9 ._~-]|\\[ ,;!_-]|\\text)*")

#: What changes how a formula looks, and not what it says.
_IGNORED = frozenset(
    "quad qquad displaystyle textstyle scriptstyle limits nolimits nonumber middle thinspace "
    "enspace hfill bigm Bigm biggm Biggm allowbreak medspace thickspace negthinspace".split()
)
_OPENING = frozenset("left bigl Bigl biggl Biggl big Big bigg Bigg mathopen".split())
_CLOSING = frozenset("right bigr Bigr biggr Biggr mathclose".split())
_SPACES = frozenset(",;:!> \n/")
_TYPEFACES = frozenset(
    "mathbf boldsymbol bm bf mathcal mathit mathbb mathbbm mathds mathfrak mathscr vec underline "
    "pmb mathop mathnormal symbf ensuremath bold".split()
)
_WORD_FACES = frozenset(
    "text mathrm operatorname textrm textsf texttt mathsf mathtt rm textnormal mbox "
    "textit textbf operatornamewithlimits hbox".split()
)
_SYMBOLS = {
    **dict.fromkeys(("le", "leq", "leqslant"), "<="),
    **dict.fromkeys(("ge", "geq", "geqslant"), ">="),
    **dict.fromkeys(("ne", "neq"), "!="),
    **dict.fromkeys(("odot", "circ"), "odot"),
    **dict.fromkeys(("coloneqq", "equiv", "triangleq"), "="),
    "lt": "<",
    "gt": ">",
    "cdot": "cdot",
    "times": "times",
    "otimes": "otimes",
    "oslash": "oslash",
    "div": "/",
    "lvert": "lvert",
    "rvert": "rvert",
    "lVert": "lVert",
    "rVert": "rVert",
    "vert": "|",
    "mid": "|",
    "Vert": "||",
    "lbrace": "\\{",
    "rbrace": "\\}",
    "lbrack": "[",
    "rbrack": "]",
    "langle": "langle",
    "rangle": "rangle",
    "lang": "langle",
    "rang": "rangle",
    "prime": "'",
    "colon": ":",
    "slash": "/",
}
_BARS = {"|": ("lvert", "rvert"), "||": ("lVert", "rVert")}
_PLAIN = frozenset("+-/()[]{}^_=<>,;:.!'&|")
_SAME_COMMAND = {
    "varepsilon": "epsilon",
    "vartheta": "theta",
    "varphi": "phi",
    "varrho": "rho",
    "varsigma": "sigma",
    "varpi": "pi",
    "tfrac": "frac",
    "dfrac": "frac",
    "cfrac": "frac",
    "nicefrac": "frac",
    "sfrac": "frac",
    "ln": "log",
    "star": "ast",
    "intercal": "top",
    "widehat": "hat",
    "widetilde": "tilde",
    "overline": "bar",
}


def tokenise(text: str) -> list[Token]:
    r"""Cut LaTeX into tokens; the last one has kind "end".

    >>> [token.text for token in tokenise(r"\left(X^\top w\right)_i")]
    ['(', 'X', '^', 'top', 'w', ')', '_', 'i', '']
    """
    check_length(text)
    return _Scanner(text).tokens()


class _Scanner:
    """One walk over the characters of a formula."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.stop = len(text)
        self.found: list[Token] = []
        #: "left" or "right" when the next bracket belongs to such a command.
        self.side = ""

    def tokens(self) -> list[Token]:
        self.strip_delimiters()
        while self.position < self.stop:
            self.step()
        self.found.append(Token("end", "", self.stop, end=self.stop))
        return self.found

    def strip_delimiters(self) -> None:
        r"""Leave out $...$, $$...$$, \[...\] and \(...\) around the whole text."""
        for opening, closing in (("$$", "$$"), ("$", "$"), ("\\[", "\\]"), ("\\(", "\\)")):
            inner = self.text.strip()
            if (
                inner.startswith(opening)
                and inner.endswith(closing)
                and len(inner) > 2 * len(opening)
            ):
                start = self.text.index(opening) + len(opening)
                self.position, self.stop = start, self.text.rindex(closing)
                return

    def fail(self, reason: str, position: int | None = None) -> ParseError:
        where = self.position if position is None else position
        return ParseError(reason, visible(self.text), where)

    def add(self, kind: str, spelled: str, end: int, value: Fraction = Fraction(0)) -> None:
        if self.side:
            spelled = _BARS.get(spelled, (spelled, spelled))[self.side == "right"]
            self.side = ""
        self.found.append(Token(kind, spelled, self.position, value, end))
        self.position = end

    def step(self) -> None:
        """Read one token, or skip what says nothing."""
        letter = self.text[self.position]
        if match := _SPACE.match(self.text, self.position):
            self.position = match.end()
        elif letter == "\\":
            self.command()
        elif match := _NUMBER.match(self.text, self.position):
            if self.side and match.group().startswith("."):
                self.side, self.position = "", self.position + 1
                return
            if len(match.group()) > MAX_DIGITS:
                raise self.fail(f"a number has at most {MAX_DIGITS} digits")
            self.add("number", match.group(), match.end(), Fraction(match.group()))
        elif match := _PLAIN_WORD.match(self.text, self.position):
            self.add("word", match.group(), match.end())
        elif letter.isascii() and letter.isalpha():
            self.add("letter", letter, self.position + 1)
        elif self.side and letter == ".":
            self.side, self.position = "", self.position + 1
        elif letter == "*":
            self.add("symbol", "times", self.position + 1)
        elif self.text.startswith("||", self.position):
            self.double_bar()
        elif self.text.startswith(":=", self.position):
            self.add("symbol", "=", self.position + 2)
        elif letter in _PLAIN:
            self.add("symbol", letter, self.position + 1)
        else:
            self.foreign(letter)

    def double_bar(self) -> None:
        """|| opens or closes a norm, but in |a||b| it closes one modulus and opens the next."""
        opened = sum(token.text == "|" for token in self.found) % 2
        self.add("symbol", "|" if opened else "||", self.position + (1 if opened else 2))

    def foreign(self, letter: str) -> None:
        """A Greek letter or sign typed as such; anything else is refused with its remedy."""
        if letter == "%":
            raise self.fail("'%' begins a comment; delete it")
        if letter in '@#$"`?':
            raise self.fail(f"{letter!r} is not part of a LaTeX formula; delete it")
        try:
            (token, *_) = scalar.tokenise(letter)
        except ParseError as error:
            raise self.fail(error.reason) from None
        if token.kind == "name":
            self.add("command", token.text, self.position + 1)
        elif token.kind == "operator":
            spelled = {"*": "times"}.get(token.text, token.text)
            self.add("symbol", spelled, self.position + 1)
        else:
            raise self.fail("write a raised exponent as ^2")

    def command(self) -> None:
        match = _COMMAND.match(self.text, self.position)
        if match is None:
            raise self.fail("a backslash begins a command; delete it or complete it")
        name, sign = match.group(1), match.group(2)
        if name is None:
            self.sign_command(sign, match.end())
        elif name in _IGNORED:
            self.position = match.end()
        elif name in _OPENING | _CLOSING:
            self.side = "left" if name in _OPENING else "right"
            if name.lower() in ("big", "bigg"):
                self.side = ""
            self.position = match.end()
        elif name in _TYPEFACES:
            self.typeface(name, match.end())
        elif name in _WORD_FACES:
            self.word(match.end())
        elif name in ("begin", "end"):
            self.environment(name, match.end())
        elif name in _SYMBOLS:
            self.add("symbol", _SYMBOLS[name], match.end())
        else:
            self.add("command", _SAME_COMMAND.get(name, name), match.end())

    def sign_command(self, sign: str, end: int) -> None:
        if sign == "\\":
            self.add("symbol", "\\\\", end)
        elif sign in "{}":
            self.add("symbol", "\\" + sign, end)
        elif sign == "|":
            self.add("symbol", "||", end)
        elif sign in _SPACES:
            self.position = end
        elif sign == "_":
            raise self.fail("write a name with an underscore as \\mathrm{x\\_1} or x_1")
        else:
            raise self.fail(f"the command \\{visible(sign)} is not read; delete it")

    def typeface(self, name: str, end: int) -> None:
        r"""Drop the typeface of letters; \mathbf 1 is a vector of ones, \mathbb E no value."""
        match = _ARGUMENT.match(self.text, end)
        inner = (match.group(1) or match.group(2) or "").strip() if match else ""
        is_blackboard = name in ("mathbb", "mathbbm", "mathds")
        if match and inner in ("1", "0"):
            self.add("ones" if inner == "1" else "zeros", inner, match.end())
        elif match and is_blackboard and inner == "I":
            self.add("ones", "I", match.end())
        elif is_blackboard:
            what = "an expectation" if inner in ("E", "P") else "a set"
            raise self.fail(f"\\{name}{{{inner[:9]}}} is {what}, which a formula of arrays lacks")
        else:
            self.position = end

    def word(self, end: int) -> None:
        r"""A word such as tr or where, or a typeface of a larger formula."""
        match = _ARGUMENT.match(self.text, end)
        if match is None:
            start = self.text.find("{", end)
            if start < 0 or self.text[end:start].strip():
                raise self.fail("a word in braces must follow this command: \\mathrm{tr}")
            self.position = end
            return
        raw = match.group(1) if match.group(1) is not None else match.group(2)
        spelled = re.sub(r"\\_", "_", raw)
        spelled = re.sub(r"\\text|\\[ ,;!]|~", " ", spelled).strip()
        if not _IN_WORD.fullmatch(raw) or len(spelled) > 64:
            self.position = end  # a formula in upright letters: read it as one
        elif spelled:
            self.add("word", spelled.rstrip(".:,"), match.end())
        else:
            self.position = match.end()

    def environment(self, name: str, end: int) -> None:
        match = _ENVIRONMENT.match(self.text, end)
        if match is None:
            raise self.fail(f"the name of an environment must follow \\{name}: \\begin{{pmatrix}}")
        kind = "begin" if name == "begin" else "finish"
        self.add(kind, match.group(1), match.end())
