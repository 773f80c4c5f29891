"""Turn what AD answered into findings: traps with a place in the user's code and a mend.

At the judged points a wrong answer is "wrong"; at the watched ones it is a "warning".
"""

from collections.abc import Iterator, Sequence
from math import inf, isfinite, isinf, isnan, nan
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.joined import path_of, split
from diffkit.bridge.rule_calls import has_rules
from diffkit.bridge.subject import Probe, Subject
from diffkit.bridge.survey import Place, delicate
from diffkit.core.errors import DiffkitError
from diffkit.core.finding import Finding, Severity
from diffkit.oracles import forward
from diffkit.verify.accuracy import condition
from diffkit.verify.joint_kinks import NOTE as JOINT
from diffkit.verify.overflow import SAID, out_of_range
from diffkit.verify.remedy import series
from diffkit.verify.rewriting import stable_form

Answer = Any
#: Larger arrays are told by their shape.
_MOST_SHOWN = 1_000
RANK = {"wrong": 0, "warning": 1, "note": 2}
#: Digits lost before a loss of accuracy beside the user's points is worth a word: half of them.
_LOST = 0.5
#: At the user's own points this many ulps are, beyond those of the conditioning.
_LOST_ULPS = 256.0
#: An error of this many ulps of the usual derivative is what floating point gives.
INNOCENT_ULPS = 8.0


def of_answer(what: Subject, answer: Answer, order: int, *, is_watched: bool) -> list[Finding]:
    """The findings of one answer; [] for a clean one."""
    if answer.outcome == "disagrees":
        severity: Severity = "warning" if is_watched else "wrong"
        overflown = _beyond_numbers(what, answer, order) if answer.note.endswith(SAID) else []
        wrong = _wrong(what, answer, order, severity)
        return [wrong, *(each for each in overflown if each.kind == "overflow" != wrong.kind)]
    if answer.truth.kind == "kink":
        return [_kink(what, answer, order)]
    if answer.is_given:
        found = _beyond_numbers(what, answer, order)
        if found:
            return found
    if answer.outcome == "unsure" and answer.is_given and _is_off(answer):
        return [_wrong(what, answer, order, "warning")]
    if answer.outcome != "agrees":
        return []
    if answer.truth.kind != "smooth" or not isfinite(answer.value):
        return []
    return _inaccuracy(what, answer, order)


def _is_off(answer: Answer) -> bool:
    """Whether AD is off by much more than rounding, although no second witness confirms it."""
    size = max(abs(answer.true_value), float(jnp.finfo(answer.dtype).tiny))
    off = answer.error > float(jnp.finfo(answer.dtype).eps) ** _LOST * size
    return answer.truth.kind == "smooth" and off


def of_watched(what: Subject, dtype: str, order: int, answers: Sequence[Answer]) -> list[Finding]:
    """What AD answered at the adversarial points, as far as it is worth a warning."""
    return [
        finding
        for answer in worth_a_word(answers, dtype)
        for finding in of_answer(what, answer, order, is_watched=True)
        if finding.kind != "kink"
    ]


def worth_a_word(answers: Sequence[Answer], dtype: str) -> list[Answer]:
    """The answers at the user's points, and those off by more than rounding of the usual size.

    sigma'(300) = 0 instead of 1e-130 loses no digit of any sum.
    """
    innocent = INNOCENT_ULPS * float(jnp.finfo(dtype).eps) * usual_size(answers)
    return [answer for answer in answers if answer.is_given or _gap(answer) > innocent]


def usual_size(answers: Sequence[Answer]) -> float:
    """The upper quartile of the derivative's size: what absolute errors are small against."""
    sizes = [abs(a.true_value) for a in answers if a.truth.kind == "smooth"]
    return float(np.quantile([size for size in sizes if isfinite(size)] or [0.0], 0.75))


def _gap(answer: Answer) -> float:
    """How far AD's answer lies from the derivative, or from the interval of a kink."""
    if answer.truth.kind != "kink":
        return answer.error
    low, high = sorted((answer.left, answer.right))
    gap = max(low - answer.value, answer.value - high, 0.0)
    return gap if isfinite(gap) and isfinite(answer.value) else inf


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """One finding per kind, order and place: the most severe, and of those the first worst."""
    best: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        key = (finding.kind, finding.order, finding.where)
        other = best.get(key)
        if other is None or (RANK[finding.severity], -_loss(finding)) < (
            RANK[other.severity],
            -_loss(other),
        ):
            best[key] = finding
    return sorted(best.values(), key=lambda finding: RANK[finding.severity])


def point_of(what: Subject, probe: Probe) -> dict[str, Any]:
    """The point of a probe as name -> number or nested list."""
    return point_at(what, probe.leaves)


def point_at(what: Subject, values: Sequence[np.ndarray]) -> dict[str, Any]:
    """A point as name -> number or nested list."""
    leaves = dict(zip(what.names, values, strict=True))
    if what.parts:
        leaves.update(split(leaves.pop(what.variable), what.parts))
    return {name: _as_data(leaf) for name, leaf in leaves.items()}


def _as_data(leaf: np.ndarray) -> Any:
    """An array as numbers; of a large one its shape."""
    if leaf.size > _MOST_SHOWN:
        return {"shape": list(leaf.shape), "dtype": leaf.dtype.name}
    return leaf.item() if leaf.ndim == 0 else leaf.tolist()


def place(what: Subject, probe: Probe) -> str:
    """The point in one clause: "0.0", "x = 0.0, y = 1.0", "x[1] = -2.0"."""
    entry = _moved_entry(what, probe)
    values = []
    for number, (name, leaf) in enumerate(zip(what.names, probe.leaves, strict=True)):
        if leaf.ndim == 0:
            values.append(
                repr(leaf.item()) if len(what.names) == 1 else f"{name} = {leaf.item()!r}"
            )
        elif number == what.wrt and entry is not None:
            values.append(f"{entry[0]} = {entry[1]!r}")
        else:
            values.append(f"{name} of shape {leaf.shape}")
    if probe.entry and (entry is None or "output" in probe.entry):
        values.append(probe.entry)
    return ", ".join(values)


def _moved_entry(what: Subject, probe: Probe) -> tuple[str, float] | None:
    """Name and value of the one entry that a probe moves; None where it moves several."""
    entries = np.argwhere(probe.tangent)
    if len(entries) != 1:
        return None
    index = tuple(int(k) for k in entries[0])
    value = probe.leaves[what.wrt][index].item()
    if what.parts:
        return path_of(index[0], what.parts), value
    return what.variable + (f"[{', '.join(map(str, index))}]" if index else ""), value


def reproducer(what: Subject, answer: Answer, order: int) -> str:
    """Three lines that show the wrong answer with nothing but JAX."""
    leaves = [_as_code(leaf) for leaf in answer.probe.leaves]
    if answer.scale == 1:
        program = f"jax.grad({what.name}, {what.wrt})"
        for _ in range(order - 1):
            program = f"jax.grad({program}, {what.wrt})"
        program = f"{program}({', '.join(leaves)})"
    elif answer.mode == forward.NAME:
        of_one = ", ".join((*leaves[: what.wrt], "x", *leaves[what.wrt + 1 :]))
        tangent = _as_code(answer.probe.tangent)
        program = (
            f"jax.jvp(lambda x: {what.name}({of_one}), ({leaves[what.wrt]},), ({tangent},))[1]"
        )
    else:  # a cotangent of `scale`: the gradient of so many times the function
        scaled = f"lambda *x: {answer.scale!r} * {what.name}(*x)"
        program = f"jax.grad({scaled}, {what.wrt})({', '.join(leaves)})"
    x64 = answer.dtype == "float64"
    where = f", {answer.probe.entry}" if answer.probe.entry else ""
    return (
        f'import jax, jax.numpy as jnp; jax.config.update("jax_enable_x64", {x64})\n'
        f"{what.name} = ...  # the function judged{where}\n"
        f"print({program}, 'AD gave', {answer.value!r}, 'true', {answer.true_value!r})"
    )


def _as_code(leaf: np.ndarray) -> str:
    if leaf.ndim == 0:
        return repr(leaf.item())
    if leaf.size > _MOST_SHOWN:
        return f"...  # an array of shape {leaf.shape}"
    return f"jnp.array({leaf.tolist()})"


def _wrong(what: Subject, answer: Answer, order: int, severity: Severity) -> Finding:
    places = delicate_places(what, answer)
    first = places[0] if places else None
    kind, message = _diagnose(what, answer, first)
    if severity == "warning":  # found beside the judged points: say which program gives it
        message = f"{message} ({answer.dtype}, {answer.mode} mode)"
    where = first.line if first is not None else ""
    remedy = ""
    if kind in ("wrong-limit", "nan-gradient") and answer.truth.kind == "smooth":
        remedy = _mend(what, answer, order)
    return Finding(
        kind,
        severity,
        message,
        remedy=remedy,
        where=where,
        point=point_of(what, answer.probe),
        order=order,
        dtype=answer.dtype,
    )


def _diagnose(what: Subject, answer: Answer, first: Place | None) -> tuple[str, str]:
    at = place(what, answer.probe)
    true = truth_of(answer)
    if isnan(answer.value):
        return "nan-gradient", f"at {at} AD gives nan, {true}"
    if isinf(answer.value):
        return "inf-gradient", f"at {at} AD gives {answer.value}, {true}"
    if first is not None and first.reason == "tie":
        branch = f"the branch taken at the tie has derivative {answer.value:g}"
        return "wrong-limit", f"at {at} {branch}, {true}"
    if answer.note.endswith(SAID) and answer.value != 0:
        return "overflow", f"at {at} AD gives {answer.value:g}, since {answer.note}; {true}"
    if answer.note.endswith(SAID):
        return "silent-zero", f"at {at} AD gives 0, since {answer.note}; {true}"
    if _has_custom_rule(what, answer.dtype):
        return "rule-mismatch", f"at {at} a custom rule gives {answer.value:g}, {true}"
    if _has_primitive(what, answer.dtype, "stop_gradient"):
        return "stop-gradient", f"at {at} AD gives {answer.value:g} with a stop_gradient, {true}"
    if answer.value == 0:
        return "silent-zero", f"at {at} AD gives 0, {true}"
    return "wrong-limit", f"at {at} AD gives {answer.value:g}, {true}"


def truth_of(answer: Answer) -> str:
    """What the derivative is, in one clause."""
    left, right = answer.left, answer.right
    if answer.truth.kind == "kink":
        return f"the one-sided derivatives are {left:g} and {right:g}"
    if answer.truth.kind == "undefined":
        sides = [f"{s:g} from the {n}" for n, s in (("left", left), ("right", right)) if s == s]
        return f"the derivative is {' and '.join(sides)}" if sides else "there is no derivative"
    if answer.truth.kind == "undecided":
        return "what the derivative is was not decided"
    return f"the derivative is {answer.true_value:.6g}"


def _kink(what: Subject, answer: Answer, order: int) -> Finding:
    places = delicate_places(what, answer)
    left, right = answer.left, answer.right
    element = ", an element of the subdifferential" if answer.outcome == "agrees" else ""
    told = f"the one-sided derivatives are {left:g} and {right:g}"
    if answer.truth.note == JOINT:
        told = f"entries tie: the derivative lies between {left:g} and {right:g} nearby"
    return Finding(
        "kink",
        "note",
        f"at {place(what, answer.probe)} {told}; JAX's convention gives {answer.value:g}{element}",
        where=places[0].line if places else "",
        point=point_of(what, answer.probe),
        order=order,
        dtype=answer.dtype,
    )


def _beyond_numbers(what: Subject, answer: Answer, order: int) -> list[Finding]:
    """What is not finite at the user's own point, where no derivative settles the verdict."""
    return [
        Finding(
            kind,
            severity,
            f"at {place(what, answer.probe)} {message}",
            where=_line(what, answer),
            point=point_of(what, answer.probe),
            order=order,
            dtype=answer.dtype,
        )
        for kind, severity, message in _not_finite(answer)
    ]


def _not_finite(answer: Answer) -> Iterator[tuple[str, Severity, str]]:
    """Kind, severity and message of each value that is not finite."""
    value = answer.truth.value.value if answer.truth.value is not None else nan
    is_beyond = not isfinite(answer.primal)
    if is_beyond and abs(value) <= float(jnp.finfo(answer.dtype).max):
        yield "overflow", "warning", f"the value overflows to {answer.primal}; it is {value:.6g}"
    elif is_beyond:
        yield "nan-value", "warning", f"the function's value is {answer.primal}"
    if isnan(answer.value):
        yield (
            "nan-gradient",
            "warning",
            f"AD gives nan where the value is {answer.primal:.6g}; {truth_of(answer)}",
        )
    elif is_beyond:
        if answer.value == 0 and abs(answer.true_value) > 0:
            yield "silent-zero", "warning", f"AD gives 0; {truth_of(answer)}"
    elif answer.truth.is_break:
        yield "kink", "note", f"{answer.truth.note}; JAX's convention gives {answer.value:g}"
    elif answer.truth.kind == "infinite" and isfinite(answer.value):
        yield "wrong-limit", "warning", f"AD gives {answer.value:g}, the derivative is infinite"
    elif answer.truth.kind in ("infinite", "undefined") or isinf(answer.value):
        message = f"the domain ends: AD gives {answer.value:g}; {truth_of(answer)}"
        yield "domain-edge", "note", message


def _line(what: Subject, answer: Answer) -> str:
    places = delicate_places(what, answer)
    return places[0].line if places else ""


def _inaccuracy(what: Subject, answer: Answer, order: int) -> list[Finding]:
    """A loss of half the digits that the conditioning of the derivative does not explain."""
    true = answer.true_value
    limits = jnp.finfo(answer.dtype)
    eps, tiny = max(float(limits.eps), what.coarsest(answer.dtype)), float(limits.tiny)
    if true == 0 or abs(true) < 1e4 * tiny:
        return []
    if answer.measured and answer.allowed is not None and answer.error <= answer.allowed.value:
        return []  # differences do not see that far
    lost = answer.error / abs(true)
    if lost <= (_LOST_ULPS * eps if answer.is_given else eps**_LOST):
        return []
    if lost <= 64 * eps * (1 + condition(what, answer, order)):
        return []
    at = place(what, answer.probe)
    if answer.value == 0:
        message = f"{answer.dtype}: at {at} AD gives 0, the derivative is {true:.3g}"
        return [_accuracy_finding("silent-zero", what, answer, order, message, lost)]
    lost_range = out_of_range(what, answer.dtype, answer.mode, answer.probe, order)
    if lost_range:
        message = f"{answer.dtype}: at {at} AD gives {answer.value:.6g}, since "
        message += f"`{lost_range[0].primitive}` "
        message += "leaves the range of the type on the way; "
        message += f"the derivative is {true:.6g}"
        return [_accuracy_finding("overflow", what, answer, order, message, lost)]
    message = f"{answer.dtype}, {_size_of(lost, eps)} near {_near(what, answer.probe)}"
    return [_accuracy_finding("cancellation", what, answer, order, message, lost)]


def _size_of(lost: float, eps: float) -> str:
    """A relative error in words: a factor, per cent, or units in the last place."""
    if lost >= 10:
        return f"up to {lost:.0e} times the derivative off"
    return f"up to {lost:.0%} off" if lost >= 0.01 else f"up to {lost / eps:.0e} ulp off"


def _accuracy_finding(
    kind: str, what: Subject, answer: Answer, order: int, message: str, lost: float
) -> Finding:
    return Finding(
        kind,
        "warning",
        message,
        remedy=_mend(what, answer, order),
        point={**point_of(what, answer.probe), "relative error": lost},
        order=order,
        dtype=answer.dtype,
    )


def _mend(what: Subject, answer: Answer, order: int) -> str:
    """A series or a stable form that was run, "" where neither helps."""
    asked = what, answer.probe, answer.dtype, order
    return series(*asked) or stable_form(*asked) or ""


def _near(what: Subject, probe: Probe) -> str:
    entry = _moved_entry(what, probe)
    return place(what, probe) if entry is None else f"{entry[0]} = {entry[1]:.2g}"


def _loss(finding: Finding) -> float:
    return float(finding.point.get("relative error", 0.0))


def delicate_places(what: Subject, answer: Answer) -> list[Place]:
    """The lines of the user's code that tie or sit on an edge at the answer's point."""
    leaves = what.at(answer.dtype, answer.probe.leaves)
    with compat.x64(answer.dtype == "float64"):
        try:
            found = delicate(what.jaxpr(answer.dtype), leaves)
        except (DiffkitError, TypeError, ValueError):
            return []
    return [each for each in found if not each.is_out_of_range]


def _has_custom_rule(what: Subject, dtype: str) -> bool:
    return has_rules(what.jaxpr(dtype))


def _has_primitive(what: Subject, dtype: str, name: str) -> bool:
    return name in compat.primitives(what.jaxpr(dtype))
