"""Drop-ins for the peers' gradient checks, with their signatures and diffkit's verdict.

Every floating-point leaf of every argument is judged against every floating-point result by
`dk.verify`, at the given point and around it, and by an error model instead of a tolerance.  A
tolerance can only make the check stricter: what it would forgive is not forgiven.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from diffkit.core.errors import ClaimRefuted, ClaimUndecided, TimeLimitExceeded, UsageError
from diffkit.core.verdict import Verdict

if TYPE_CHECKING:
    from diffkit.verify.answers import Answer

#: Mode in the words of `jax.test_util` -> in those of the witnesses.
_MODES = {"fwd": "forward", "rev": "reverse"}
#: What `jax.test_util.check_grads` takes where one of two tolerances is not given.
_TOLERANCE = {"float64": 1e-5, "float32": 2e-3, "float16": 1e-2, "bfloat16": 1e-1}
#: Judged in any case: a wrong rule shows there beyond all rounding.
_WIDEST = "float64"


@dataclass(frozen=True)
class Part:
    """One floating-point result of a function by one floating-point leaf of its arguments.

    Args:
        function: The function, with this result alone.
        args: All its arguments.
        wrt: Name of the leaf.
        dtypes: Precisions to judge it in.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    wrt: str
    dtypes: tuple[str, ...]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Raise unless AD computes the derivatives of `f`: `jax.test_util.check_grads` by verdict.

    Args:
        f: JAX function of arrays or pytrees, with one or several results.
        args: Its arguments: the point judged first.
        order: Highest order judged, 1 to 4.
        modes: Modes that must exist, some of "fwd" and "rev"; those that exist are all judged.
        atol: Given, a further bound at the point itself: |AD - truth| <= atol + rtol |truth|.
        rtol: As `atol`; of two tolerances the one not given is what JAX takes for the dtype.
        eps: Accepted and not used: the truth is an enclosure, not a difference of that step.

    Raises:
        ClaimRefuted: a derivative is wrong, a mode is missing, or a tolerance is exceeded
            (an AssertionError, as JAX raises).
        ClaimUndecided: a part could not be decided, or not in time (an AssertionError too).
        UsageError: the question cannot be asked this way.

    >>> import jax.numpy as jnp
    >>> check_grads(lambda x, y: x * jnp.sin(y), (1.0, 2.0), order=1)
    """
    wanted = _modes(modes)
    _check_tolerances(atol=atol, rtol=rtol)
    for part in _parts(f, tuple(args)):
        with _in_time(part):
            _judge(part, order, wanted)
            if atol is not None or rtol is not None:
                _check_bound(part, order, atol, rtol)


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether AD computes the derivatives of a JAX function: `torch.autograd.gradcheck` by verdict.

    Args:
        func: JAX function of arrays.
        inputs: One argument, or the tuple of them: the point judged first.
        eps: Accepted and not used: no difference of that step is taken.
        atol: A further bound at the point itself, at its default too:
            |AD - truth| <= atol + rtol |truth|.
        rtol: As `atol`.
        raise_exception: Whether to raise what is wrong instead of returning False.
        nondet_tol: How far two runs of reverse mode may differ.
        check_undefined_grad: Accepted and not used: JAX has no undefined gradients.
        check_grad_dtypes: Accepted and not used: JAX refuses a cotangent of another dtype.
        check_batched_grad: Whether to judge it under `jax.vmap` as well.
        check_batched_forward_grad: As `check_batched_grad`; both modes are judged there.
        check_forward_ad: Whether forward mode must exist.
        check_backward_ad: Whether reverse mode must exist.
        fast_mode: Accepted and not used: entries or directions are chosen by size.
        masked: Must not be True: JAX has no masked sparse arrays.

    Returns:
        True; False for a derivative that is not good when `raise_exception` is False.

    Raises:
        ClaimRefuted: as in `check_grads`.
        ClaimUndecided: as in `check_grads`.
        UsageError: the question cannot be asked this way.

    >>> import jax.numpy as jnp
    >>> gradcheck(jnp.tanh, 0.5)
    True
    """
    if masked:
        raise UsageError("masked=True is about sparse tensors, which JAX has not; leave it out")
    wanted = [
        mode
        for mode, is_wanted in (("fwd", check_forward_ad), ("rev", check_backward_ad))
        if is_wanted
    ]
    _check_tolerances(atol=atol, rtol=rtol, nondet_tol=nondet_tol)
    under = ("vmap",) if check_batched_grad or check_batched_forward_grad else ()
    try:
        for part in _parts(func, inputs if isinstance(inputs, tuple) else (inputs,)):
            with _in_time(part):
                _judge(part, 1, _modes(wanted), under)
                _check_bound(part, 1, atol, rtol)
            if check_backward_ad:
                _check_repeats(part, nondet_tol)
    except (ClaimRefuted, ClaimUndecided):
        if raise_exception:
            raise
        return False
    return True


@contextmanager
def _in_time(part: Part) -> Generator[None]:
    """What takes too long is undecided."""
    try:
        yield
    except TimeLimitExceeded as error:
        raise ClaimUndecided(f"{_name(part)}: UNDECIDED: {error}") from error


def _modes(modes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(modes, str) or not modes or not set(modes) <= set(_MODES):
        raise UsageError(f'modes={modes!r}; name some of "fwd" and "rev", as a tuple')
    return tuple(_MODES[mode] for mode in modes)


def _check_tolerances(**given: float | None) -> None:
    for name, value in given.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and value >= 0 and isfinite(value)):
            raise UsageError(f"{name}={value!r}; a tolerance is a number that is not negative")


def _parts(f: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[Part]:
    """Every pair of a floating-point leaf and a floating-point result."""
    import jax
    import jax.numpy as jnp

    from diffkit.bridge.arguments import USER_ERRORS, bind, function_name, refusal

    leaves, _, _ = bind(f, args, {})
    kinds = {name: jnp.result_type(leaf) for name, leaf in leaves}
    floating = {
        name: kind.name for name, kind in kinds.items() if jnp.issubdtype(kind, jnp.inexact)
    }
    for name, kind in floating.items():
        if kind.startswith("complex"):
            raise UsageError(f"argument {name} is complex; check its real and imaginary parts")
    if not floating:
        raise UsageError(
            f"no argument of {function_name(f)} is a floating-point number; write 1.0 for 1"
        )
    try:
        results = jax.tree.leaves(jax.eval_shape(f, *args))
    except USER_ERRORS as error:
        if isinstance(error, UsageError):
            raise
        raise refusal(function_name(f), error) from error
    asked = [k for k, each in enumerate(results) if jnp.issubdtype(each.dtype, jnp.inexact)]
    if not asked:
        raise UsageError(
            f"no result of {function_name(f)} is a floating-point number; return such a one"
        )
    for k in asked:
        result = f if len(results) == 1 else _result(f, function_name(f), k)
        for name, kind in floating.items():
            dtypes = (_WIDEST,) if kind == _WIDEST else (_WIDEST, kind)
            yield Part(result, args, name, dtypes)


def _result(f: Callable[..., Any], name: str, place: int) -> Callable[..., Any]:
    """The function with one of its results alone, under the same parameters."""
    import functools

    import jax

    @functools.wraps(f)
    def one(*args: Any) -> Any:
        return jax.tree.leaves(f(*args))[place]

    one.__name__ = f"{name}[{place}]"
    return one


def _judge(part: Part, order: int, modes: Sequence[str], under: Sequence[str] = ()) -> None:
    from diffkit.verify.verify import verify

    verdict = verify(
        part.function, *part.args, wrt=part.wrt, order=order, dtypes=part.dtypes, under=under
    )
    _refuse(verdict, part)
    for mode, reason in _missing(part, modes, order):
        raise ClaimRefuted(
            f"{_name(part)}: {mode} mode does not exist ({reason}); give it a rule, or leave the "
            "mode out of the check"
        )


def _refuse(verdict: Verdict, part: Part) -> None:
    if verdict.status == "refuted":
        raise ClaimRefuted(f"by {part.wrt}: {verdict.explain()}")
    if verdict.status == "undecided":
        raise ClaimUndecided(f"by {part.wrt}: {verdict.explain()}")


def _missing(part: Part, modes: Sequence[str], order: int) -> Iterator[tuple[str, str]]:
    """The modes asked for that JAX cannot run, each with its complaint."""
    from diffkit.bridge.subject import subject
    from diffkit.oracles import forward, reverse
    from diffkit.verify.modes import mode_error

    what = subject(part.function, part.args, {}, part.wrt)
    for mode in (forward, reverse):
        if mode.NAME in modes:
            for current in range(1, order + 1):
                reason = mode_error(what, part.dtypes[-1], mode.row(what, current))
                if reason is not None:
                    yield mode.NAME, reason
                    break


def _check_bound(part: Part, order: int, atol: float | None, rtol: float | None) -> None:
    """|AD - truth| <= atol + rtol |truth| at the given point, in the precision of the argument."""
    dtype = part.dtypes[-1]
    usual = _TOLERANCE.get(dtype, 0.0)
    absolute = usual if atol is None else atol
    relative = usual if rtol is None else rtol
    for answer in _at_the_point(part, order, dtype):
        if not isfinite(answer.true_value) or answer.outcome == "out of domain":
            # a kink, an infinite derivative, or one outside of the range of the precision: the
            # verdict has judged it
            continue
        allowed = absolute + relative * abs(answer.true_value)
        if not answer.error <= allowed + _radius(answer):
            where = f", {answer.probe.entry}" if answer.probe.entry else ""
            raise ClaimRefuted(
                f"{_name(part)}: {answer.mode} mode gives {answer.value:.9g} in {dtype}{where}, "
                f"the derivative is {answer.true_value:.9g}: off by {answer.error:.1e}, and "
                f"atol + rtol |truth| = {allowed:.1e}; within the rounding of this program, so "
                "rewrite it or allow more"
            )


def _radius(answer: "Answer") -> float:
    """How far the truth may be off where it is measured by differences."""
    found = answer.truth.derivative if answer.measured else None
    return (found.high - found.low) / 2 if found is not None else 0.0


def _at_the_point(part: Part, order: int, dtype: str) -> "Iterator[Answer]":
    """Answers at the given point, entry by entry, or along directions for a large argument."""
    from diffkit.bridge.subject import subject
    from diffkit.verify import large, sampling
    from diffkit.verify.answers import ask

    what = subject(part.function, part.args, {}, part.wrt)
    points = sampling.given(what, {}, ())
    if large.is_large(what):
        yield from large.ask_large(what, dtype, points, len(points), 0)
        return
    for current in range(1, order + 1):
        yield from ask(what, dtype, points, len(points), current, 0)


def _check_repeats(part: Part, tolerance: float) -> None:
    """Two runs of reverse mode on the same numbers."""
    import numpy as np

    first, second = (np.asarray(_pulled_back(part), float) for _ in range(2))
    with np.errstate(invalid="ignore"):  # inf - inf: the two are the same, or not within anything
        gap = float(np.max(np.abs(first - second), initial=0.0))
    is_same = np.array_equal(first, second, equal_nan=True)
    if not is_same and not gap <= tolerance:
        raise ClaimRefuted(
            f"{_name(part)}: two runs of reverse mode differ by {gap:.1e}, allowed "
            f"{tolerance:.1e}; fix the random key of the function, or set nondet_tol"
        )


def _pulled_back(part: Part) -> Any:
    """The cotangent of the leaf for a cotangent of ones."""
    import jax
    import jax.numpy as jnp

    from diffkit.bridge.arguments import bind

    leaves, call, _ = bind(part.function, part.args, {})
    names = [name for name, _ in leaves]
    values = [value for _, value in leaves]
    place = names.index(part.wrt)

    def of_leaf(leaf: Any) -> Any:
        return jax.tree.leaves(call(*values[:place], leaf, *values[place + 1 :]))[0]

    result, pull_back = jax.vjp(of_leaf, jnp.asarray(values[place]))
    return pull_back(jnp.ones_like(result))[0]


def _name(part: Part) -> str:
    from diffkit.bridge.arguments import function_name

    return f"{function_name(part.function)} by {part.wrt}"
