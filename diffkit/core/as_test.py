"""A verdict as the source of a pytest test: the question asked again, the status expected.

What is written is a program of literals and dotted names: nothing of the claim's text is code.
"""

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

from diffkit.core.claim import Claim
from diffkit.core.errors import UsageError

if TYPE_CHECKING:
    from diffkit.core.verdict import Verdict

_REFERENCE = re.compile(r"^([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)$")
#: Keywords as the verbs have them; what equals its default is not written.
_DEFAULTS: Mapping[str, Any] = {
    "kind": "gradient",
    "order": 1,
    "domain": {},
    "conventions": {},
    "points": [],
    "under": [],
    "seed": 0,
    "budget": "fast",
    "dtypes": ["float64", "float32"],
}
#: Options a claim may carry into the verb.
_OPTIONS = frozenset({"dtypes", "under", "seed", "budget", "constants", "arguments"})
#: Entries of the arguments beyond which a test is no text to read.
MOST_ENTRIES = 10_000


def source_of_test(verdict: "Verdict") -> str:
    """Return the source of a module with one test.

    Args:
        verdict: The verdict to reproduce.

    Raises:
        UsageError: the target has no importable name, or its arguments are no plain arrays.

    >>> from diffkit.core.verdict import Verdict
    >>> print(source_of_test(Verdict(Claim("x**2", "2*x", "x"), "proved", "d/dx [x**2] = 2*x")))
    # d/dx [x**2] = 2*x
    import diffkit as dk
    <BLANKLINE>
    <BLANKLINE>
    def test_check_is_proved():
        verdict = dk.check("x**2", "2*x", wrt="x")
        assert verdict.status == "proved", verdict.explain()
    <BLANKLINE>
    """
    claim = verdict.claim
    _refuse_nameless(claim)
    sides = [claim.target] if claim.verb == "verify" else [claim.target, claim.claimed]
    positional = [_side(text) for text in sides]
    positional += [_argument(row) for row in claim.options.get("arguments", ())]
    call = _call(f"dk.{claim.verb}", [*positional, *_keywords(claim)])
    body = [
        *(f"# {line}" for line in _printable(verdict.statement)),
        *_imports(sides, call),
        "import diffkit as dk",
        "",
        "",
        f"def {_name(claim, verdict.status)}():",
        *(f"    {line}" for line in f"verdict = {call}".splitlines()),
        f'    assert verdict.status == "{verdict.status}", verdict.explain()',
    ]
    return "\n".join(body) + "\n"


def _refuse_nameless(claim: Claim) -> None:
    if claim.is_replayable and set(claim.options) <= _OPTIONS:
        return
    if _REFERENCE.match(claim.target):
        raise UsageError(
            f"the question about {claim.target} cannot be written as text: its arguments are "
            "pytrees, given by keyword or fixed, or its claim is a function; judge a function of "
            "arrays in order, against a claim in text"
        )
    raise UsageError(
        f"{claim.target!r} is a function without an importable name; define it at the top of a "
        "module, so that a test can import it"
    )


def _name(claim: Claim, status: str) -> str:
    found = _REFERENCE.match(claim.target)
    words = [claim.verb] if found is None else [claim.verb, found[2].replace(".", "_")]
    return "_".join(["test", *words, "is", status])


def _printable(statement: str) -> Iterator[str]:
    for line in statement.splitlines():
        yield "".join(letter if letter.isprintable() else "?" for letter in line)


def _imports(sides: Sequence[str], call: str) -> list[str]:
    """Imports for the names the call holds, one blank line below them."""
    modules = {found[1] for text in sides if (found := _REFERENCE.match(text.strip()))}
    if "np." in call:
        modules.add("numpy as np")
    if "jax.ShapeDtypeStruct(" in call:
        modules.add("jax")
    lines = [f"import {name}" for name in sorted(modules)]
    if "Fraction(" in call:
        lines = ["from fractions import Fraction", "", *lines]
    return [*lines, ""] if lines else []


def _side(text: str) -> str:
    """Text as a literal, a reference "module:name" as a dotted name."""
    found = _REFERENCE.match(text.strip())
    if found is None:
        return _literal(text)
    parts = f"{found[1]}.{found[2]}".split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise UsageError(f"{text} is no name Python can import; save the verdict again")
    return ".".join(parts)


def _argument(row: Mapping[str, Any]) -> str:
    """One example argument as `verify.replay.arguments_as_data` wrote it."""
    try:
        if "shape" in row:
            shape = tuple(int(size) for size in row["shape"])
            return f"jax.ShapeDtypeStruct({shape!r}, {_literal(row['dtype'])})"
        value, dtype = row["value"], row["dtype"]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the saved arguments are damaged ({error}); save it again") from error
    if _count(value) > MOST_ENTRIES:
        raise UsageError(
            f"an argument has more than {MOST_ENTRIES} entries, too many for the text of a test; "
            "judge a smaller example"
        )
    if isinstance(value, float) and dtype == "float64" and isfinite(value):
        return repr(value)
    return f"np.array({_literal(value)}, dtype={_literal(dtype)})"


def _count(value: Any) -> int:
    return sum(map(_count, value)) if isinstance(value, list | tuple) else 1


def _keywords(claim: Claim) -> list[str]:
    options = {key: value for key, value in claim.options.items() if key != "arguments"}
    given: dict[str, Any] = {
        "wrt": claim.wrt,
        "kind": claim.kind,
        "order": claim.order,
        "domain": dict(claim.domain),
        "conventions": dict(claim.conventions),
        "points": [dict(point) for point in claim.points],
        **options,
    }
    if claim.verb == "verify":
        del given["kind"]
    if not claim.wrt:
        del given["wrt"]
    return [
        f"{key}={_literal(value)}"
        for key, value in given.items()
        if key not in _DEFAULTS or _as_lists(value) != _DEFAULTS[key]
    ]


def _as_lists(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _literal(value: Any) -> str:
    """`value` as a Python expression that makes it again."""
    if isinstance(value, bool | int) or value is None:
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return repr(value) if isfinite(value) else f'float("{value}")'
    if isinstance(value, Fraction):
        return f"Fraction({value.numerator}, {value.denominator})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(str(k))}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if hasattr(value, "tolist"):
        return _literal(value.tolist())
    raise UsageError(
        f"a {type(value).__name__} of the claim cannot be written as text; give points as numbers"
    )


def _quoted(text: str) -> str:
    """A literal in double quotes where that needs no escape, as formatters write it."""
    plain = repr(text)
    is_simple = plain.startswith("'") and '"' not in text and "\\" not in plain
    return f'"{text}"' if is_simple else plain


def _call(function: str, arguments: Sequence[str], width: int = 84) -> str:
    """A call on one line where it fits, else one argument a line."""
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= width:
        return line
    return "\n".join([f"{function}(", *(f"    {argument}," for argument in arguments), ")"])
