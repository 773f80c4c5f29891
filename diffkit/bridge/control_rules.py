"""Rules for choices and loops: `where`, `lax.cond`, `lax.scan`, `lax.while_loop`.

Short loops are written out and branches become choices; what is refused here the walk keeps as
one opaque step.
"""

from typing import Any

import numpy as np
import sympy as sp

from diffkit.backend import compat
from diffkit.bridge import fixed_points
from diffkit.bridge.static import Static
from diffkit.bridge.walk import RULES, First, Walk, choose
from diffkit.tensor import views
from diffkit.tensor.nodes import Select, const, is_predicate
from diffkit.tensor.views import View

#: A loop of at most this many steps is written out.
LONGEST_UNROLLED = 32


def _select(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """Read `where`, which a jaxpr writes with its cases in the other order."""
    which, *cases = operands
    shape = tuple(eqn.outvars[0].aval.shape)
    if isinstance(which, Static) and which.value.size and len(set(which.value.ravel())) == 1:
        chosen = cases[int(which.value.ravel()[0])]
        return [views.broadcast_to(walk.view(chosen), shape)]
    if all(isinstance(each, Static) for each in operands):
        places = np.broadcast_to(which.value.astype(np.int64), shape)
        return [Static(np.choose(places, [np.broadcast_to(c.value, shape) for c in cases]))]
    if isinstance(which, First):
        return [views.broadcast_to(which.choose([walk.view(case) for case in cases]), shape)]
    tests = [_is_case(walk, which, k) for k in range(1, len(cases))]
    result, *others = (walk.view(case) for case in cases)
    for test, case in zip(tests, others, strict=True):
        result = choose(test, case, result)
    return [views.broadcast_to(result, shape)]


def _is_case(walk: Walk, which: Any, k: int) -> View:
    """Whether case k is chosen."""
    if isinstance(which, Static):
        return walk.view(Static(np.asarray(which.value == k)))
    read = walk.view(which)
    return read if is_predicate(read.node) else views.elementwise(lambda x: sp.Eq(x, k), read)


def _cond(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """`lax.cond` and `lax.switch`: the one branch that is taken, or all."""
    which, *rest = operands
    branches = eqn.params["branches"]
    if isinstance(which, Static):
        place = int(np.clip(which.value, 0, len(branches) - 1))
        return walk.run(*compat.open_jaxpr(branches[place]), rest)
    tests = _branch_tests(walk.view(which), len(branches))
    found, *others = (walk.run(*compat.open_jaxpr(branch), rest) for branch in branches)
    for test, values in zip(tests, others, strict=True):
        found = [_branch(walk, test, *each) for each in zip(values, found, strict=True)]
    return found


def _branch(walk: Walk, test: View, on_true: Any, on_false: Any) -> Any:
    both = (on_true, on_false)
    if all(isinstance(x, Static) for x in both) and np.array_equal(*(x.value for x in both)):
        return on_true
    return choose(test, walk.view(on_true), walk.view(on_false))


def _branch_tests(which: View, count: int) -> list[View]:
    """For every branch but the first, whether it is taken; an index is clamped to the branches."""
    if count == 2:
        return [_predicate_of(which)]
    tests = [views.elementwise(lambda x, k=k: sp.Eq(x, k), which) for k in range(1, count - 1)]
    return [*tests, views.elementwise(lambda x: sp.Ge(x, count - 1), which)]


def _predicate_of(index: View) -> View:
    """The predicate behind the index of a cond, which JAX made from a boolean."""
    node = index.node
    if isinstance(node, Select) and node.on_true is const(1) and node.on_false is const(0):
        return View(node.predicate, index.axes, index.shape)
    if is_predicate(node):
        return index
    return views.elementwise(lambda x: sp.Ge(x, 1), index)


def _platform(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """The branch for every platform that is not named."""
    platforms = eqn.params["platforms"]
    default = next((k for k, names in enumerate(platforms) if names is None), len(platforms) - 1)
    return [Static(np.asarray(default))]


def _scan(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """A short scan, written out; a long one that runs to a fixed point, read as that."""
    length = int(eqn.params["length"])
    if length > LONGEST_UNROLLED:
        reached = fixed_points.read_scan(walk, eqn, operands)
        if reached is not None:
            return reached
        raise walk.refusal(
            eqn, index, f"a loop of {length} steps is not written out (at most {LONGEST_UNROLLED})"
        )
    split = compat.scan_split(eqn.params)
    jaxpr, closed_over = compat.open_jaxpr(eqn.params["jaxpr"])
    fixed = operands[: split.constants]
    carry = list(operands[split.constants : split.constants + split.carry])
    scanned = operands[split.constants + split.carry :]
    order = range(length)[::-1] if eqn.params["reverse"] else range(length)
    rows: list[list[Any]] = []
    for step in order:
        now = [_row(walk, x, step) for x in scanned]
        results = walk.run(jaxpr, closed_over, [*fixed, *carry, *now])
        carry = results[: split.carry]
        rows.append(results[split.carry :])
    if eqn.params["reverse"]:
        rows.reverse()
    stacked = [_stack(walk, column) for column in zip(*rows, strict=True)]
    return [*carry, *stacked]


def _row(walk: Walk, x: Any, step: int) -> Any:
    if isinstance(x, Static):
        return Static(x.value[step])
    return views.index(walk.view(x), 0, step)


def _stack(walk: Walk, column: tuple[Any, ...]) -> Any:
    if all(isinstance(x, Static) for x in column):
        return Static(np.stack([x.value for x in column]))
    return views.concatenate([views.expand(walk.view(x), 0) for x in column], 0)


def _while(walk: Walk, eqn: Any, operands: list[Any], index: int) -> list[Any]:
    """A loop whose count is known is written out."""
    p = eqn.params
    cond_jaxpr, cond_constants = compat.open_jaxpr(p["cond_jaxpr"])
    body_jaxpr, body_constants = compat.open_jaxpr(p["body_jaxpr"])
    n_cond, n_body = int(p["cond_nconsts"]), int(p["body_nconsts"])
    cond_fixed, body_fixed = operands[:n_cond], operands[n_cond : n_cond + n_body]
    carry = list(operands[n_cond + n_body :])
    for _ in range(LONGEST_UNROLLED + 1):
        (goes_on,) = walk.run(cond_jaxpr, cond_constants, [*cond_fixed, *carry])
        if not isinstance(goes_on, Static):
            raise walk.refusal(eqn, index, "how often the loop runs depends on an argument")
        if not bool(goes_on.value):
            return carry
        carry = walk.run(body_jaxpr, body_constants, [*body_fixed, *carry])
    raise walk.refusal(
        eqn, index, f"a loop of more than {LONGEST_UNROLLED} steps is not written out"
    )


RULES |= {
    "cond": _cond,
    "platform_index": _platform,
    "scan": _scan,
    "select_n": _select,
    "while": _while,
}
