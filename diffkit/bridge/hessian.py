"""Second derivatives to run: structured Hessians, Hessian-vector products, value and gradient.

A Hessian is lowered by its structure (`tensor.structure`).  Where it has none, its closed form
runs if it takes fewer multiplications than differentiating the gradient's program once per entry
of the variable; else that program does, by JAX.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from diffkit.bridge.lower_arrays import compile_nodes
from diffkit.bridge.structured import Structured, realise
from diffkit.core.errors import UsageError
from diffkit.tensor import build, sweep
from diffkit.tensor import structure as symbolic
from diffkit.tensor.newton import solved
from diffkit.tensor.nodes import Node, Var, var
from diffkit.tensor.paths import cost_of

if TYPE_CHECKING:
    from diffkit.bridge.formula import Formula

Array = Any

#: Forward mode over a gradient costs about this many times the gradient, per entry of the variable.
TANGENT = 2.0
#: A formula is padded to this width before its structure, so that lines below each other line up.
COLUMN = 14


@dataclass(frozen=True)
class StructuredFormula:
    """A Hessian as a formula with the structure it is made of.

    Calling it at the inputs (by position or by name) gives the structure in numbers, with
    `matvec`, `solve`, `logdet` and `dense`; that is a JAX function, so `jit` and `vmap` it.

    Args:
        formula: The Hessian.
        structure: What of it is stored.
        variable: The input it is the Hessian by.
    """

    formula: "Formula"
    structure: symbolic.Structure
    variable: Var

    @property
    def kind(self) -> str:
        """Name of the structure: "Diagonal", "KroneckerIdentity", "Dense", ..."""
        return type(self.structure).__name__

    @property
    def is_constant(self) -> bool:
        """Whether no entry changes with the variable."""
        return not self.structure.depends_on(self.variable)

    def lower(self) -> Callable[..., Structured]:
        """A JAX function of the inputs that returns the structure in numbers."""
        return self._function(lambda found: found)

    def __call__(self, *args: Any, **kwargs: Any) -> Structured:
        """The structure at these inputs."""
        return self._lowered(*args, **kwargs)

    def solve(self, vector: "Formula") -> "Formula":
        """H^-1 v as a formula, for a v of the variable's shape such as the gradient.

        Raises:
            UsageError: the structure has no inverse in closed form; solve it in numbers.
        """
        node = solved(self.structure, vector.whole)
        return self.formula.with_node(node, self.variable.shape)

    @cached_property
    def _lowered(self) -> Callable[..., Structured]:
        return self.lower()

    def _function(self, finish: Callable[[Structured], Any]) -> Callable[..., Any]:
        from diffkit.bridge.lower import array_function

        inputs = self.formula.inputs
        program = _compiled(self.structure, inputs)

        def run(*values: Array) -> Any:
            dtype = jnp.result_type(*values)
            arrays = [x.astype(dtype) for x in program(*values)]
            return finish(realise(self.structure, arrays))

        return array_function(run, inputs)

    def __str__(self) -> str:
        return f"{self._main():<{COLUMN}}     {self.structure}"

    def __repr__(self) -> str:
        return f"StructuredFormula({self.structure}, inputs={', '.join(self.formula.names)})"

    def _main(self) -> str:
        """The formula without the definitions of the names in it."""
        return str(self.formula).partition("     where ")[0].rstrip()


def structured(formula: "Formula") -> StructuredFormula:
    """The structure of a Hessian.

    Raises:
        UsageError: the formula was not made by `hessian` of one input.
    """
    if formula.hessian_of is None:
        raise UsageError(
            "only the Hessian by one input has a structure; ask for "
            "F.hessian(wrt).structured() with one name"
        )
    root, variable = formula.hessian_of
    return StructuredFormula(formula, symbolic.structure(root, variable), variable)


def dense_program(formula: "Formula") -> Callable[..., Array]:
    """A function of the inputs, as arrays, that computes every entry of a Hessian."""
    assert formula.hessian_of is not None
    root, variable = formula.hessian_of
    found = symbolic.structure(root, variable)
    if type(found) is symbolic.Dense and cost_of(found.nodes) > _cost_of_jax(root, variable):
        return _by_jax(root, variable, formula.inputs)
    program = _compiled(found, formula.inputs)
    return lambda *values: realise(found, program(*values)).dense()


def _compiled(found: symbolic.Structure, inputs: Sequence[Var]) -> Callable[..., Any]:
    """A function of the inputs that computes the nodes; a dense core is a symmetric matrix."""
    core = found
    while isinstance(core, symbolic.KroneckerIdentity):
        core = core.core
    is_symmetric = isinstance(core, symbolic.Dense) and not core.batch
    return compile_nodes(found.nodes, inputs, is_symmetric=is_symmetric)


def _cost_of_jax(root: Node, variable: Var) -> float:
    """Multiplications of forward mode over the gradient for every entry of the variable."""
    gradient = sweep.gradient(root, [variable])
    return TANGENT * math.prod(variable.shape) * cost_of(gradient)


def _by_jax(root: Node, variable: Var, inputs: Sequence[Var]) -> Callable[..., Array]:
    """Forward mode over the program of the gradient."""
    gradient = compile_nodes(sweep.gradient(root, [variable]), inputs)
    place = list(inputs).index(variable)
    return jax.jacfwd(lambda *values: gradient(*values)[0], argnums=place)


def value_and_grad(formula: "Formula", wrt: Any) -> Callable[..., Any]:
    """A JAX function of the inputs: the value and its gradient, what they share computed once."""
    from diffkit.bridge.lower import lower

    found = formula.grad(wrt)
    parts = found if isinstance(found, tuple) else (found,)
    run = lower((formula, *parts))

    def value_and_grad(*args: Any, **kwargs: Any) -> Any:
        value, *gradients = run(*args, **kwargs)
        return value, (tuple(gradients) if isinstance(found, tuple) else gradients[0])

    return value_and_grad


def hvp(formula: "Formula", wrt: Any) -> Callable[..., Array]:
    """A JAX function of the inputs and a vector v: the Hessian applied to v, never formed."""
    from diffkit.bridge.lower import array_function

    if formula.shape:
        raise UsageError(
            f"the hessian is that of a number; this result has shape {formula.shape}: take its sum"
        )
    target = formula.input(wrt)
    tangent = var(_unused("v", formula.names), target.shape, target.dtype)
    (first,) = sweep.gradient(formula.whole, [target])
    node = sweep.pushforward(first, {target: tangent})
    inputs = (*formula.inputs, tangent)
    program = compile_nodes([build.spread(node, build.all_axes(node), target.shape)], inputs)
    return array_function(lambda *values: program(*values)[0], inputs)


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
