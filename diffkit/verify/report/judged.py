"""What a verdict is about, found again: the function, and the point its graph is drawn at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from diffkit.bridge.batch import within
from diffkit.bridge.derive import Derivation, derive, read
from diffkit.bridge.subject import Subject, subject
from diffkit.core.claim import Claim
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict
from diffkit.verify import sampling
from diffkit.verify.replay import names_a_module, target_of

#: Numbers a reader multiplies in his head, for arguments of which only the shape is known.
EASY = tuple(Fraction(text) for text in "2 3 1/2 3/4 1/4 5 -2 -1/2 1/8".split())

#: Seconds a derivation may take.
SECONDS = 30.0


@dataclass(frozen=True)
class Judged:
    """A verdict with what it is about.

    Args:
        verdict: The verdict.
        function: The JAX function, formula text or SymPy expression that was judged; None when
            the verdict's claim names it (text, or a function that can be imported).
        args: Example arguments, as they were given to `check` or `verify`.
        kwargs: Arguments by name.
        may_import: Whether a module may be imported for the function although the verdict was
            read from data: importing runs the module that the data name.
    """

    verdict: Verdict
    function: Any = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    may_import: bool = False

    @property
    def claim(self) -> Claim:
        """The question."""
        return self.verdict.claim

    def target(self) -> tuple[Any, Sequence[Any], Mapping[str, Any]]:
        """Function or formula, example arguments, and those by name.

        Raises:
            UsageError: the function cannot be found again.
        """
        if self.function is not None:
            return self.function, self.args, self.kwargs
        if not self.claim.is_replayable:
            raise UsageError(
                "the verdict does not hold the function itself; give it to the report: "
                "report(verdict, f, *args)"
            )
        if self.verdict.is_read and names_a_module(str(self.claim.target)) and not self.may_import:
            raise UsageError(
                f"the verdict was read from data, and {self.claim.target} is not imported for "
                "them: this needs the function, report(verdict, f, *args), or your word that the "
                "data are trusted, report(Judged(verdict, may_import=True))"
            )
        found, args = target_of(self.claim)
        return found, args, {}

    def subject(self) -> Subject:
        """The target as a JAX function with its variable.

        Raises:
            UsageError: it cannot be found, or takes no such arguments.
        """
        found, args, kwargs = self.target()
        if not callable(found) or hasattr(found, "free_symbols"):
            formula = read(found)
            if not formula.names:
                raise UsageError("the formula is a number; there is nothing to compute")
            found, args, kwargs = formula.lower(), (), {}
        known = self.claim.wrt
        try:
            return subject(found, args, kwargs, known or None)
        except UsageError:
            names = _leaves_of(known, subject(found, args, kwargs, None).names)
            if not names:
                raise
            return subject(found, args, kwargs, names[0])

    @cached_property
    def derivation(self) -> Derivation:
        """The closed form of the derivative and its steps.

        Raises:
            UsageError: the claim is about a value, or the function cannot be found.
            UnsupportedPrimitive: the function has no closed form.
            TimeLimitExceeded: it takes too long.
        """
        claim = self.claim
        if claim.kind in ("value", "function") or not claim.wrt:
            raise UsageError("the claim is about a value, so nothing is derived")
        found, args, kwargs = self.target()
        variable = claim.wrt
        if callable(found) and not hasattr(found, "free_symbols"):
            names = self.subject().names
            variable = next((n for n in names if n.replace(".", "_") == claim.wrt), claim.wrt)
        options: dict[str, Any] = {
            "order": 2 if claim.kind == "hessian" else claim.order,
            "domain": dict(claim.domain),
            "conventions": dict(claim.conventions),
        }
        return within(SECONDS, lambda: derive(found, *args, wrt=variable, **options, **kwargs))

    def domains(self, what: Subject) -> dict[str, Domain]:
        """Declared domains by the names of the arguments."""
        spelt = {name.replace(".", "_"): name for name in what.names}
        return {
            spelt[name.replace(".", "_")]: Domain.parse(domain)
            for name, domain in self.claim.domain.items()
            if name.replace(".", "_") in spelt
        }

    def point(self, what: Subject) -> tuple[tuple[np.ndarray, ...], str]:
        """Where the graph is drawn, and what that point is in words."""
        verdict = self.verdict
        points = [(verdict.counterexample, "at the counterexample")]
        points += [(point, "at the given point") for point in self.claim.points]
        points += [(f.point, "at a finding") for f in verdict.findings if f.severity == "wrong"]
        for candidate, where in points:
            leaves = _filled(what, candidate or {})
            if leaves is not None:
                return leaves, where
        if not any(what.is_shape_only):
            return what.values, "at the given point"
        return self._easy(what), "at numbers chosen for reading"

    def _easy(self, what: Subject) -> tuple[np.ndarray, ...]:
        domains = self.domains(what)
        drawn, _ = sampling.judged(what, domains, (), seed=0, budget="fast")
        leaves, used = [], 0
        for name, leaf, is_shape in zip(what.names, drawn[0], what.is_shape_only, strict=True):
            free = [n for n in EASY if domains.get(name, Domain()).contains(n)]
            if is_shape and leaf.ndim == 0 and free:
                leaves.append(np.asarray(float(free[used % len(free)]), dtype=leaf.dtype))
                used += 1
            else:
                leaves.append(leaf)
        return tuple(leaves)


def _leaves_of(known: str, names: Sequence[str]) -> list[str]:
    """Leaves that a variable names: "params_w" is params.w, "params" every leaf below it."""
    return [
        name
        for name in names
        if name.replace(".", "_") == known or name.startswith((f"{known}.", f"{known}["))
    ]


def _filled(what: Subject, point: Mapping[str, Any]) -> tuple[np.ndarray, ...] | None:
    """The leaves of a point that names every argument known by its shape only, or None."""
    spelt = {name.replace(".", "_"): value for name, value in point.items()}
    leaves = []
    for name, value, is_shape in zip(what.names, what.values, what.is_shape_only, strict=True):
        key = name.replace(".", "_")
        if key not in spelt:
            if is_shape:
                return None
            leaves.append(value)
            continue
        try:
            array = np.asarray(_number(spelt[key]), dtype=value.dtype)
        except (TypeError, ValueError):
            return None
        if array.shape != value.shape:
            return None
        leaves.append(array)
    return tuple(leaves) if spelt else None


def _number(value: Any) -> Any:
    """A number of a point: fractions are exact, saved ones are text such as "1/3" or "nan"."""
    if isinstance(value, str):
        return float(Fraction(value)) if "/" in value else float(value)
    return float(value) if isinstance(value, Fraction) else value
