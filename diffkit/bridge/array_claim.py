"""The two sides of a claim about arrays as formulas of the same inputs."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import sympy as sp

from diffkit.bridge.arguments import USER_ERRORS, function_name, refusal
from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift
from diffkit.bridge.subject import Subject
from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError, UnsupportedPrimitive, UsageError
from diffkit.symbolic.tokens import spelled_out
from diffkit.tensor import views
from diffkit.tensor.nodes import Node, Var, var
from diffkit.tensor.notation import scalar_latex
from diffkit.tensor.notation.matrix_latex import read_latex
from diffkit.tensor.notation.matrix_text import read_text
from diffkit.tensor.notation.reading import Reading
from diffkit.tensor.notation.reading import bind as bind_sizes
from diffkit.tensor.notation.reading import candidates as lengths_of
from diffkit.tensor.printing import layout
from diffkit.tensor.rewrite import replace as substitute_nodes
from diffkit.tensor.sweep import pushforward
from diffkit.tensor.views import View


@dataclass(frozen=True)
class Claimed:
    """The claimed side.

    Args:
        node: Its formula; None when it is a function that cannot be read.
        shape: Shape of its value.
        value: A function of the leaves that computes it (the user's own, where there is one).
        shown: How reports write it.
        form: "text", "latex" or "function": the notation of a repair.
        notes: How it was read.
        size: Length and name of the size symbol it was read with, and the axes that have it.
    """

    node: Node | None
    shape: tuple[int, ...]
    value: Callable[..., Any]
    shown: str
    form: str
    notes: tuple[str, ...] = ()
    size: tuple[int, str, str] | None = None


def truth_of(target: Formula, variable: str, kind: str) -> Formula:
    """What a claim of this kind should say: the gradient, Jacobian, Hessian, tangent or value.

    Raises:
        UsageError: the result's shape does not go with the kind.
    """
    match kind:
        case "gradient":
            return target.grad(variable)
        case "jacobian":
            return target.jacobian(variable)
        case "hessian":
            return target.hessian(variable)
        case "jvp":
            return tangent_of(target, variable)
    return target


#: A relation or a rounding in place of a formula.
_RELATION = re.compile(r"\s*(<|>|=|!=|≤|≥|~)")


def tangent_name(variable: str) -> str:
    """Name of the tangent of a variable."""
    return f"d{variable}"


def tangent_of(target: Formula, variable: str) -> Formula:
    """The directional derivative along a tangent of the variable, one more input."""
    wrt = target.input(variable)
    tangent = var(tangent_name(wrt.name), wrt.shape, wrt.dtype)
    node = pushforward(target.whole, {wrt: tangent})
    return replace(target, node=node, inputs=(*target.inputs, tangent), name="")


def read_claim(
    what: Subject,
    claim: Any,
    inputs: Sequence[Var],
    shape: tuple[int, ...],
    truth: Node | None,
    constants: Mapping[str, int],
    is_equal: Callable[[Node], bool],
) -> Claimed:
    """Read the claimed side in the names of the target.

    Args:
        what: The function the claim is about.
        claim: A JAX function of the same arguments, text, LaTeX, SymPy or a `Formula`.
        inputs: The inputs of the target's formula.
        shape: Shape of what is claimed.
        truth: The right answer, which only chooses between readings of a size symbol.
        constants: Values of size symbols.
        is_equal: Whether a reading equals the truth.

    Raises:
        UsageError: it cannot be read.
    """
    if callable(claim) and not isinstance(claim, Formula | sp.Basic):
        return _function(what, claim, inputs, shape)
    if isinstance(claim, str):
        _refuse_constants(constants, inputs)
        if _RELATION.match(claim):
            raise UsageError(
                f"{claim!r} is a relation, which is judged for formulas of numbers, not of arrays; "
                "claim the derivative itself, or make the function one of numbers"
            )
        return _written(claim, inputs, shape, constants, is_equal)
    if not isinstance(claim, Formula | sp.Basic):
        raise UsageError(
            f"a claim is a JAX function, text, LaTeX, a SymPy expression or a Formula, not a "
            f"{type(claim).__name__}"
        )
    formula = claim if isinstance(claim, Formula) else Formula.from_sympy(claim)
    names = {each.name: each for each in inputs}
    unknown = [each.name for each in formula.inputs if each.name not in names]
    if unknown:
        raise UsageError(
            f"the claim has the inputs {', '.join(unknown)}; the function has {', '.join(names)}"
        )
    changes: dict[Node, Node] = {
        each: names[each.name] for each in formula.inputs if each is not names[each.name]
    }
    if any(a.shape != b.shape for a, b in changes.items()):
        arguments = {each.symbol: views.view(names[each.name]) for each in formula.inputs}
        common = views.common_shape(*arguments.values())
        node = views.dense(views.mapped(formula.sympy(), arguments, common))
        return _of_node(node, inputs, str(claim), "text")
    node = substitute_nodes(formula.whole, changes)
    return _of_node(node, inputs, str(claim), "text")


def _of_node(
    node: Node,
    inputs: Sequence[Var],
    shown: str,
    form: str,
    notes: tuple[str, ...] = (),
    size: tuple[int, str, str] | None = None,
) -> Claimed:
    formula = Formula(node, tuple(inputs), shape=node.shape)
    return Claimed(node, node.shape, formula.lower(), shown, form, notes, size)


def is_latex(text: str) -> bool:
    """Whether a claim about arrays is LaTeX; the power sign of text is **, so ^ decides too."""
    return scalar_latex.is_latex(text) or "^" in text


def _read(
    text: str, names: Mapping[str, View], constants: Mapping[str, int], shape: tuple[int, ...]
) -> tuple[Reading, str]:
    """A claim in its notation, and which that is; "2 X" without an operator is LaTeX too."""
    if is_latex(text):
        return read_latex(text, names, constants=constants, shape=shape), "latex"
    try:
        return read_text(text, names, constants=constants, shape=shape), "text"
    except DiffkitError as error:
        try:
            return read_latex(text, names, constants=constants, shape=shape), "latex"
        except DiffkitError:
            raise error from None


def _written(
    text: str,
    inputs: Sequence[Var],
    shape: tuple[int, ...],
    constants: Mapping[str, int],
    is_equal: Callable[[Node], bool],
) -> Claimed:
    names = _by_spelling(inputs)
    reading, form = _read(text, names, constants, shape)
    if not reading.sizes:
        notes = (*reading.notes, *(f"{n} = {v}" for n, v in sorted(reading.fixed.items())))
        node = views.dense(reading.view)
        return _of_node(node, inputs, text, form, notes)
    names_open = sorted(s.name for s in reading.sizes)
    if len(names_open) > 1:
        raise UsageError(
            f"the sizes {', '.join(names_open)} are open; give them, "
            f"constants={{{', '.join(f'{n!r}: ...' for n in names_open)}}}"
        )
    (symbol,) = names_open
    fitting = []
    for length, axes in lengths_of(names):
        try:
            node = views.dense(bind_sizes(reading, {symbol: length}))
        except DiffkitError:
            continue
        fitting.append((length, axes, node, node.shape == shape and is_equal(node)))
    right = [each for each in fitting if each[3]]
    if len(right) > 1:
        listed = "; ".join(f"{symbol} = {length}: {axes}" for length, axes, _, _ in right)
        raise UsageError(
            f"{symbol} may be several lengths ({listed}); say which, constants={{{symbol!r}: ...}}"
        )
    if not fitting:
        raise UsageError(f"no axis gives {symbol} a length with which the claim can be read")
    length, axes, node, _ = right[0] if right else fitting[0]
    note = f"{symbol} = {length}: {axes}"
    return _of_node(node, inputs, text, form, (*reading.notes, note), (length, symbol, axes))


def _by_spelling(inputs: Sequence[Var]) -> dict[str, View]:
    """The inputs by the names under which text and LaTeX find them."""
    return {spelled_out(each.name): views.view(each) for each in inputs}


def _refuse_constants(constants: Mapping[str, int], inputs: Sequence[Var]) -> None:
    """Refuse values for names that are arguments.

    Raises:
        UsageError: a constant would hide, or be hidden by, an argument.
    """
    clash = sorted(constants.keys() & {each.name for each in inputs})
    if clash:
        raise UsageError(
            f"constants= gives {', '.join(clash)} a length, but so an argument is called; "
            "constants are the sizes of a claim, such as n"
        )


def _function(
    what: Subject, claim: Callable[..., Any], inputs: Sequence[Var], shape: tuple[int, ...]
) -> Claimed:
    """A claim that is a JAX function of the same arguments, by name where the names agree."""
    names = [each.name for each in inputs]
    order = _argument_order(claim, names)

    def value(*leaves: Any) -> Any:
        by_name = dict(zip(names, leaves, strict=True))
        found = jax.tree.leaves(claim(*(by_name[name] for name in order)))
        if len(found) != 1:
            raise UsageError(
                f"the claim {function_name(claim)} returns {len(found)} arrays; return one"
            )
        return jnp.asarray(found[0])

    notes: tuple[str, ...] = ()
    node: Node | None = None
    examples = [jnp.zeros(each.shape, each.dtype or None) for each in inputs]
    try:
        _try(value, examples, function_name(claim))
        formula = lift(_named(value, names, function_name(claim)), *examples)
        changes: dict[Node, Node] = {
            mine: theirs
            for mine, theirs in zip(formula.inputs, inputs, strict=True)
            if mine is not theirs
        }
        node = substitute_nodes(formula.whole, changes)
        notes = formula.notes
        found = formula.shape
    except UnsupportedPrimitive as error:
        notes = (f"the claim is judged by its values: {str(error).splitlines()[0]}",)
        found = tuple(value(*what_values(what, inputs)).shape)
    shown = function_name(claim)
    if getattr(claim, "__name__", "") == "<lambda>" and node is not None:
        shown = layout.show(node)
    return Claimed(node, found, value, shown, "function", notes)


def _try(value: Callable[..., Any], examples: Sequence[Any], name: str) -> None:
    """Trace a claimed function once.

    Raises:
        UsageError: it raises, or JAX cannot trace it.
    """
    try:
        jax.eval_shape(value, *examples)
    except DiffkitError:
        raise
    except USER_ERRORS as error:
        raise refusal(f"the claim {name}", error) from error


def read_node(
    text: str,
    arrays: Mapping[str, Any],
    domains: Mapping[str, Domain],
    constants: Mapping[str, int],
) -> tuple[Node, tuple[Var, ...]]:
    """A formula written as text or LaTeX over example arrays, and its inputs.

    Raises:
        UsageError: it cannot be read, or a size is open.
    """
    inputs = tuple(
        var(
            name,
            jnp.shape(value),
            str(jnp.result_type(value)),
            frozenset({domains[name].matrix_set} - {""} if name in domains else ()),
        )
        for name, value in arrays.items()
    )
    _refuse_constants(constants, inputs)
    names = _by_spelling(inputs)
    reader = read_latex if is_latex(text) else read_text
    reading = reader(text, names, constants=dict(constants))
    return views.dense(bind_sizes(reading, dict(constants))), inputs


def what_values(what: Subject, inputs: Sequence[Var]) -> list[Any]:
    """The example values of a subject for the inputs, tangents as zeros."""
    known = dict(zip((n.replace(".", "_") for n in what.names), what.values, strict=True))
    return [jnp.asarray(known.get(each.name, jnp.zeros(each.shape))) for each in inputs]


def _named(value: Callable[..., Any], names: Sequence[str], title: str) -> Callable[..., Any]:
    def program(*leaves: Any) -> Any:
        return value(*leaves)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in names]
    program.__signature__ = inspect.Signature(parameters)  # ty: ignore[missing-attribute]
    program.__name__ = title
    return program


def _argument_order(claim: Callable[..., Any], names: Sequence[str]) -> list[str]:
    """Which inputs a claim takes, in its own order.

    Raises:
        UsageError: its parameters are neither names of inputs nor as many as there are.
    """
    try:
        parameters = [
            p.name
            for p in inspect.signature(claim).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
        ]
    except (TypeError, ValueError):
        parameters = []
    if parameters and set(parameters) <= set(names):
        return parameters
    if not parameters or len(parameters) == len(names):
        return list(names)
    raise UsageError(
        f"the claim takes {', '.join(parameters)}; the function takes {', '.join(names)}: "
        "give a claim of the same arguments"
    )


def lifted(what: Subject, facts: Mapping[str, str]) -> Formula:
    """The target as a formula under declared facts."""
    known = {name.replace(".", "_") for name in what.names}
    return lift(
        what.renamed(what.call),
        *what.values,
        assume={name: fact for name, fact in facts.items() if name in known},
    )
