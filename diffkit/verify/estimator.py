"""An estimator as it is judged: what a draw looks like, what its mean is held against, its draws.

Draw i is `estimator(jax.random.fold_in(key, i))`, whatever the size of a block, so a draw that a
verdict names can be made again.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS, function_name, refusal
from diffkit.core.errors import DiffkitError, UsageError

#: Draws made by one call of the compiled program, and numbers it returns at most.
BLOCK = 1024
MOST_NUMBERS = 2**20
_PRODUCTS = frozenset({"dot_general", "conv_general_dilated"})
#: Accelerators round the factors of float32 products: to 11 bits (TF32), to 8 bits (bfloat16).
_PRODUCT_SPACING = {"gpu": 2.0**-10, "tpu": 2.0**-7}


@dataclass(frozen=True)
class Draws:
    """What one draw of an estimator is.

    Args:
        name: How reports call the estimator.
        function: What makes one draw of one argument, a key or a case.
        treedef: Structure of a draw.
        paths: Name of every leaf.
        shapes: Shape of every leaf.
        dtypes: Dtype of every leaf.
        epsilon: Spacing at 1 of the coarsest floats the estimator computes with.
        is_fixed: Whether a leaf is computed without the argument, so that it never varies.
    """

    name: str
    function: Callable[[Any], Any]
    treedef: Any
    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    epsilon: float
    is_fixed: tuple[bool, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of entries of every leaf."""
        return tuple(int(np.prod(shape)) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Number of entries of a draw."""
        return sum(self.sizes)

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """Name of every entry: path of the leaf and index in it; "" for a lone number."""
        return tuple(
            path + (f"[{', '.join(map(str, index))}]" if index else "")
            for path, shape in zip(self.paths, self.shapes, strict=True)
            for index in np.ndindex(shape)
        )

    def per_entry(self, values: Any) -> np.ndarray:
        """One value a leaf, repeated for every entry of the leaf."""
        return np.repeat(np.asarray(values), self.sizes)

    @property
    def dtype_names(self) -> tuple[str, ...]:
        """Name of the dtype of every entry."""
        return tuple(self.per_entry([jnp.dtype(dtype).name for dtype in self.dtypes]).tolist())

    @property
    def block(self) -> int:
        """Draws made at once."""
        return max(1, min(BLOCK, MOST_NUMBERS // self.size))

    @cached_property
    def from_keys(self) -> Callable[[Any, int], np.ndarray]:
        """The draws number start, start + 1, ... of a key as a table, compiled once."""

        def run(key: Any, start: Any) -> Any:
            numbers = start + jnp.arange(self.block, dtype=jnp.uint32)
            keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
            return jax.vmap(self.function)(keys)

        program = jax.jit(run)
        return lambda key, start: self._table(program, key, np.uint32(start))

    @cached_property
    def from_cases(self) -> Callable[[Any], np.ndarray]:
        """The draws of stacked cases as a table, compiled once."""
        program = jax.jit(jax.vmap(self.function))
        return lambda cases: self._table(program, cases)

    def _table(self, program: Callable[..., Any], *args: Any) -> np.ndarray:
        """Float64 draws, shape (draws, entries)."""
        try:
            leaves = jax.tree.leaves(program(*args))
        except USER_ERRORS as error:
            raise refusal(f"{self.name} under jax.vmap", error) from error
        flat = [np.asarray(leaf).astype(np.float64).reshape(len(leaf), -1) for leaf in leaves]
        return np.concatenate(flat, axis=1)


def read_draws(estimator: Any, argument: Any, role: str = "estimator") -> Draws:
    """Trace the estimator at one key (or case) and say what a draw is.

    Raises:
        UsageError: it cannot be called this way, or returns no floating-point arrays.
    """
    if not callable(estimator):
        raise UsageError(f"{role}= must be a function of a key, not {type(estimator).__name__}")
    name = function_name(estimator)
    _check_takes_one(estimator, name, role)
    try:
        out = jax.eval_shape(estimator, argument)
    except USER_ERRORS as error:
        if isinstance(error, DiffkitError):
            raise
        raise refusal(name, error) from error
    keyed, treedef = jax.tree_util.tree_flatten_with_path(out)
    if not keyed or not all(leaf.size for _, leaf in keyed):
        raise UsageError(f"{name} returns no numbers, or an empty array; a draw must have entries")
    for path, leaf in keyed:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise UsageError(
                f"{name} returns {leaf.dtype} values{_at(path)}; a draw is made of real "
                "floating-point arrays, convert it with .astype(float) or split it"
            )
    program = _trace(estimator, argument, name)
    return Draws(
        name=name,
        function=estimator,
        treedef=treedef,
        paths=tuple(_path(path) for path, _ in keyed),
        shapes=tuple(tuple(leaf.shape) for _, leaf in keyed),
        dtypes=tuple(leaf.dtype for _, leaf in keyed),
        epsilon=_coarsest(program),
        is_fixed=_leaves_without_key(program),
    )


def _check_takes_one(estimator: Callable[..., Any], name: str, role: str) -> None:
    """Refuse a function that cannot be called with the key alone."""
    try:
        # a wrapper takes its own arguments, not those of what it wraps
        signature = inspect.signature(estimator, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # written in C; the call will tell
    try:
        signature.bind(None)
    except TypeError as error:
        raise UsageError(
            f"{role}= is called with one argument, the key (or a case of support=), and "
            f"{name}{signature} cannot be: {error}; close over what else it needs"
        ) from error


def check_key(key: Any) -> Any:
    """Return a single typed key.

    Raises:
        UsageError: anything else, with the remedy.
    """
    if key is None:
        raise UsageError(
            "the draws need a key: key=jax.random.key(0); or enumerate all cases with support="
        )
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise UsageError(
            "key= must be a typed key, key=jax.random.key(0), not "
            + (f"an array of {dtype}" if dtype is not None else f"{key!r:.40}")
            + "; jax.random.wrap_key_data makes one of a raw PRNGKey"
        )
    if key.shape != ():
        raise UsageError(f"key= must be one key, not an array of them of shape {key.shape}")
    return key


# --- what the mean is held against --------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """One answer to "what is the mean?".

    Args:
        name: Its name.
        values: Its entries, rounded to float64.
        given: Its entries as they were given: floats, whole numbers or fractions.
        epsilon: Spacing of the floats at 1 it was given in, per entry; 0 for exact numbers.
    """

    name: str
    values: np.ndarray
    given: tuple[Any, ...]
    epsilon: np.ndarray

    @cached_property
    def rationals(self) -> tuple[Fraction, ...]:
        """Its entries without rounding."""
        return tuple(map(Fraction, self.given))


def read_candidates(exact: Any, draws: Draws) -> tuple[Candidate, ...]:
    """Read `exact`: one pytree of the structure of a draw, or a dict of named ones.

    It is one pytree if it has the structure of a draw.  It is a dict of candidates if each of its
    values has.  Both cannot be: a finite tree is never one of its own subtrees.

    Raises:
        UsageError: neither, or a shape, dtype or value that no mean can have.
    """
    if _structure(exact) == draws.treedef:
        return (_candidate("exact", exact, draws),)
    if isinstance(exact, Mapping) and exact:
        fits = {str(name): _structure(value) == draws.treedef for name, value in exact.items()}
        if all(fits.values()):
            return tuple(_candidate(str(name), value, draws) for name, value in exact.items())
        if any(fits.values()):
            wrong = ", ".join(name for name, does_fit in fits.items() if not does_fit)
            raise UsageError(f"the candidates {wrong} are not made like a draw of {draws.name}")
    raise UsageError(
        f"exact has the structure {_structure(exact)}, a draw of {draws.name} "
        f"{draws.treedef}; give exact that structure, or a dict of named candidates that have it"
    )


def _structure(tree: Any) -> Any:
    """Structure of a pytree.

    Raises:
        UsageError: JAX cannot take it apart, such as a dict with names of several types.
    """
    try:
        return jax.tree.structure(tree)
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UsageError(f"exact is no pytree ({reason}); name candidates by text") from error


def _candidate(name: str, tree: Any, draws: Draws) -> Candidate:
    given: list[Any] = []
    spacings = []
    for path, shape, leaf in zip(draws.paths, draws.shapes, jax.tree.leaves(tree), strict=True):
        where = name + (f" at {path}" if path else "")
        values, spacing = _numbers(leaf, where)
        if values.shape != shape:
            raise UsageError(
                f"{where} has shape {values.shape}, a draw of {draws.name} has {shape}; "
                "give it the shape of a draw"
            )
        given += values.ravel().tolist()
        spacings.append(spacing)
    try:
        floats = np.array([float(value) for value in given])
    except OverflowError:
        raise UsageError(f"{name} holds a number too large for a float; rescale it") from None
    if not np.all(np.isfinite(floats)):
        entry = draws.entries[int(np.argmin(np.isfinite(floats)))]
        raise UsageError(
            f"{name} is not finite{f' at {entry}' if entry else ''}; an exact mean is a number"
        )
    return Candidate(name, floats, tuple(given), draws.per_entry(spacings))


def _numbers(leaf: Any, where: str) -> tuple[np.ndarray, float]:
    """A leaf as an array of numbers, and the spacing of its floats at 1."""
    try:
        values = np.asarray(leaf)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} is no array of numbers ({error})") from error
    if values.dtype == object and all(_is_rational(value) for value in values.flat):
        return values, 0.0
    if jnp.issubdtype(values.dtype, jnp.floating):
        spacing = float(jnp.finfo(values.dtype).eps)
        return values.astype(np.float64), spacing
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(object), 0.0
    if values.dtype.kind in "OUS":
        kind = "a function" if callable(leaf) else f"made of {type(values.flat[0]).__name__}"
        raise UsageError(f"{where} is {kind}; it is the mean itself, give its numbers")
    raise UsageError(
        f"{where} holds {values.dtype} values; the mean of real draws is real, give floats"
    )


def _is_rational(value: Any) -> bool:
    return isinstance(value, int | Fraction) and not isinstance(value, bool)


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _at(path: Any) -> str:
    return f" at {_path(path)}" if path else ""


# --- what the program says: precision, and where the key goes -----------------------------------


def _trace(function: Callable[[Any], Any], argument: Any, name: str) -> Any:
    """The jaxpr of one draw.

    Raises:
        UsageError: the estimator makes random numbers outside of JAX, which a compiled program
            would repeat for ever.
    """
    first = compat.trace(function, argument)
    # `jax.jit` keeps a trace for each setting of products: under another one it traces anew.
    # (`jax.disable_jit` would trace anew too, and unroll every loop.)
    is_highest = jax.config.jax_default_matmul_precision == "highest"
    with jax.default_matmul_precision("high" if is_highest else "highest"):
        second = compat.trace(function, argument)
    if not _same_numbers(first, second):
        raise UsageError(
            f"{name} computes with other constants each time it is traced: it draws random "
            "numbers outside of JAX (random, numpy.random); draw them from the key"
        )
    return first


def _coarsest(jaxpr: Any) -> float:
    """Spacing at 1 of the coarsest floats a program computes with.

    A draw of float64 is no better than the float32 numbers it was computed from.
    """
    opened, constants = compat.open_jaxpr(jaxpr)
    found = [0.0, *(_spacing(value) for value in constants)]
    found += [_spacing(atom.aval) for atom in (*opened.invars, *opened.outvars)]
    for eqn in opened.eqns:
        found += [_spacing(atom.aval) for atom in eqn.outvars]
        if eqn.primitive.name in _PRODUCTS and found[-1] == float(jnp.finfo(jnp.float32).eps):
            found.append(_PRODUCT_SPACING.get(jax.default_backend(), 0.0))
        found += [_coarsest(inner) for inner in compat.inner_jaxprs(eqn)]
    return max(found)


def coarsest_dtype(epsilon: float) -> str:
    """Name of the floats with this spacing at 1."""
    names = ("float64", "float32", "float16", "bfloat16")
    known = {float(jnp.finfo(name).eps): name for name in names}
    return known.get(epsilon, "low-precision")


def _spacing(value: Any) -> float:
    dtype = getattr(value, "dtype", None)
    is_float = dtype is not None and jnp.issubdtype(dtype, jnp.floating)
    return float(jnp.finfo(dtype).eps) if is_float else 0.0


def _leaves_without_key(jaxpr: Any) -> tuple[bool, ...]:
    """Which leaves of a draw are computed without the key, so that they never vary."""
    opened, _ = compat.open_jaxpr(jaxpr)
    return tuple(not reached for reached in _reached(opened, [True] * len(opened.invars)))


def _reached(jaxpr: Any, inputs: list[bool]) -> list[bool]:
    """Which results of a jaxpr may depend on the marked inputs."""
    known = {id(var) for var, is_marked in zip(jaxpr.invars, inputs, strict=True) if is_marked}
    for eqn in jaxpr.eqns:
        marks = [id(atom) in known for atom in eqn.invars]
        if not any(marks):
            # an effect (a callback) may return anything each time
            marks_out = [bool(eqn.effects)] * len(eqn.outvars)
        else:
            marks_out = _through(eqn, marks)
        known |= {id(v) for v, is_marked in zip(eqn.outvars, marks_out, strict=True) if is_marked}
    return [id(atom) in known for atom in jaxpr.outvars]


def _through(eqn: Any, marks: list[bool]) -> list[bool]:
    inner = compat.called_jaxpr(eqn) if eqn.primitive.name in compat.CALLS else None
    opened = None if inner is None else compat.open_jaxpr(inner)[0]
    if opened is not None and len(opened.invars) == len(marks):
        found = _reached(opened, marks)
        if len(found) == len(eqn.outvars):
            return found
    return [True] * len(eqn.outvars)


def _same_numbers(left: Any, right: Any) -> bool:
    """Whether two traces of one function hold the same constants."""
    ours, theirs = list(_constants(left)), list(_constants(right))
    return len(ours) == len(theirs) and all(
        a is b or np.array_equal(np.asarray(a), np.asarray(b), equal_nan=_may_be_nan(a))
        for a, b in zip(ours, theirs, strict=True)
    )


def _constants(jaxpr: Any) -> Any:
    opened, constants = compat.open_jaxpr(jaxpr)
    yield from (value for value in constants if _is_numeric(value))
    for eqn in opened.eqns:
        yield from (
            atom.val for atom in eqn.invars if compat.is_literal(atom) and _is_numeric(atom.val)
        )
        for inner in compat.inner_jaxprs(eqn):
            yield from _constants(inner)
    yield from (atom.val for atom in opened.outvars if compat.is_literal(atom))


def _is_numeric(value: Any) -> bool:
    return not jnp.issubdtype(getattr(value, "dtype", np.float64), jax.dtypes.extended)


def _may_be_nan(value: Any) -> bool:
    return np.issubdtype(np.asarray(value).dtype, np.inexact)
