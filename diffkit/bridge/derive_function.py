"""Derive the derivative of a JAX function, and compare an elementwise one with `jax.jvp`.

The comparison runs in float64 whatever the user's configuration, which is left as it is.  Where
`jax.jvp` disagrees, central differences of the function itself arbitrate: a custom rule of the
user may be wrong, and then the formula, which is read from the value, is right.
"""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge.arguments import bind
from diffkit.bridge.derive import (
    Certificate,
    Derivation,
    read_domains,
    refuse_flat,
    refuse_statement,
    write_steps,
)
from diffkit.bridge.formula import Formula, Wrt
from diffkit.bridge.lift import lift
from diffkit.bridge.lower import lower
from diffkit.bridge.selection import of_leaves, select
from diffkit.core.domain import Domain
from diffkit.core.errors import CertificateError, DomainError, UsageError
from diffkit.symbolic.derivation import Derivation as Written

#: Random points besides the given one.
POINTS = 8
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
#: Units of rounding and multiples of the change under 4 ulps of the argument that are allowed.
ROUNDING, CONDITION = 256.0, 16.0

Point = Mapping[str, Any]


def derive_function(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    wrt: Wrt | tuple[Wrt, ...] | None,
    order: int,
    assume: Mapping[str, str | Domain],
    domain: str | Mapping[str, str | Domain] | None,
    conventions: Mapping[str, float] | None,
) -> Derivation:
    """`derive` for a JAX function; arguments and errors as there."""
    target = _lifted(f, args, kwargs, assume)
    if not target.inputs:
        raise UsageError("the function got no array; give example arguments: derive(f, 1.0)")
    if not target.is_elementwise or _is_number_of_arrays(target):
        from diffkit.bridge.derive_arrays import derive_arrays

        if conventions:
            raise UsageError(
                "conventions= holds for formulas of numbers; of arrays the derivative at a kink is "
                "JAX's: leave conventions out, or derive the function of one entry"
            )
        return derive_arrays(target, f, args, kwargs, wrt, order, assume, domain)
    selection = select(target, f, args, kwargs, wrt)
    each = selection.names
    domains = read_domains(target.names, domain, assume)
    expr = target.composed().expr
    refuse_statement(expr)
    formulas = tuple(target.nth(name, order, conventions=conventions) for name in each)
    for name, formula in zip(each, formulas, strict=True):
        refuse_flat(expr, formula.composed().expr, name)
    leaves, call, _ = bind(f, args, kwargs)
    check = _Check(call, target, [value for _, value in leaves], domains)
    evidence = [check.run(name, order, one) for name, one in zip(each, formulas, strict=True)]

    def written() -> tuple[Written, ...]:
        return write_steps(target.sympy(), each, order, domains, conventions)

    return Derivation(
        target,
        selection.wrt,
        order,
        selection.result(formulas),
        _worst(evidence, target),
        written,
        lambda program: of_leaves(program, f, args, kwargs),
    )


def _lifted(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    assume: Mapping[str, str | Domain],
) -> Formula:
    """The function read in float64, so that its constants are not rounded."""
    with compat.x64():
        try:
            return lift(f, *args, assume=assume, **kwargs)
        except UsageError as error:
            if not isinstance(error.__cause__, TypeError):
                raise
        # `lax.pad(x, 0.0, ...)` wants one dtype, and 0.0 is float64 here: so is x then.
        wide_args, wide_kwargs = jax.tree.map(_float64, (args, kwargs))
        return lift(f, *wide_args, assume=assume, **wide_kwargs)


def _float64(leaf: Any) -> Any:
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        return leaf
    is_shape = isinstance(leaf, jax.ShapeDtypeStruct)
    return jax.ShapeDtypeStruct(leaf.shape, "float64") if is_shape else leaf.astype("float64")


def _is_number_of_arrays(target: Formula) -> bool:
    return not target.shape and not target.is_scalar


def _worst(parts: list[Certificate], target: Formula) -> Certificate:
    worst = max(parts, key=lambda part: part.error / part.bound if part.bound else 0.0)
    notes = dict.fromkeys((*target.notes, *(note for part in parts for note in part.notes)))
    return Certificate(worst.points, worst.error, worst.bound, worst.route, tuple(notes))


class _Check:
    """Compares closed forms of one function with the function itself."""

    def __init__(
        self,
        call: Callable[..., Any],
        target: Formula,
        values: list[Any],
        domains: Mapping[str, Domain],
    ) -> None:
        self.target = target
        self.call = call
        self.values = values
        self.domains = domains
        # Code that rounds to a narrower type inside is judged in that type.
        narrow = [name for name in EPS if any(f"rounding to {name}" in n for n in target.notes)]
        self.eps = max((EPS[name] for name in narrow), default=EPS["float64"])

    def run(self, name: str, order: int, formula: Formula) -> Certificate:
        """Compare the derivative of order `order` by `name`.

        Raises:
            CertificateError: it differs from both `jax.jvp` and differences.
            DomainError: the function is finite at no point that was tried.
        """
        place = self.target.names.index(name)
        points, worst, bound, notes = [], 0.0, self.eps, []
        with compat.x64():
            closed = jax.jit(lower(formula))
            automatic = jax.jit(self._automatic(place, order))
            value = jax.jit(self.call)
            for point in self._points():
                error, allowed, note = self._compare(closed, automatic, value, point, place, order)
                if note == "outside":
                    continue
                points.append(dict(zip(self.target.names, map(_plain, point), strict=True)))
                notes += [note] if note else []
                if error * bound >= worst * allowed:
                    worst, bound = error, allowed
        if not points:
            raise DomainError(
                f"{self.target.name or 'f'} is finite at none of {POINTS + 1} points; say where it "
                'is defined, for example domain={"x": "(0, 1)"}'
            )
        route = "jax.jvp in float64" if not notes else "central differences in float64"
        return Certificate(tuple(points), worst, bound, route, tuple(notes[:1]))

    def _automatic(self, place: int, order: int) -> Callable[..., Any]:
        """The elementwise derivative by `jax.jvp`; NaN where a custom_vjp forbids it."""
        automatic = _elementwise_jvp(self.call, place, order)
        shapes = [
            jax.ShapeDtypeStruct(each.shape, _wide(each.dtype)) for each in self.target.inputs
        ]
        try:
            jax.jit(automatic).lower(*shapes)
        except TypeError as error:
            if "custom_vjp" not in str(error):
                raise
            return lambda *values: jnp.full(self.target.shape, jnp.nan)
        return automatic

    def _compare(
        self, closed: Any, automatic: Any, value: Any, point: list[Any], place: int, order: int
    ) -> tuple[float, float, str]:
        """Relative error, what is allowed, and "outside" or what must be said."""
        ours, theirs = np.asarray(closed(*point)), np.asarray(automatic(*point))
        finite = np.isfinite(np.asarray(value(*point)))
        if not finite.any():
            return 0.0, self.eps, "outside"
        if not np.isfinite(theirs[finite]).any():
            where = int(np.argmax(finite))
            return self._arbitrate(ours, value, point, place, order, (ours, theirs), where)
        nudged = [automatic(*_nudge(point, place, sign * 4 * self.eps)) for sign in (1, -1)]
        scale = np.maximum(np.maximum(np.abs(theirs), np.abs(ours)), 1e-300)
        spread = sum(np.abs(np.asarray(each) - theirs) for each in nudged)
        # A jump next to the point means that the point is at a kink, where conventions rule.
        smooth = finite & np.isfinite(theirs) & (spread <= 1e-3 * scale + 1e-12)
        if not smooth.any():
            return 0.0, self.eps, "outside"
        allowed = ROUNDING * self.eps * (order + 1 / scale) + CONDITION * spread / scale
        error = np.where(smooth, np.abs(ours - theirs) / scale, 0.0)
        worst = int(np.argmax(error / allowed))
        error_at, allowed_at = float(np.ravel(error)[worst]), float(np.ravel(allowed)[worst])
        if error_at <= allowed_at:
            return error_at, allowed_at, ""
        return self._arbitrate(ours, value, point, place, order, (ours, theirs), worst)

    def _arbitrate(
        self,
        ours: np.ndarray,
        value: Any,
        point: list[Any],
        place: int,
        order: int,
        pair: tuple[np.ndarray, np.ndarray],
        worst: int,
    ) -> tuple[float, float, str]:
        """Ask central differences of the function itself whose derivative is right."""
        step = self.eps ** (1 / (order + 2))
        x = np.asarray(point[place], float)
        width = step * np.maximum(1.0, np.abs(x))
        total: Any = 0.0
        for k in range(order + 1):
            moved = list(point)
            moved[place] = jnp.asarray(x + (order / 2 - k) * width)
            total = total + (-1) ** k * _binomial(order, k) * np.asarray(value(*moved))
        estimate = float(np.ravel(np.broadcast_to(total / width**order, ours.shape))[worst])
        formula, automatic = (float(np.ravel(each)[worst]) for each in pair)
        error = abs(formula - estimate) / max(1.0, abs(estimate))
        # Truncation and rounding of the difference are both of the size step**2.
        allowed = 1e4 * step**2
        if error <= allowed:
            note = (
                f"jax.jvp gives {automatic:.6g}, the derivative of the value is {formula:.6g}: "
                "a custom rule or stop_gradient of the function"
            )
            if automatic != automatic:
                note = "jax.jvp gives no number (custom_vjp, or a NaN of the rule)"
            return error, allowed, note
        raise CertificateError(
            f"the derived form gives {formula:.17g}, jax.jvp {automatic:.17g}, differences "
            f"{estimate:.6g} at {_describe(self.target, point)}; "
            "this is a defect of diffkit, please report it"
        )

    def _points(self) -> Iterator[list[Any]]:
        """The given point, if it is one, then random ones."""
        random = np.random.default_rng(0)
        if not any(isinstance(value, jax.ShapeDtypeStruct) for value in self.values):
            yield [_widened(value) for value in self.values]
        for _ in range(POINTS):
            pairs = zip(self.target.inputs, self.values, strict=True)
            yield [
                _draw(each.dtype, each.shape, self.domains.get(each.name), value, random)
                for each, value in pairs
            ]


def _elementwise_jvp(call: Callable[..., Any], place: int, order: int) -> Callable[..., Any]:
    """The elementwise derivative of order `order` by forward mode."""

    def once(f: Callable[..., Any]) -> Callable[..., Any]:
        def slope(*values: Any) -> Any:
            def of_one(x: Any) -> Any:
                return f(*values[:place], x, *values[place + 1 :])

            x = values[place]
            return jax.jvp(of_one, (x,), (jnp.ones_like(x),))[1]

        return slope

    for _ in range(order):
        call = once(call)
    return call


def _nudge(point: list[Any], place: int, relative: float) -> list[Any]:
    moved = list(point)
    moved[place] = point[place] * (1 + relative) + relative * 1e-3
    return moved


def _widened(value: Any) -> Any:
    """Floats in float64; everything else as it is."""
    array = jnp.asarray(value)
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _draw(
    dtype: str, shape: tuple[int, ...], domain: Domain | None, value: Any, random: Any
) -> Any:
    """Entries of magnitude about 1 inside the domain; whole numbers and masks stay when given."""
    if not dtype.startswith(("float", "bfloat")):
        if isinstance(value, jax.ShapeDtypeStruct):
            return jnp.asarray(random.integers(0, 2, shape)).astype(dtype)
        return jnp.asarray(value)
    drawn = random.normal(size=shape) * 1.5
    if domain is not None:
        drawn = _into(drawn, domain)
    return jnp.asarray(drawn, jnp.float64)


def _into(drawn: np.ndarray, domain: Domain) -> np.ndarray:
    """Map the real line into an interval."""
    low, high = domain.low, domain.high
    if isinstance(low, Fraction) and isinstance(high, Fraction):
        share = 0.5 + np.arctan(drawn) / np.pi
        return float(low) + (float(high) - float(low)) * share
    if isinstance(low, Fraction):
        return float(low) + np.exp(drawn)
    if isinstance(high, Fraction):
        return float(high) - np.exp(drawn)
    return drawn


def _binomial(n: int, k: int) -> int:
    return int(sp.binomial(n, k))


def _wide(dtype: str) -> str:
    return "float64" if dtype.startswith(("float", "bfloat")) else dtype


def _plain(value: Any) -> Any:
    return np.asarray(value).tolist()


def _describe(target: Formula, point: list[Any]) -> str:
    pairs = zip(target.names, point, strict=True)
    return ", ".join(f"{name} = {_plain(value)}" for name, value in pairs)[:200]
