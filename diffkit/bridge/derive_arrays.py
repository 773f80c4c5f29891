"""Derive gradients, Jacobians and Hessians of functions of arrays, and compare them with JAX's AD.

The comparison runs in float64.  Small derivatives are compared entry by entry, large ones along
random directions, so that no Jacobian of a large model is ever written out.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.arguments import bind
from diffkit.bridge.derive import Certificate, Derivation, read_domains
from diffkit.bridge.formula import Formula, Wrt
from diffkit.bridge.lower import array_function
from diffkit.bridge.selection import of_leaves, select
from diffkit.core.domain import Domain
from diffkit.core.errors import CertificateError, DomainError, UsageError
from diffkit.numeric import matrix_sets
from diffkit.tensor import symmetry
from diffkit.tensor.steps import ArrayDerivation, gradient_steps

#: Random points besides the given one.
POINTS = 4
EPS = 2.0**-52
#: Units of rounding and multiples of the change under 4 ulps of the arguments that are allowed.
ROUNDING, CONDITION = 512.0, 64.0
#: Entries up to which a derivative is compared as a whole.
MOST_ENTRIES = 10_000


def derive_arrays(
    target: Formula,
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    wrt: Wrt | tuple[Wrt, ...] | None,
    order: int,
    assume: Mapping[str, str | Domain],
    domain: str | Mapping[str, str | Domain] | None,
) -> Derivation:
    """`derive` for a lifted function whose result joins entries of arrays.

    Raises:
        UsageError: an order above 2 by an array.
        CertificateError: the closed form disagrees with JAX's AD and with differences.
    """
    selection = select(target, f, args, kwargs, wrt)
    each = selection.names
    formulas = _formulas(target, each, order)
    leaves, call, _ = bind(f, args, kwargs)
    domains = read_domains(target.names, domain, assume)
    judge = _Judge(call, target, [value for _, value in leaves], domains)
    parts = [judge.run(name, order, one) for name, one in zip(each, formulas, strict=True)]
    worst = max(parts, key=lambda part: part.error / part.bound if part.bound else 0.0)
    notes = tuple(dict.fromkeys((*target.notes, *(n for part in parts for n in part.notes))))
    notes = (*notes, *_conventions(target, each, order))
    evidence = Certificate(worst.points, worst.error, worst.bound, worst.route, notes)

    def written() -> tuple[ArrayDerivation, ...]:
        return tuple(_steps(target, name, order) for name in each)

    return Derivation(
        target,
        selection.wrt,
        order,
        selection.result(formulas),
        evidence,
        written,
        lambda program: of_leaves(array_function(program, target.inputs), f, args, kwargs),
    )


def _conventions(target: Formula, names: Sequence[str], order: int) -> tuple[str, ...]:
    """How the gradient by a symmetric matrix reads under the other convention."""
    if order != 1 or target.shape:
        return ()
    return tuple(
        f"{name} is symmetric: the form is the {symmetry.UNCONSTRAINED} gradient; with "
        f"{symmetry.COUNTED_ONCE} it is "
        f"{target.symmetric_gradients(name)[symmetry.COUNTED_ONCE]}"
        for name in names
        if symmetry.is_symmetric_variable(target.input(name))
    )


def _formulas(target: Formula, names: Sequence[str], order: int) -> tuple[Formula, ...]:
    """The derivatives, one sweep for all gradients."""
    if order == 1 and not target.shape:
        return target.grad(tuple(names))
    if order == 1:
        return tuple(target.jacobian(name) for name in names)
    return tuple(target.nth(name, order) for name in names)


def _steps(target: Formula, name: str, order: int) -> ArrayDerivation:
    """The steps of a gradient.

    Raises:
        UsageError: a derivative that is not written in steps.
    """
    if order != 1 or target.shape:
        raise UsageError(
            "steps are written for the gradient of a number; take the gradient first, "
            "or the sum of the result"
        )
    return gradient_steps(target.node, target.input(name), target.notes)


class _Judge:
    """Compares closed forms of one function with JAX's AD."""

    def __init__(
        self,
        call: Callable[..., Any],
        target: Formula,
        values: list[Any],
        domains: Mapping[str, Domain],
    ) -> None:
        self.call, self.target, self.values, self.domains = call, target, values, domains

    def run(self, name: str, order: int, formula: Formula) -> Certificate:
        """The evidence for one derivative.

        Raises:
            CertificateError: it differs from AD beyond rounding.
            DomainError: the function is finite at no point that was tried.
        """
        place = self.target.names.index(name)
        points, worst, bound = [], 0.0, ROUNDING * EPS
        notes: list[str] = []
        with compat.x64():
            ours, theirs = self.programs(place, order, formula)
            for point, is_given in self.points():
                found = self.compare(ours, theirs, point)
                if found is None:
                    continue
                error, allowed = found
                if not np.isfinite(error):
                    where = "the given point" if is_given else "a random point"
                    notes.append(
                        f"the closed form by {name} is not finite at {where}, where JAX's AD is"
                    )
                    continue
                if error > allowed and is_given and self.is_kink(ours, theirs, point):
                    notes.append(
                        f"the given point is a kink: JAX's AD takes another value by {name} there"
                    )
                    continue
                points.append(self.as_data(point))
                if error > allowed:
                    raise CertificateError(
                        f"the closed form of the derivative by {name} and JAX's AD differ by "
                        f"{error:.1e} (allowed {allowed:.1e}): the function holds stop_gradient, "
                        "an index out of range or a custom rule, which AD differentiates as it is "
                        "told (dk.verify tells), or this is a defect of diffkit: report it"
                    )
                if error * bound >= worst * allowed:
                    worst, bound = error, allowed
        if not points:
            raise DomainError(
                f"{self.target.name or 'f'} or its derivative is finite at none of {POINTS + 1} "
                'points; say where it is defined, for example domain={"S": "spd"}'
            )
        notes = list(dict.fromkeys(notes))
        return Certificate(tuple(points), worst, bound, "JAX's AD in float64", tuple(notes))

    def is_kink(self, ours: Any, theirs: Any, point: list[Any]) -> bool:
        """Whether both derivatives agree beside a point at which they differ."""
        random = np.random.default_rng(2)
        for _ in range(POINTS):
            beside = [
                v + 2.0**-10 * (1 + np.abs(v)) * random.normal(size=np.shape(v))
                if jnp.issubdtype(jnp.asarray(v).dtype, jnp.floating)
                else v
                for v in point
            ]
            found = self.compare(ours, theirs, beside)
            if found is None or not found[0] <= found[1]:
                return False
        return True

    def as_data(self, point: list[Any]) -> dict[str, Any]:
        """A point by name; the values of a large one are left out."""
        if sum(np.size(value) for value in point) > MOST_ENTRIES:
            return {}
        pairs = zip(self.target.names, point, strict=True)
        return {name: np.asarray(value).tolist() for name, value in pairs}

    def programs(
        self, place: int, order: int, formula: Formula
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Both derivatives as jitted functions of the leaves."""
        closed = formula.lower()
        size = prod(formula.shape)
        automatic = self.automatic(place, order)
        if size <= MOST_ENTRIES or (order == 1 and not self.target.shape):
            return jax.jit(closed), jax.jit(automatic)
        random = np.random.default_rng(0)
        direction = random.normal(size=self.target.inputs[place].shape)
        direction = jnp.asarray(direction / np.linalg.norm(direction))
        rank = direction.ndim

        def along(*leaves: Any) -> Any:
            return jnp.tensordot(closed(*leaves), direction, rank)

        def pushed(*leaves: Any) -> Any:
            first = self.automatic(place, order - 1)

            def of_one(x: Any) -> Any:
                return first(*leaves[:place], x, *leaves[place + 1 :])

            return jax.jvp(of_one, (leaves[place],), (direction,))[1]

        return jax.jit(along), jax.jit(pushed)

    def automatic(self, place: int, order: int) -> Callable[..., Any]:
        """The derivative by JAX: reverse mode first, forward mode after."""

        def value(*leaves: Any) -> Any:
            return jax.tree.leaves(self.call(*leaves))[0]

        if order == 0:
            return value
        if not self.has_reverse_mode(value, place):
            program = jax.jacfwd(value, place)
        else:
            program = jax.grad(value, place) if not self.target.shape else jax.jacrev(value, place)
        for _ in range(order - 1):
            program = jax.jacfwd(program, place)
        return program

    def has_reverse_mode(self, value: Callable[..., Any], place: int) -> bool:
        """Whether JAX can transpose the function: loops of open length it cannot."""
        (point, _), *_ = self.points()
        try:
            jax.eval_shape(jax.jacrev(value, place), *point)
        except ValueError:
            return False
        return True

    def compare(self, ours: Any, theirs: Any, point: list[Any]) -> tuple[float, float] | None:
        """Relative error, and what is allowed; None where AD is not finite."""
        a, b = np.asarray(ours(*point)), np.asarray(theirs(*point))
        if not np.all(np.isfinite(b)):
            return None
        random = np.random.default_rng(1)
        moved = [
            v * (1 + 4 * EPS * random.choice([-1.0, 1.0], size=np.shape(v)))
            if jnp.issubdtype(jnp.asarray(v).dtype, jnp.floating)
            else v
            for v in point
        ]
        if not np.all(np.isfinite(a)):
            return np.inf, ROUNDING * EPS
        scale = max(float(np.max(np.abs(b), initial=0.0)), float(np.max(np.abs(a), initial=0.0)))
        if scale == 0:
            return 0.0, ROUNDING * EPS
        spread = float(np.max(np.abs(np.asarray(theirs(*moved)) - b), initial=0.0))
        error = float(np.max(np.abs(a - b), initial=0.0))
        return error / scale, ROUNDING * EPS + CONDITION * spread / scale

    def points(self) -> list[tuple[list[Any], bool]]:
        """The given point, if it is one, then random ones within the domains; which is given."""
        random = np.random.default_rng(0)
        found = []
        if not any(isinstance(value, jax.ShapeDtypeStruct) for value in self.values):
            found.append(([self._wide(value) for value in self.values], True))
        for _ in range(POINTS):
            pairs = zip(self.target.inputs, self.values, strict=True)
            found.append(([self._drawn(each, value, random) for each, value in pairs], False))
        return found

    @staticmethod
    def _wide(value: Any) -> Any:
        array = jnp.asarray(value)
        return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array

    def _drawn(self, each: Any, value: Any, random: Any) -> Any:
        if not each.dtype.startswith(("float", "bfloat")):
            is_shape = isinstance(value, jax.ShapeDtypeStruct)
            return jnp.zeros(each.shape, each.dtype) if is_shape else jnp.asarray(value)
        domain = self.domains.get(each.name, Domain())
        return jnp.asarray(matrix_sets.draw(domain, each.shape, random), jnp.float64)
