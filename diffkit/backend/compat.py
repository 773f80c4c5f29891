"""What differs between JAX 0.10, 0.11 and 0.12, and nothing else.

Since 0.12 `make_jaxpr` returns a `Jaxpr` where it returned a `ClosedJaxpr`, sub-jaxprs in
equation parameters lost the same wrapper, and `scan` describes its arguments by flat trees
(`ft_in`) instead of `num_consts` and `num_carry`; `custom_root` and others became objects that
say what they compute (`call_hi_primitive`).  Nobody asks `isinstance(x, ClosedJaxpr)`;
`open_jaxpr`, `called_jaxpr` and `inner_jaxprs` answer on every generation.
"""

import linecache
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import Literal

from diffkit.backend.array_constants import separate

#: Primitives that run an inner jaxpr; rules of differentiation they carry are not used.
CALLS: frozenset[str] = frozenset(
    "call_hi_primitive checkpoint closed_call composite core_call custom_jvp_call "
    "custom_vjp_call custom_vjp_call_jaxpr eval_jaxpr jit pjit remat remat2".split()
)
#: Parameters under which call-like equations keep the jaxpr they run.
_CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
#: Parameters under which calls keep the rule they are differentiated by.
_RULES = ("bwd", "jvp_jaxpr_fun")
#: The parameter under which `call_hi_primitive` keeps the object that says what it computes.
_OBJECT = "_prim"
#: Parameters that say how an equation is differentiated or compiled, not what it computes.
_BOOKKEEPING = frozenset(
    "jvp_jaxpr_fun fwd_jaxpr_thunk bwd out_trees symbolic_zeros num_consts in_shardings "
    "out_shardings in_layouts out_layouts donated_invars ctx_mesh keep_unused inline "
    "compiler_options_kvs policy prevent_cse differentiated".split()
)
_GAUSSIAN = "exp_neg_sq"
#: The user's setting while an `x64` block is open.
_CALLERS_X64: ContextVar[bool | None] = ContextVar("callers_x64", default=None)
_PACKAGE = str(Path(__file__).parent.parent)
_DEFINED = re.compile(r" at (?P<file>.+):(?P<line>\d+)$")
_PLACE = re.compile(r"^(?P<file>.*?):(?P<line>\d+)(?::\d+)? \((?P<function>.*)\)$")


@dataclass(frozen=True)
class Source:
    """Where in the user's code an equation was traced.

    Args:
        file: Path as Python knows it, "" when unknown.
        line: Line number, 1-based, 0 when unknown.
        function: Name of the enclosing function.
        text: The line itself without indentation, "" when it cannot be read.
    """

    file: str = ""
    line: int = 0
    function: str = ""
    text: str = ""

    def __str__(self) -> str:
        if not self.file:
            return "unknown place"
        name = self.file.rsplit("/", 1)[-1]
        text = f": {self.text}" if self.text else ""
        return f"{name}:{self.line}{text}"


@dataclass(frozen=True)
class ScanSplit:
    """How the flat operands of a `scan` equation divide: constants, carry, then scanned arrays."""

    constants: int
    carry: int


def open_jaxpr(jaxpr: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the plain jaxpr and its constants, whatever generation wraps it.

    >>> jaxpr, constants = open_jaxpr(trace(lambda x: 2 * x, 1.0))
    >>> [eqn.primitive.name for eqn in jaxpr.eqns], constants
    (['mul'], ())
    """
    return getattr(jaxpr, "jaxpr", jaxpr), tuple(getattr(jaxpr, "consts", ()))


def trace(f: Callable[..., Any], *args: Any, static: Mapping[str, Any] | None = None) -> Any:
    """Trace `f` to a jaxpr that `open_jaxpr` can open; `static` keywords are bound first."""
    keywords = dict(static or {})
    return jax.make_jaxpr(lambda *values: f(*values, **keywords))(*args)


def called_jaxpr(eqn: Any) -> Any | None:
    """The jaxpr a call-like equation (jit, custom_jvp_call, remat, ...) runs, or None."""
    for name in _CALLED:
        if name in eqn.params:
            return eqn.params[name]
    object_ = eqn.params.get(_OBJECT)
    return None if object_ is None else _expansion(object_, [each.aval for each in eqn.invars])


def inner_jaxprs(eqn: Any) -> Iterator[Any]:
    """All jaxprs in an equation: the one it calls, branches, the bodies of loops."""
    if _OBJECT in eqn.params:
        yield called_jaxpr(eqn)
    for value in eqn.params.values():
        for inner in value if isinstance(value, tuple | list) else (value,):
            if hasattr(open_jaxpr(inner)[0], "eqns"):
                yield inner


def _expansion(object_: Any, avals: Sequence[Any]) -> Any:
    """What an equation object computes, traced at these types; its own rules are not used."""

    def run(*flat: Any) -> list[Any]:
        return jax.tree.leaves(object_.expand(*jax.tree.unflatten(object_.in_tree, flat)))

    return jax.make_jaxpr(run)(*avals)


def primitives(jaxpr: Any) -> set[str]:
    """The names of all primitives of a jaxpr, those of the jaxprs it calls included."""
    found = set()
    for eqn in open_jaxpr(jaxpr)[0].eqns:
        found.add(eqn.primitive.name)
        inner = called_jaxpr(eqn)
        if inner is not None:
            found |= primitives(inner)
    return found


def called_name(eqn: Any) -> str:
    """The name of the function a jit or custom_jvp_call equation stands for, or ""."""
    name = eqn.params.get("name", "")
    if isinstance(name, str) and name:
        return name
    return getattr(_debug_info(eqn), "func_name", None) or ""


def definition(eqn: Any) -> tuple[str, int]:
    """File and line that define the rule or the function of a call; ("", 0) when unknown.

    The rule is the one JAX keeps by name: the backward one of a custom_vjp.
    """
    rules = [eqn.params[name] for name in _RULES if name in eqn.params]
    for info in (*(getattr(rule, "debug_info", None) for rule in rules), _debug_info(eqn)):
        found = _DEFINED.search(getattr(info, "func_src_info", None) or "")
        if found:
            return found["file"], int(found["line"])
    return "", 0


def parameter_names(eqn: Any) -> tuple[str, ...]:
    """Names of the operands of a called function; () when they are not known."""
    inner = called_jaxpr(eqn)
    names = getattr(_debug_info(eqn), "arg_names", None) or ()
    if inner is None or len(names) != len(eqn.invars):
        return ()
    return tuple(str(name) for name in names)


def _debug_info(eqn: Any) -> Any:
    inner = called_jaxpr(eqn)
    return getattr(open_jaxpr(inner)[0], "debug_info", None) if inner is not None else None


def is_gaussian_kernel(eqn: Any) -> bool:
    """Whether a call is JAX's own exp(-x^2) in the slope of erf, made of bit tricks since 0.12.

    The name alone is not believed: the body must be that of the library at this type.
    """
    if called_name(eqn) != _GAUSSIAN:
        return False
    (operand,) = (each.aval for each in eqn.invars)
    own = _gaussian_body(operand.shape, str(operand.dtype))
    return own is not None and same_jaxpr(called_jaxpr(eqn), own)


@lru_cache(maxsize=64)
def _gaussian_body(shape: tuple[int, ...], dtype: str) -> Any | None:
    with jax.enable_x64(True):
        slope = jax.grad(lambda x: jax.numpy.sum(jax.lax.erf(x)))
        traced = trace(slope, np.zeros(shape, jax.numpy.dtype(dtype)))
    calls = [eqn for eqn in open_jaxpr(traced)[0].eqns if called_name(eqn) == _GAUSSIAN]
    return called_jaxpr(calls[0]) if calls else None


def run_equation(eqn: Any, values: Sequence[Any]) -> list[Any]:
    """The results of one equation on arrays."""
    found = eqn.primitive.get_bind_params(eqn.params)
    # before 0.10 the inner functions came apart from the other parameters
    functions, params = found if isinstance(found, tuple) else ((), found)
    results = eqn.primitive.bind(*functions, *values, **params)
    return list(results) if eqn.primitive.multiple_results else [results]


def run_equations(jaxpr: Any, values: Sequence[Any], entered: frozenset[str] = CALLS) -> list[Any]:
    """The results of a jaxpr on arrays, equation by equation.

    Args:
        jaxpr: The program.
        values: Its arguments.
        entered: Names of the calls that are entered instead of bound, at every depth.

    >>> [float(y) for y in run_equations(trace(jax.jit(lambda x: 2 * x), 1.0), [3.0])]
    [6.0]
    """
    opened, constants = open_jaxpr(jaxpr)
    env: dict[Any, Any] = dict(zip(opened.constvars, constants, strict=True))
    env.update(zip(opened.invars, values, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if is_literal(atom) else env[atom]

    for eqn in opened.eqns:
        operands = [read(atom) for atom in eqn.invars]
        inner = called_jaxpr(eqn) if eqn.primitive.name in entered else None
        if inner is None:
            found = run_equation(eqn, operands)
        else:
            found = run_equations(inner, operands, entered)
        env.update(zip(eqn.outvars, found, strict=True))
    return [read(atom) for atom in opened.outvars]


def is_literal(atom: Any) -> bool:
    """Whether an operand of an equation is a constant written into the jaxpr."""
    return isinstance(atom, Literal)


def scan_split(params: Mapping[str, Any]) -> ScanSplit:
    """Read the split of a scan's operands from its parameters."""
    if "num_consts" in params:
        return ScanSplit(params["num_consts"], params["num_carry"])
    constants, carry, *_ = params["ft_in"].unpack()
    return ScanSplit(_leaves(constants), _leaves(carry))


def _leaves(tree: Any) -> int:
    return len(list(tree.vals))


@contextmanager
def x64(enabled: bool = True) -> Generator[None]:
    """Compute in float64 inside the block; the caller's setting is back afterwards."""
    separate()
    is_outermost = _CALLERS_X64.get() is None
    token = _CALLERS_X64.set(x64_enabled()) if is_outermost else None
    try:
        with jax.enable_x64(enabled):
            yield
    finally:
        if token is not None:
            _CALLERS_X64.reset(token)


@contextmanager
def asked_in_x64() -> Generator[None]:
    """Inside the block the float64 program is the one asked about, whatever the user's setting."""
    token = _CALLERS_X64.set(True)
    try:
        with jax.enable_x64(True):
            yield
    finally:
        _CALLERS_X64.reset(token)


def x64_enabled() -> bool:
    """Whether arrays made here may have 64 bits."""
    return bool(jax.config.jax_enable_x64)


def callers_x64_enabled() -> bool:
    """The setting outside of every `x64` block: that in which the user runs the function."""
    outside = _CALLERS_X64.get()
    return x64_enabled() if outside is None else outside


def source(eqn: Any) -> Source:
    """The line of user code that made an equation; empty fields when JAX did not record it."""
    match = _PLACE.match(source_info_util.summarize(eqn.source_info))
    # diffkit's own wrappers are nobody's code to mend
    if match is None or match["file"].startswith(_PACKAGE):
        return Source()
    line = int(match["line"])
    return Source(match["file"], line, match["function"], _line(match["file"], line))


def lines_of(file: str) -> list[str]:
    """The lines of a file, none where it cannot be read."""
    try:
        return linecache.getlines(file)
    except IndexError:  # doctest patches linecache and knows the examples of one block alone
        return []


def _line(file: str, number: int) -> str:
    lines = lines_of(file)
    return lines[number - 1].strip() if 1 <= number <= len(lines) else ""


def same_jaxpr(left: Any, right: Any) -> bool:
    """Whether two jaxprs are equal up to the names of their variables.

    Primitives, operands, types, literals and parameters must agree; rules of differentiation
    and compiler settings are not compared: the value decides.
    """
    (left, left_constants), (right, right_constants) = open_jaxpr(left), open_jaxpr(right)
    if len(left.eqns) != len(right.eqns) or not _same_values(left_constants, right_constants):
        return False
    names: dict[Any, Any] = {}
    if not _bind(names, left.constvars, right.constvars):
        return False
    if not _bind(names, left.invars, right.invars):
        return False
    for ours, theirs in zip(left.eqns, right.eqns, strict=True):
        if ours.primitive.name != theirs.primitive.name:
            return False
        if not _same_atoms(names, ours.invars, theirs.invars):
            return False
        if not _same_params(ours.params, theirs.params):
            return False
        if not _bind(names, ours.outvars, theirs.outvars):
            return False
    return _same_atoms(names, left.outvars, right.outvars)


def _same_values(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(
        _same_number(a, b) for a, b in zip(left, right, strict=True)
    )


def _same_number(left: Any, right: Any) -> bool:
    """Whether two constants are equal entry by entry; NaN equals NaN, keys count as their words."""
    a, b = _words(left), _words(right)
    return a.shape == b.shape and bool(np.all((a == b) | ((a != a) & (b != b))))


def _words(constant: Any) -> np.ndarray:
    """A constant as numbers: of a random key the words it is made of."""
    return np.asarray(jax.random.key_data(constant) if is_key(constant) else constant)


def is_key(value: Any) -> bool:
    """Whether a value is a typed random key, or an array of them."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and is_key_type(dtype)


def is_key_type(dtype: Any) -> bool:
    """Whether a dtype is that of typed random keys."""
    return bool(jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key))


def _bind(names: dict[Any, Any], left: Sequence[Any], right: Sequence[Any]) -> bool:
    if len(left) != len(right):
        return False
    names.update(zip(left, right, strict=True))
    return all(_same_type(a.aval, b.aval) for a, b in zip(left, right, strict=True))


def _same_type(left: Any, right: Any) -> bool:
    return left.shape == right.shape and left.dtype == right.dtype


def _same_atoms(names: Mapping[Any, Any], left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(
        _same_atom(names, a, b) for a, b in zip(left, right, strict=True)
    )


def _same_atom(names: Mapping[Any, Any], left: Any, right: Any) -> bool:
    if is_literal(left) or is_literal(right):
        return (
            is_literal(left)
            and is_literal(right)
            and left.aval.dtype == right.aval.dtype
            and _same_number(left.val, right.val)
        )
    return names.get(left) is right


def _same_params(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    names = left.keys() - _BOOKKEEPING
    return names == right.keys() - _BOOKKEEPING and all(
        _same_param(left[name], right[name]) for name in names
    )


def _same_param(left: Any, right: Any) -> bool:
    if hasattr(left, "eqns"):
        return hasattr(right, "eqns") and same_jaxpr(left, right)
    if isinstance(left, tuple | list):
        # branches of a cond, the four programs of a linear solve: equal, not identical
        return (
            type(left) is type(right)
            and len(left) == len(right)
            and all(_same_param(a, b) for a, b in zip(left, right, strict=True))
        )
    if isinstance(left, float) and isinstance(right, float) and left != left:
        return right != right  # what a gather fills in out of bounds is nan
    return type(left) is type(right) and bool(np.all(left == right))
