"""The question of `diffkit.blame` as a program: a loss, its arguments, what is differentiated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge import local
from diffkit.bridge.arguments import USER_ERRORS, bind, function_name, refusal
from diffkit.bridge.blocks import activate, is_float, read
from diffkit.bridge.cotangents import Found, Replay
from diffkit.bridge.culprits import Search
from diffkit.bridge.selection import named_leaves
from diffkit.core.errors import DiffkitError, UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.verify.telling import tell_argument


@dataclass(frozen=True)
class Case:
    """The question.

    Args:
        name: Name of the loss.
        wrt_text: What the gradient is taken by, in words.
        names: Names of all leaves.
        replay: The program.
        call: The loss as a function of the leaves.
        notes: What is held fixed.
    """

    name: str
    wrt_text: str
    names: tuple[str, ...]
    replay: Replay
    call: Callable[..., Any]
    notes: tuple[str, ...]

    @classmethod
    def read(
        cls,
        loss: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        wrt: Any,
        has_aux: bool,
    ) -> "Case":
        """Trace the loss.

        Raises:
            UsageError: it is no loss of these arguments; says what would be.
        """
        named, call, notes = bind(loss, args, kwargs)
        name = function_name(loss)
        _check_values(name, named)
        names = tuple(each for each, _ in named)
        chosen = _chosen(loss, args, kwargs, wrt, dict(named))

        def number(*values: Any) -> Any:
            found = call(*values)
            return _first(name, found) if has_aux else found

        leaves = tuple(leaf for _, leaf in named)
        try:
            jaxpr = compat.trace(number, *leaves)
        except USER_ERRORS as error:
            if isinstance(error, DiffkitError):
                raise
            raise refusal(name, error) from error
        root = read(jaxpr)
        _check_result(name, [root.types[v] for v in root.outputs])
        places = tuple(names.index(each) for each in chosen)
        activate(root, [k in places for k in range(len(names))])
        text = wrt
        if not isinstance(wrt, str):
            arguments = dict.fromkeys(each.partition(".")[0] for each in chosen)
            text = chosen[0] if len(chosen) == 1 else ", ".join(arguments)
        return cls(name, text, names, Replay(root, leaves, places), number, tuple(notes))

    @property
    def varied(self) -> list[str]:
        """Names of the differentiated leaves."""
        return [self.names[k] for k in self.replay.wrt]

    @property
    def points(self) -> list[Any]:
        """Their values."""
        return [self.replay.leaves[k] for k in self.replay.wrt]

    def first(self, search: Search) -> Found:
        """The first run; what JAX cannot differentiate is the user's to know."""
        try:
            return search.outcome()
        except USER_ERRORS as error:
            raise UsageError(
                f"jax.grad of {self.name} raises {type(error).__name__}: "
                f"{str(error).strip().partition(chr(10))[0].rstrip('.')}; mend that first"
            ) from error

    def remarks(self) -> Iterator[str]:
        """Arguments that are not finite although nothing is wrong."""
        for name, leaf in zip(self.names, self.replay.leaves, strict=True):
            index = local.first_bad(jnp.asarray(leaf))
            if index is not None:
                yield tell_argument(name, leaf, index) + ", which does not reach the gradient"


def _check_values(name: str, named: Sequence[tuple[str, Any]]) -> None:
    if not named:
        raise UsageError(f"{name} is given no array; give the arguments of the step that went bad")
    for path, leaf in named:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            raise UsageError(
                f"argument {path} is a shape; blame runs the step, so give the values that went bad"
            )


def _check_result(name: str, avals: Sequence[Any]) -> None:
    if len(avals) != 1:
        raise UsageError(
            f"{name} returns {len(avals)} arrays; say has_aux=True for (loss, rest), or return "
            "the loss alone"
        )
    if avals[0].shape:
        raise UsageError(
            f"{name} returns an array of shape {tuple(avals[0].shape)}; a loss is one number: "
            "take jnp.sum or jnp.mean of it"
        )
    if not is_float(avals[0]) or np.issubdtype(avals[0].dtype, np.complexfloating):
        raise UsageError(f"{name} returns a {avals[0].dtype}; only a real number has a gradient")


def _first(name: str, found: Any) -> Any:
    if not isinstance(found, tuple | list) or not found:
        raise UsageError(f"has_aux=True, but {name} returns no pair (loss, rest)")
    return found[0]


def _chosen(
    loss: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    wrt: Any,
    named: Mapping[str, Any],
) -> list[str]:
    """Names of the leaves that are differentiated."""
    found: list[str] = []
    for path in jax.tree.leaves(named_leaves(loss, args, kwargs, wrt)):
        ends = [each for each in named if each == path] or [
            each for each in named if each.endswith(f".{path}")
        ]
        if len(ends) != 1:
            listed = ", ".join(list(named)[:12]) + (", ..." if len(named) > 12 else "")
            hint = "" if ends else did_you_mean(str(path), named)
            raise UsageError(f"wrt={path!r} names {len(ends)} of the arrays; {hint}known: {listed}")
        found += ends
    floating = [each for each in dict.fromkeys(found) if is_float(jnp.asarray(named[each]))]
    if not floating:
        raise UsageError(
            f"wrt={wrt!r} holds no floating-point array that can be differentiated; write 1.0 for 1"
        )
    return floating
