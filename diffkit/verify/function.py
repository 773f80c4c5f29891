"""`check` for JAX functions: both sides are read as formulas and judged as such.

The proof is about the lifted formula in real arithmetic; what was read as an exact number
stands among the verdict's assumptions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from diffkit.backend import compat
from diffkit.bridge.array_claim import is_latex
from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift
from diffkit.bridge.subject import Subject, subject
from diffkit.bridge.transforms import TRANSFORMS, check_names
from diffkit.core.claim import Kind
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict
from diffkit.tensor.notation.scalar_latex import latex_or_text
from diffkit.verify.arrays import check_arrays
from diffkit.verify.question import Question, read
from diffkit.verify.replay import arguments_as_data, can_be_given, reference

#: Entries of array arguments that are judged one by one.
MOST_ENTRIES = 16


def check_function(
    f: Callable[..., Any],
    claim: Any,
    *args: Any,
    judge: Callable[[Question], Verdict],
    wrt: int | str | None,
    kind: Kind,
    order: int,
    domain: Mapping[str, Any] | str | None,
    conventions: Mapping[str, float] | None,
    points: Sequence[Mapping[str, Any]],
    under: Sequence[str],
    options: Mapping[str, Any],
    constants: Mapping[str, int] | None = None,
    **kwargs: Any,
) -> Verdict:
    """Judge a claim about a JAX function: elementwise as a scalar formula, else as arrays.

    Args:
        f: The function.
        claim: Text, SymPy expression, `Formula` or JAX function of the same arguments.
        *args: Example arguments: the first judged point.
        judge: Judges the question once it is read.
        wrt: Position or name of the variable (default the first argument).
        kind: As in `check`; "function" judges the value and then the gradient.
        order: Order of the derivative.
        domain: As in `check`.
        conventions: As in `check`.
        points: Further points.
        under: Transformations applied to the function before it is read.
        options: Options kept for replay.
        constants: Values of size symbols in a claim about arrays.
        **kwargs: Arguments by name.

    Raises:
        UnsupportedPrimitive: a side has no closed form; names the line and the remedy.
        UsageError: the question cannot be asked this way.
    """
    check_names(under)
    what = subject(f, args, kwargs, wrt)
    for name in under:
        what = replace(what, call=TRANSFORMS[name](what.call))
    with compat.x64():
        target = lift(what.renamed(what.call), *what.values)
    if _joins_entries(what, target, claim, kind):
        if order != 1 and kind == "gradient":
            raise UsageError(f'order={order} of arrays: ask for kind="hessian" or the jacobian')
        return check_arrays(
            what,
            claim,
            kind=kind,
            domain=domain,
            constants=constants,
            points=points,
            options=options,
        )
    _check_kind(what, kind)
    with compat.x64():
        claimed, claimed_name = _claimed(what, claim)
    given = [*_given(what, domain), *points]
    verdict = judge(
        read(
            target.sympy(),
            claimed,
            wrt=what.variable.replace(".", "_"),
            kind="value" if kind == "function" else kind,
            order=order,
            domain=domain,
            conventions=conventions,
            points=given,
            options=options,
            parameters=[name.replace(".", "_") for name in what.names],
        )
    )
    if kind == "function" and verdict.ok:
        verdict = _gradients_agree(what, target, claimed, judge, domain, given)
    return _named(what, verdict, claimed_name or str(verdict.claim.claimed), target, kind)


def _joins_entries(what: Subject, target: Formula, claim: Any, kind: Kind) -> bool:
    """Whether the claim is about arrays as wholes and not about their entries one by one."""
    if not any(value.shape for value in what.values):
        return False
    if kind in ("jacobian", "hessian", "jvp") or not target.is_elementwise:
        return True
    if target.shape != what.values[what.wrt].shape and kind == "gradient":
        return True
    return bool(target.composed().arrays) or _is_array_claim(claim)


def _is_array_claim(claim: Any) -> bool:
    """Whether a claim can only be read as one about arrays."""
    if isinstance(claim, Formula):
        return not claim.is_elementwise
    return isinstance(claim, str) and (is_latex(claim) or "@" in claim)


def _check_kind(what: Subject, kind: Kind) -> None:
    """A gradient of an array result means the elementwise derivative; nothing else is implied."""
    shape, out = what.values[what.wrt].shape, what.output_shape
    if kind in ("jvp", "jacobian") or (kind == "gradient" and out not in ((), shape)):
        raise UsageError(
            f"{what.name} maps {shape} to {out}: only elementwise derivatives of formulas are "
            'judged here; give a function that is elementwise in its variable, or kind="value"'
        )


def _claimed(what: Subject, claim: Any) -> tuple[Any, str]:
    """The claimed side as a formula in the symbols of the target, and how to call it."""
    if isinstance(claim, Formula):
        return claim.sympy(), ""
    if isinstance(claim, str):
        return latex_or_text(claim), ""
    if callable(claim) and not hasattr(claim, "free_symbols"):
        other = subject(claim, what.values, {}, what.wrt)
        name = "" if getattr(claim, "__name__", "") == "<lambda>" else other.name
        return lift(what.renamed(other.call), *what.values).sympy(), name
    return claim, ""


def _gradients_agree(
    what: Subject,
    target: Formula,
    claimed: Any,
    judge: Callable[[Question], Verdict],
    domain: Any,
    given: Sequence[Mapping[str, Any]],
) -> Verdict:
    """kind="function", second half: the derivatives of the two implementations."""
    variable = what.variable.replace(".", "_")
    read_claim = Formula.from_text if isinstance(claimed, str) else Formula.from_sympy
    other = read_claim(claimed)
    is_constant = all(each.name != variable for each in other.inputs)
    slope = 0 if is_constant else other.grad(variable).sympy()
    names = [name.replace(".", "_") for name in what.names]
    return judge(
        read(target.sympy(), slope, wrt=variable, domain=domain, points=given, parameters=names)
    )


def _given(what: Subject, domain: Mapping[str, Any] | str | None) -> list[dict[str, float]]:
    """The example arguments as points, entry by entry for arrays."""
    if what.is_shape_only[what.wrt]:
        return []
    where = {what.variable: domain} if isinstance(domain, str) else (domain or {})
    limits = {name: Domain.parse(text) for name, text in where.items()}
    leaves = np.broadcast_arrays(*what.values)
    found = []
    for entry in zip(*(np.ravel(leaf)[:MOST_ENTRIES] for leaf in leaves), strict=True):
        point = {
            name.replace(".", "_"): float(value)
            for name, value in zip(what.names, entry, strict=True)
        }
        for name, value in point.items():
            if name in limits and not limits[name].contains(value):
                raise UsageError(
                    f"{name} = {value:g} lies outside its domain {limits[name]}; "
                    "give a point inside it"
                )
        found.append(point)
    return found


def _named(what: Subject, verdict: Verdict, claimed: str, target: Formula, kind: Kind) -> Verdict:
    """The verdict in the words of the user's functions."""
    is_value = verdict.claim.kind == "value" or (kind == "function" and verdict.ok)
    left = what.name if is_value else f"d {what.name}/d{what.variable}"
    name = reference(what.function)
    sign = "" if claimed.startswith(("<", ">", "!", "~")) else "= "
    claim = replace(
        verdict.claim,
        target=name or what.name,
        kind=kind,
        options={**verdict.claim.options, "arguments": arguments_as_data(what)},
        is_replayable=bool(name) and can_be_given(what),
    )
    return replace(
        verdict,
        claim=claim,
        statement=f"{left} {sign}{claimed}" if claimed else verdict.statement,
        assumptions=(*verdict.assumptions, *target.notes),
    )
