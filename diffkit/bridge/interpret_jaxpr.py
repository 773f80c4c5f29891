"""Run a jaxpr over any `Algebra`: real arithmetic on the very program JAX compiles.

Arrays of floats become object arrays of numbers of the algebra; integers and truth values stay
NumPy arrays, for an index is no real number.  Calls are inlined and custom rules ignored: what
is run is the primal.  Every constant enters by its exact binary value.  A primitive without a
row raises `UnsupportedPrimitive` with the line of user code and the remedy; it is never zero.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diffkit.backend.compat import (
    CALLS,
    Source,
    called_jaxpr,
    is_gaussian_kernel,
    is_key,
    is_key_type,
    is_literal,
    open_jaxpr,
    run_equation,
    scan_split,
    source,
    x64,
)
from diffkit.bridge import interpret_arrays as arrays
from diffkit.bridge.interpret_complex import (
    COMPLEX_RULES,
    SHARED,
    Pair,
    is_complex,
    pairs,
    part_of,
)
from diffkit.bridge.interpret_rules import RULES
from diffkit.core.errors import Undecidable, UnsupportedPrimitive, UsageError
from diffkit.numeric.algebra import Algebra

_MOST_STEPS = 100_000

Values = list[Any]
#: Equations that JAX ran: itself, its operands, its results.
_DRAWN: dict[int, tuple[Any, Values, Values]] = {}
_MOST_DRAWN = 1024


def run(jaxpr: Any, args: Sequence[Any], algebra: Algebra) -> Values:
    """Return the outputs of `jaxpr`: object arrays for floats, NumPy arrays for the rest.

    Args:
        jaxpr: What `jax.make_jaxpr` returns, on any generation of JAX.
        args: One entry per input variable: array (object or float), number of the algebra, or
            Python number, in the flat order of the jaxpr's inputs.
        algebra: The kind of number to compute with.

    Raises:
        UnsupportedPrimitive: a primitive without a row.
        UsageError: the number or shape of the arguments is not that of the jaxpr.
        Undecidable: an index, a branch or a loop condition the numbers cannot decide.
    """
    opened, constants = open_jaxpr(jaxpr)
    if len(args) != len(opened.invars):
        raise UsageError(f"the jaxpr takes {len(opened.invars)} arrays, not {len(args)}")
    try:
        inputs = [
            _input(value, var.aval, algebra) for value, var in zip(args, opened.invars, strict=True)
        ]
        return _evaluate(opened, constants, inputs, algebra)
    except _Missing as missing:
        raise missing.error() from None
    except arrays.NoRow as error:
        raise UnsupportedPrimitive(
            f"cannot interpret a value of {error}: only real, integer and truth values have rows"
        ) from None


def supported() -> tuple[str, ...]:
    """The primitives with a row, sorted."""
    return tuple(sorted({*RULES, *_CONTROL, *CALLS}))


def _input(value: Any, aval: Any, algebra: Algebra) -> Any:
    found = _numbers(value, aval.dtype, algebra)
    if np.shape(found) != tuple(aval.shape):
        raise UsageError(f"an argument has shape {np.shape(found)}, the jaxpr wants {aval.shape}")
    return found


def _evaluate(opened: Any, constants: Sequence[Any], inputs: Values, algebra: Algebra) -> Values:
    env: dict[Any, Any] = {}
    for var, value in zip(opened.constvars, constants, strict=True):
        env[var] = _numbers(value, var.aval.dtype, algebra)
    env.update(zip(opened.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        if is_literal(atom):
            return _numbers(atom.val, atom.aval.dtype, algebra)
        return env[atom]

    for number, eqn in enumerate(opened.eqns):
        results = _apply(eqn, number, [read(atom) for atom in eqn.invars], algebra)
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in opened.outvars]


def _apply(eqn: Any, number: int, values: Values, algebra: Algebra) -> Values:
    try:
        return _results(eqn, number, values, algebra)
    except _Missing as missing:
        # an equation inside a library function has no line of the user; its caller has
        missing.place = missing.place if missing.place.file else source(eqn)
        raise


def _results(eqn: Any, number: int, values: Values, algebra: Algebra) -> Values:
    name = eqn.primitive.name
    if name in _CONTROL:
        if name == "while" and any(map(is_key, values)):
            raise _Missing(name, number, source(eqn), "it draws until a condition holds")
        return _CONTROL[name](eqn, values, algebra)
    if name in CALLS:
        if is_gaussian_kernel(eqn):
            return [_gaussian(values[0], algebra)]
        inner = called_jaxpr(eqn)
        if inner is not None:
            opened, constants = open_jaxpr(inner)
            return _evaluate(opened, constants, values, algebra)
    if any(map(is_key, values)):
        return _by_jax(eqn, values, algebra)
    rule = _row_of(eqn)
    if rule is None:
        if _is_discrete(values):
            return _by_jax(eqn, values, algebra)
        raise _Missing(name, number, source(eqn))
    own = _in_own_format(eqn, algebra)
    try:
        found = rule(arrays.Equation(eqn, own), *(_taken(value, own, algebra) for value in values))
    except arrays.NoRow as error:
        if _is_discrete(values):
            return _by_jax(eqn, values, algebra)
        raise _Missing(name, number, source(eqn), str(error)) from None
    results = found if isinstance(found, list) else [found]
    return [_taken(result, algebra, own) for result in results]


def _in_own_format(eqn: Any, algebra: Algebra) -> Algebra:
    """The algebra of an equation: numbers that round do so in the type of its result."""
    in_format = getattr(algebra, "in_format", None)
    dtype = eqn.outvars[0].aval.dtype
    dtype = part_of(dtype) if is_complex(dtype) else dtype
    if in_format is None or eqn.primitive.name == "convert_element_type":
        return algebra  # a conversion is told its type
    return in_format(dtype) if not is_key_type(dtype) and arrays.is_real(dtype) else algebra


def _taken(value: Any, algebra: Any, other: Any) -> Any:
    """An array of numbers of another format as numbers of this one."""
    if algebra is other or not _is_of_numbers(value):
        return value
    return arrays.elementwise(lambda entry: _of_format(entry, algebra), value)


def _of_format(entry: Any, algebra: Any) -> Any:
    if isinstance(entry, Pair):
        return Pair(algebra.taken(entry.re), algebra.taken(entry.im))
    return algebra.taken(entry)


def _row_of(eqn: Any) -> arrays.Rule | None:
    """The row of a primitive, on complex numbers where it takes or gives some."""
    name = eqn.primitive.name
    if not any(is_complex(atom.aval.dtype) for atom in (*eqn.invars, *eqn.outvars)):
        return RULES.get(name)
    return COMPLEX_RULES.get(name, RULES.get(name) if name in SHARED else None)


def _numbers(value: Any, dtype: Any, algebra: Algebra) -> Any:
    return pairs(value, algebra) if is_complex(dtype) else arrays.numbers(value, dtype, algebra)


def _is_of_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _is_discrete(values: Values) -> bool:
    """Whether all operands are integers, truth values and keys: numbers of no algebra."""
    return all(is_key(value) or np.asarray(value).dtype != object for value in values)


def _by_jax(eqn: Any, values: Values, algebra: Algebra) -> Values:
    """What an equation draws, shifts or counts, by JAX itself: there nothing is rounded."""
    values = [
        value if is_key(value) else np.asarray(value, atom.aval.dtype)  # int32 wraps as int32
        for value, atom in zip(values, eqn.invars, strict=True)
    ]
    found = _known(eqn, values)
    if found is None:
        with x64():
            found = run_equation(eqn, values)
        if len(_DRAWN) >= _MOST_DRAWN:
            _DRAWN.clear()
        _DRAWN[id(eqn)] = eqn, values, found
    return [
        _numbers(each if is_key(each) else np.asarray(each), var.aval.dtype, algebra)
        for each, var in zip(found, eqn.outvars, strict=True)
    ]


def _known(eqn: Any, values: Values) -> Values | None:
    """The results of an equation that ran on the same operands before, as masks of a key do."""
    kept = _DRAWN.get(id(eqn))
    if kept is None or kept[0] is not eqn:
        return None
    same = all(map(_is_same, kept[1], values))
    return kept[2] if same else None


def _is_same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if is_key(left) or is_key(right):
        return False
    return left.dtype == right.dtype and np.array_equal(left, right)


def _gaussian(x: Any, algebra: Algebra) -> Any:
    """exp(-x^2), which is what the bits are shifted for."""
    exp = algebra.function("exp")
    return arrays.elementwise(lambda entry: exp(-(entry * entry)), x)


class _Missing(Exception):
    """A primitive without a row, on its way out to the line of user code that made it."""

    def __init__(self, primitive: str, number: int, place: Source, reason: str = ""):
        self.primitive, self.number, self.place, self.reason = primitive, number, place, reason
        super().__init__(primitive)

    def error(self) -> UnsupportedPrimitive:
        """The error the user sees."""
        detail = f" ({self.reason})" if self.reason else ""
        return UnsupportedPrimitive(
            f"cannot interpret `{self.primitive}`{detail} (eqn {self.number}, {self.place}): no "
            f"row for it. Rows exist for {len(supported())} primitives "
            "(diffkit.bridge.interpret_jaxpr.supported()); write the line with those, or add a "
            "row in bridge/interpret_rules.py"
        )


def _cond(eqn: Any, values: Values, algebra: Algebra) -> Values:
    index, *operands = values
    branches = eqn.params["branches"]
    chosen = min(max(arrays.index_of(index), 0), len(branches) - 1)
    opened, constants = open_jaxpr(branches[chosen])
    return _evaluate(opened, constants, operands, algebra)


def _while(eqn: Any, values: Values, algebra: Algebra) -> Values:
    split = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    for_condition = values[: split[0]]
    for_body = values[split[0] : sum(split)]
    carry = values[sum(split) :]
    condition, body = (open_jaxpr(eqn.params[name]) for name in ("cond_jaxpr", "body_jaxpr"))
    for _ in range(_MOST_STEPS):
        (goes_on,) = _evaluate(*condition, [*for_condition, *carry], algebra)
        if not arrays.decided(goes_on):
            return carry
        carry = _evaluate(*body, [*for_body, *carry], algebra)
    raise Undecidable(f"a while loop runs longer than {_MOST_STEPS} steps")


def _scan(eqn: Any, values: Values, algebra: Algebra) -> Values:
    split, length = scan_split(eqn.params), eqn.params["length"]
    if length > _MOST_STEPS:
        raise Undecidable(f"a scan runs longer than {_MOST_STEPS} steps")
    fixed = values[: split.constants]
    carry = values[split.constants : split.constants + split.carry]
    scanned = values[split.constants + split.carry :]
    opened, constants = open_jaxpr(eqn.params["jaxpr"])
    steps = range(length)[:: -1 if eqn.params["reverse"] else 1]
    slices: dict[int, Values] = {}
    for step in steps:
        entries = [arrays.boxed(array[step]) for array in scanned]
        found = _evaluate(opened, constants, [*fixed, *carry, *entries], algebra)
        carry, slices[step] = found[: split.carry], found[split.carry :]
    shapes = [var.aval for var in eqn.outvars[split.carry :]]
    stacked = [
        arrays.stack([slices[step][k] for step in range(length)], aval)
        for k, aval in enumerate(shapes)
    ]
    return [*carry, *stacked]


_CONTROL: Mapping[str, Callable[[Any, Values, Algebra], Values]] = {
    "cond": _cond,
    "while": _while,
    "scan": _scan,
}
