"""The call of a public function as code, and programs of JAX alone that show a wrong derivative."""

import ast
import inspect
from collections.abc import Mapping
from functools import cache, partial
from types import FunctionType, ModuleType
from typing import Any

import jax
import numpy as np

from diffkit.atlas import recipes, special_calls
from diffkit.atlas.public_functions import PublicFunction, is_real, weights_of
from diffkit.atlas.questions import argument_names
from diffkit.backend import compat
from diffkit.bridge.subject import Subject
from diffkit.oracles import forward


def spell(function: PublicFunction) -> str:
    """The call as an expression in the names of its arguments.

    >>> from diffkit.atlas.public_functions import find, public_names
    >>> import jax.numpy as jnp
    >>> found = find("jax.numpy.roll", jnp.roll)
    >>> spell(found)
    'jax.numpy.roll(x, 1)'
    """
    names = argument_names(function)
    body = function.call.func if isinstance(function.call, partial) else None
    if body is None:
        return f"{function.name}({', '.join(names)})"
    return _spelt(body, function.name, names)


def reproducer(function: PublicFunction, what: Subject, trap: Mapping[str, Any]) -> str:
    """A program of JAX alone that prints what AD gives, with the truth as a comment.

    Args:
        function: The public function.
        what: It, as it was asked.
        trap: "point" (leaves), "dtype", "mode", "order", "value", "truth" and "direction" (the
            tangent).
    """
    expression = _weighted(function, spell(function), what)
    module = function.name.rpartition(".")[0]
    spelt = _forward if trap["mode"] == forward.NAME else _reverse
    return "\n".join(
        [
            "import jax, " + ", ".join(dict.fromkeys(["jax.numpy", module])),
            f'jax.config.update("jax_enable_x64", {trap["dtype"] == "float64"})',
            f"f = lambda {', '.join(what.names)}: {expression}",
            *spelt(what, trap),
            f"# AD gives {trap['value']!r}; the derivative is {trap['truth']!r}",
        ]
    )


def _reverse(what: Subject, trap: Mapping[str, Any]) -> list[str]:
    """The entry of the gradient that was asked about, or its product with the direction."""
    nested = f"jax.grad(f, {what.wrt})"
    for _ in range(trap["order"] - 1):
        nested = f"jax.grad({nested}, {what.wrt})"
    gradient = f"{nested}({', '.join(_point(trap))})"
    direction = trap["direction"]
    places = np.argwhere(direction)
    if direction.ndim == 0:
        return [f"print({gradient})"]
    if len(places) == 1:
        return [f"print({gradient}[{', '.join(str(int(k)) for k in places[0])}])"]
    along = _array(direction, trap["dtype"])
    return [f"v = {along}", f"print(jax.numpy.vdot(v, {gradient}))"]


def _forward(what: Subject, trap: Mapping[str, Any]) -> list[str]:
    """The tangent pushed along the direction, through the function of one argument."""
    point = _point(trap)
    rest = [*point[: what.wrt], what.variable, *point[what.wrt + 1 :]]
    nested = "g"
    for _ in range(trap["order"] - 1):
        nested = f"(lambda t: jax.jvp({nested}, (t,), (v,))[1])"
    return [
        f"g = lambda {what.variable}: f({', '.join(rest)})",
        f"v = {_array(trap['direction'], trap['dtype'])}",
        f"print(jax.jvp({nested}, ({point[what.wrt]},), (v,))[1])",
    ]


def _point(trap: Mapping[str, Any]) -> list[str]:
    return [_array(leaf, trap["dtype"]) for leaf in trap["point"]]


def _weighted(function: PublicFunction, call: str, what: Subject) -> str:
    """The weighted sum the question is about; the call itself where its result is one number.

    Weights exist for real results alone: permutations, ranks and flags are passed over.
    """
    with compat.x64():
        shapes = jax.eval_shape(function.call, *what.values)
    found = weights_of(function, what.values)
    spelt = ", ".join(map(_array, found))
    if hasattr(shapes, "dtype"):  # one array, no pytree
        return f"jax.numpy.sum({spelt} * {call})" if found else call
    results = f"jax.tree.leaves({call})"
    if not all(is_real(each) for each in jax.tree.leaves(shapes)):
        results = (
            f"[r for r in {results} "
            "if jax.numpy.issubdtype(jax.numpy.result_type(r), jax.numpy.floating)]"
        )
    if not found:
        return f"{results}[0]"
    return f"sum(jax.numpy.sum(w * r) for w, r in zip([{spelt}], {results}))"


def _array(leaf: np.ndarray, dtype: str = "") -> str:
    text = repr(np.asarray(leaf).tolist())
    text = text.replace("inf", "jax.numpy.inf").replace("nan", "jax.numpy.nan")
    return f"jax.numpy.array({text}, {dtype!r})" if dtype else f"jax.numpy.array({text})"


def _spelt(body: Any, name: str, names: tuple[str, ...]) -> str:
    """The body of a recipe with the function and the arguments put in."""
    module = special_calls if body.__module__ == special_calls.__name__ else recipes
    found = _functions(module).get((body.__code__.co_firstlineno, body.__code__.co_argcount))
    if found is None:
        return f"{name}(...)"
    arguments, expression = found
    values: dict[str, ast.expr] = {arguments.args[0].arg: ast.parse(name, mode="eval").body}
    if arguments.vararg is not None:
        values[arguments.vararg.arg] = ast.parse(f"[{', '.join(names)}]", mode="eval").body
    for own, given in zip(arguments.args[1:], names, strict=False):
        values[own.arg] = ast.Name(given, ast.Load())
    return ast.unparse(_Filled(values, vars(module)).visit(ast.parse(expression, mode="eval").body))


@cache
def _functions(module: ModuleType) -> dict[tuple[int, int], tuple[ast.arguments, str]]:
    """(Line, number of arguments) -> arguments and body of every function of a module's table."""
    found: dict[tuple[int, int], tuple[ast.arguments, str]] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Lambda):
            body = node.body
        elif isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return):
            body = node.body[-1].value
        else:
            continue
        if body is not None:
            found.setdefault((node.lineno, len(node.args.args)), (node.args, ast.unparse(body)))
    return found


class _Filled(ast.NodeTransformer):
    """Arguments and the constants of the tables replaced by what they stand for."""

    def __init__(self, values: Mapping[str, ast.expr], constants: Mapping[str, Any]):
        self.values, self.constants = values, constants

    def visit_Starred(self, node: ast.Starred) -> Any:
        """`list(*x)` and `[*x]` keep their star."""
        return ast.Starred(self.visit(node.value), node.ctx)

    def visit_Name(self, node: ast.Name) -> Any:
        """A name that is an argument or a constant of the table."""
        if node.id in self.values:
            return self.values[node.id]
        constant = self.constants.get(node.id)
        if node.id in ("jnp", "np"):
            return ast.parse("jax.numpy", mode="eval").body
        if isinstance(constant, np.ndarray):
            return ast.parse(f"jax.numpy.array({constant.tolist()!r})", mode="eval").body
        if isinstance(constant, FunctionType):
            arguments, body = _functions(special_calls)[
                constant.__code__.co_firstlineno, constant.__code__.co_argcount
            ]
            names = ", ".join(each.arg for each in arguments.args)
            return ast.parse(f"(lambda {names}: {body})", mode="eval").body
        return node
