r"""n-th derivatives of JAX functions of a number, by running their jaxpr over Taylor series.

Every value is a truncated series in t at x + t (`backend.series`); the rules are those of
`taylor_rules`.  Calls are inlined and custom rules ignored, except for functions whose name is
verified: those have a recurrence of their own.  Unlike nested `jax.grad` the cost grows with n^2,
and unlike `jax.experimental.jet` there are rules for `linalg.solve`, `inv`, `det`, `cholesky`,
loops and implicit functions.  A primitive without a row raises `UnsupportedPrimitive`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from diffkit.backend import fixed_point as implicit
from diffkit.backend import series as s
from diffkit.backend.compat import (
    CALLS,
    Source,
    called_jaxpr,
    called_name,
    is_literal,
    open_jaxpr,
    primitives,
    scan_split,
    source,
    trace,
)
from diffkit.backend.kernels import FUSED, KERNELS
from diffkit.backend.series import Series
from diffkit.bridge.idioms import stands_for
from diffkit.bridge.taylor_rules import CHOICES, RULES, NoRow, Sides, bind, is_real, padded, plain
from diffkit.core.errors import UnsupportedPrimitive, UsageError

Values = list[Any]


def nth(f: Callable[..., Any], n: int) -> Callable[..., Any]:
    r"""Return the n-th derivative of `f` by its first argument, a number.

    $$f^{(n)}(x) = n!\,[t^n]\,f(x + t)$$

    Where the program changes sides at x itself (`relu` at 0) the derivative is NaN unless both
    sides agree; a function that passes through a kink elsewhere is not affected.  What stands
    under `stop_gradient` is constant, as for `jax.grad`.

    Args:
        f: A JAX function of a number and of any constant arguments; its result is a pytree of
            arrays.
        n: Order, >= 0.

    Returns:
        A function of the same arguments, safe under `jit`, `vmap` and `grad`; the result has the
        structure and shapes of that of `f`.

    Raises:
        UsageError: the order is no whole number >= 0, the first argument is no number, or a
            result is not floating.
        UnsupportedPrimitive: `f` uses a primitive without a rule; raised when it is called.

    Source: Griewank and Walther (2008), Evaluating Derivatives, section 13.2.

    >>> float(nth(lambda x: x**5, 3)(2.0))
    240.0
    """
    series = _series_of(f, n)

    def derivative(x: Any, *args: Any) -> Any:
        results, tree = series(x, *args)
        terms = (padded(each, n + 1)[n] for each in results)
        return jax.tree.unflatten(tree, [s.times(math.factorial(n), term) for term in terms])

    return derivative


def taylor(f: Callable[..., Any], n: int) -> Callable[..., Any]:
    """Return the Taylor coefficients 0, ..., n of `f` at its first argument, stacked.

    >>> [float(c) for c in taylor(jnp.exp, 3)(0.0)]  # doctest: +ELLIPSIS
    [1.0, 1.0, 0.5, 0.16666...]
    """
    series = _series_of(f, n)

    def coefficients(x: Any, *args: Any) -> Any:
        results, tree = series(x, *args)
        stacked = [jnp.stack(tuple(padded(each, n + 1))) for each in results]
        return jax.tree.unflatten(tree, stacked)

    return coefficients


def _series_of(f: Callable[..., Any], n: int) -> Callable[..., tuple[list[Series], Any]]:
    """The series of the leaves of f(x + t, ...), and the structure they belong in."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise UsageError(f"the order must be a whole number >= 0, not {n!r}")

    def series(x: Any, *args: Any) -> tuple[list[Series], Any]:
        x = jnp.asarray(x)
        if x.shape:
            raise UsageError(
                f"the first argument is an array of shape {x.shape}; nth differentiates by a "
                "number: use jax.vmap(nth(f, n)), or nth(lambda t: f(x + t * direction), n)(0.0)"
            )
        x = x if is_real(x.dtype) else x.astype(jnp.result_type(float))
        leaves, tree = jax.tree.flatten(args)
        structures: list[Any] = []

        def flat(number: Any, *values: Any) -> list[Any]:
            found, structure = jax.tree.flatten(f(number, *jax.tree.unflatten(tree, values)))
            structures[:] = [structure]
            return found

        jaxpr = trace(flat, x, *leaves)
        argument = (x, lax.full_like(x, 1)) if n else (x,)
        results = run(jaxpr, [argument, *(_value(each) for each in leaves)], n)
        if not all(map(s.is_series, results)):
            raise UsageError(
                "a result is no floating number, and only those have derivatives; return "
                "the others apart"
            )
        return results, structures[0]

    return series


def run(jaxpr: Any, values: Sequence[Any], n: int) -> Values:
    """Return the results of a jaxpr on series: tuples for floats, arrays or `Sides` for the rest.

    Raises:
        UnsupportedPrimitive: a primitive without a rule that depends on the variable.
    """
    try:
        return _run(jaxpr, values, n)
    except _Missing as missing:
        raise missing.error() from None


def supported() -> tuple[str, ...]:
    """The primitives with a rule, sorted; any other is run as it is on constants."""
    return tuple(sorted({*RULES, *_CONTROL, *CALLS}))


def _value(array: Any) -> Any:
    array = array if hasattr(array, "dtype") else jnp.asarray(array)
    return (array,) if is_real(array.dtype) else array


def _run(jaxpr: Any, values: Sequence[Any], n: int) -> Values:
    opened, constants = open_jaxpr(jaxpr)
    env = dict(zip(opened.constvars, map(_value, constants), strict=True))
    env.update(zip(opened.invars, values, strict=True))

    def read(atom: Any) -> Any:
        return _value(np.asarray(atom.val, atom.aval.dtype)) if is_literal(atom) else env[atom]

    for number, eqn in enumerate(opened.eqns):
        try:
            results = _results(eqn, [read(atom) for atom in eqn.invars], n)
        except NoRow as error:
            raise _Missing(eqn.primitive.name, number, source(eqn), str(error)) from None
        except _Missing as missing:
            # an equation inside a library function has no line of the user; its caller has
            missing.place = missing.place if missing.place.file else source(eqn)
            raise
        env.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in opened.outvars]


def _results(eqn: Any, values: Values, n: int) -> Values:
    name = eqn.primitive.name
    depends = any(
        isinstance(each, Sides) or (s.is_series(each) and not s.is_constant(each))
        for each in values
    )
    if not depends and name not in CALLS:
        return [_value(each) for each in _many(eqn, bind(eqn, *map(plain, values)))]
    if name in CALLS:
        return _call(eqn, values, n)
    if name in _CONTROL:
        return _CONTROL[name](eqn, values, n)
    if not any(s.is_series(each) for each in values) and name not in CHOICES:
        if any(is_real(out.aval.dtype) for out in eqn.outvars) or len(eqn.outvars) > 1:
            raise NoRow("a choice that depends on the variable")
        return [Sides.map(_sides(values[0]), lambda *each: bind(eqn, *each), *values[1:])]
    if name in RULES:
        return list(_many(eqn, RULES[name](eqn, n, *values)))
    raise NoRow("")


def _sides(value: Any) -> Sides:
    return value if isinstance(value, Sides) else Sides(value, value, value)


def _many(eqn: Any, results: Any) -> Sequence[Any]:
    return results if eqn.primitive.multiple_results else [results]


class _Missing(Exception):
    """A primitive without a rule, on its way out to the line of user code that made it."""

    def __init__(self, primitive: str, number: int, place: Source, reason: str = "") -> None:
        self.primitive, self.number, self.place, self.reason = primitive, number, place, reason
        super().__init__(primitive)

    def error(self) -> UnsupportedPrimitive:
        """The error the user sees."""
        detail = f" ({self.reason})" if self.reason else ""
        return UnsupportedPrimitive(
            f"no Taylor rule for `{self.primitive}`{detail} (eqn {self.number}, {self.place}). "
            f"Rules exist for {len(supported())} primitives (diffkit.bridge.taylor.supported()); "
            "write the line with those, or add a row in bridge/taylor_rules.py"
        )


# --- calls -----------------------------------------------------------------------------------


def _call(eqn: Any, values: Values, n: int) -> Values:
    """The recurrence of a named function, else the inner jaxpr."""
    inner = called_jaxpr(eqn)
    if inner is None:
        raise NoRow("a call without a jaxpr")
    moves = any(s.is_series(each) and not s.is_constant(each) for each in values)
    if moves and not primitives(inner).isdisjoint(_PIECEWISE):
        name = called_name(eqn)
        if name in _NAMED and any(stands_for(eqn, each) for each in _NAMED[name][0]):
            return [_NAMED[name][1](eqn, n, *values)]
        if name in _APPROXIMATED and stands_for(eqn, (KERNELS | FUSED)[name]):
            raise _Missing(name, 0, source(eqn), "a kernel pieced together from approximations")
        if name == implicit.NAME:
            return _fixed_point(inner, values, n)
    return _run(inner, values, n)


def _at_point(eqn: Any, values: Sequence[Series]) -> Any:
    """The call itself on the first coefficients."""
    (result,) = _run(called_jaxpr(eqn), [each[:1] for each in values], 0)
    return result[0]


def _unary(name: str) -> Callable[..., Series]:
    rule = s.FUNCTIONS[name]
    return lambda eqn, n, u: rule(u, n, _at_point(eqn, [u]))


def _log_add_exp(eqn: Any, n: int, a: Series, b: Series) -> Series:
    """B + softplus(a - b), whose value the program computes."""
    value = _at_point(eqn, [a, b])
    gap = tuple(jnp.broadcast_to(each, value.shape) for each in s.subtract(a, b))
    rest = s.softplus(gap, n, value) if len(gap) > 1 else (value,)
    total = s.add(b, rest)
    return (value, *total[1:])


def _named() -> Mapping[str, tuple[tuple[Callable[..., Any], ...], Callable[..., Series]]]:
    """Name -> the library functions it may stand for, and their rule."""
    library = {
        "softplus": (jax.nn.softplus,),
        "log_sigmoid": (jax.nn.log_sigmoid,),
        "logaddexp": (jnp.logaddexp,),
        "sigmoid": (jax.nn.sigmoid,),
    }
    kernels = KERNELS | FUSED
    rules = {name: _unary(name) for name in s.FUNCTIONS if name in kernels}
    rules["logaddexp"] = _log_add_exp
    return {name: ((*library.get(name, ()), kernels[name]), rule) for name, rule in rules.items()}


_NAMED = _named()
#: A call without any of these is as good as its name.
_PIECEWISE = frozenset("select_n max min abs clamp while cond".split())
#: diffkit's kernels that are accurate as values and whose derivatives are stated apart.
_APPROXIMATED = frozenset(
    "erfcx log_normal_cdf normal_quantile normal_hazard gelu_prime sinc cosm1 expm1_over "
    "log1p_over log1mexp exp_square".split()
)


# --- control flow ----------------------------------------------------------------------------


def _carried(value: Any, n: int) -> Any:
    """A loop's carry: a series in full length, or an array."""
    return s.forced(padded(value, n + 1)) if s.is_series(value) else plain(value)


def _in_body(found: Values, n: int) -> tuple[Any, ...]:
    return tuple(_carried(each, n) for each in found)


def _scan(eqn: Any, values: Values, n: int) -> Values:
    """The body runs on series; carries have all coefficients, scanned arrays those they have."""
    split = scan_split(eqn.params)
    fixed = [s.forced(each) for each in values[: split.constants]]
    carry = _in_body(values[split.constants : split.constants + split.carry], n)
    scanned = tuple(s.forced(each) for each in values[split.constants + split.carry :])
    if any(isinstance(each, Sides) for each in (*fixed, *scanned)):
        raise NoRow("a choice that depends on the variable")

    def body(state: Any, entries: Any) -> Any:
        found = _run(eqn.params["jaxpr"], [*fixed, *state, *entries], n)
        return _in_body(found[: split.carry], n), _in_body(found[split.carry :], n)

    state, rows = lax.scan(
        body,
        carry,
        scanned,
        length=eqn.params["length"],
        reverse=eqn.params["reverse"],
        unroll=eqn.params["unroll"],
    )
    return [*state, *rows]


def _while(eqn: Any, values: Values, n: int) -> Values:
    """A loop whose number of steps does not depend on the variable."""
    first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    values = [s.forced(each) for each in values]
    for_condition, for_body = values[:first], values[first : first + second]
    carry = _in_body(values[first + second :], n)

    def goes_on(state: Any) -> Any:
        (answer,) = _run(eqn.params["cond_jaxpr"], [*for_condition, *state], n)
        if isinstance(answer, Sides):
            raise NoRow(
                "the number of steps depends on the variable: the series of its last iterate is "
                "not that of the limit; use diffkit.backend.fixed_point, or a fixed number of steps"
            )
        return answer

    def body(state: Any) -> Any:
        return _in_body(_run(eqn.params["body_jaxpr"], [*for_body, *state], n), n)

    return list(lax.while_loop(goes_on, body, carry))


def _cond(eqn: Any, values: Values, n: int) -> Values:
    """The branch of the point; NaN beyond the value where the choice changes sides."""
    index, *operands = map(s.forced, values)
    here = index.here if isinstance(index, Sides) else index

    def branch(jaxpr: Any) -> Callable[..., Any]:
        return lambda *each: _in_body(_run(jaxpr, each, n), n)

    chosen = lax.switch(here, [branch(each) for each in eqn.params["branches"]], *operands)
    if not isinstance(index, Sides):
        return list(chosen)
    return [
        (each[0], *(jnp.where(index.jumps, jnp.nan, c) for c in each[1:]))
        if s.is_series(each)
        else each
        for each in chosen
    ]


def _linear_solve(eqn: Any, values: Values, n: int) -> Values:
    r"""$x_k = M_0^{-1}(b_k - [M x_{<k}]_k)$: the matrix acts on series, the solver on the point."""
    lengths, programs = eqn.params["const_lengths"], eqn.params["jaxprs"]
    ends = [sum(lengths[:k]) for k in range(5)]
    for_matrix, for_solve = values[ends[0] : ends[1]], values[ends[2] : ends[3]]
    right = [padded(each, n + 1) for each in values[ends[4] :]]
    at_point = [(each[0],) if s.is_series(each) else plain(each) for each in for_solve]
    x: list[list[Any]] = [[] for _ in right]
    for k in range(n + 1):
        known = [(*each, jnp.zeros_like(b[0])) for each, b in zip(x, right, strict=True)]
        acted = _run(programs.matvec, [*for_matrix, *known], k) if k else []
        rest = (
            [b[k] - padded(m, k + 1)[k] for b, m in zip(right, acted, strict=True)]
            if k
            else [b[0] for b in right]
        )
        found = _run(programs.solve, [*at_point, *((each,) for each in rest)], 0)
        for mine, (value,) in zip(x, found, strict=True):
            mine.append(value)
    return [tuple(each) for each in x]


def _fixed_point(inner: Any, values: Values, n: int) -> Values:
    r"""The implicit function: $(I - \partial g/\partial z)\,z_k = [g(z_{<k}, x)]_k$."""
    opened, _ = open_jaxpr(inner)
    *before, loop = opened.eqns
    operands = _run(opened.replace(eqns=before, outvars=loop.invars), values, n)
    first, second = loop.params["cond_nconsts"], loop.params["body_nconsts"]
    for_body = [s.forced(each) for each in operands[first : first + second]]
    body = loop.params["body_jaxpr"]
    points = [each[0] if s.is_series(each) else plain(each) for each in operands]
    limit, count, change = bind(loop, *points)
    z: Series = (limit,)

    def step(argument: Series, order: int, of: Values) -> Series:
        return _run(body, [*of, argument, count, (change,)], order)[0]

    fixed = [each[:1] if s.is_series(each) else each for each in for_body]
    slope = jax.jacfwd(lambda argument: step((argument,), 0, fixed)[0])(limit)
    matrix = jnp.eye(limit.size, dtype=limit.dtype) - slope
    for k in range(1, n + 1):
        known = padded(step((*z, jnp.zeros_like(limit)), k, for_body), k + 1)[k]
        z = (*z, jnp.linalg.solve(matrix, known))
    return [z, (change,)]


_CONTROL: Mapping[str, Callable[[Any, Values, int], Values]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "custom_linear_solve": _linear_solve,
}
