"""The formal half of `verify`: AD's program and the function, both read as formulas.

Proved means: lift(jax.grad(f)) and grad(lift(f)) share a normal form.  Where the function
cannot be lifted there is no proof, and the reason is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift
from diffkit.bridge.subject import Subject
from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError, UnsupportedFunction
from diffkit.core.evidence import Evidence
from diffkit.symbolic.prove import prove_equal
from diffkit.symbolic.walk import written_size
from diffkit.tensor.identity import prove_equal_nodes

#: Formulas longer than this are neither proved nor printed: a loop that calls its last result
#: twice doubles with every step.
MOST_SYMBOLS = 20_000
#: Identity testing of arrays is given up after this time.
PROOF_SECONDS = 10.0


@dataclass(frozen=True)
class FormalProof:
    """What the formulas say.

    Args:
        is_proved: Whether the normal forms are equal for every order asked for.
        scope: What the proof covers, or why there is none.
        formula: The derivative as text, "" when the function cannot be lifted.
        latex: The same as LaTeX.
        evidence: One row.
        notes: Constants read as exact numbers.
    """

    is_proved: bool
    scope: str
    formula: str = ""
    latex: str = ""
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()


def prove(what: Subject, domains: Mapping[str, Domain], order: int) -> FormalProof:
    """Compare the lifted AD program with the derivative of the lifted function."""
    try:
        with compat.x64():
            found = _compare(what, domains, order)
    except DiffkitError as error:
        return FormalProof(False, f"no closed form: {str(error).splitlines()[0]}")
    # of a pytree that was joined to one array the formula would count entries across its leaves
    return replace(found, formula="", latex="") if what.parts else found


def unsought(what: Subject) -> FormalProof:
    """The proof of a function of many entries: none is looked for."""
    size = what.values[what.wrt].size
    return FormalProof(False, f"no proof is sought for {size:,} entries, along directions")


def _compare(what: Subject, domains: Mapping[str, Domain], order: int) -> FormalProof:
    """Order by order, both sides as formulas; whatever cannot be lifted raises."""
    formula = lift(what.renamed(what.call), *what.values, assume=_facts(what, domains))
    if not formula.is_elementwise or not (formula.shape or formula.is_scalar):
        return _compare_arrays(what, formula, order)
    expected = formula
    program = what.call
    for _ in range(order):
        program = _elementwise_gradient(program, what.wrt)
        expected = expected.grad(what.variable)
        found = _lift_gradient(what, program)
        sides = found.sympy(), expected.sympy()
        if max(map(written_size, sides)) > MOST_SYMBOLS:
            return FormalProof(False, f"no proof: over {MOST_SYMBOLS:,} symbols written out")
        proof = prove_equal(*sides, dict(domains))
        if proof.status != "equal":
            return FormalProof(
                False,
                f"no proof: {proof.method}",
                str(formula.grad(what.variable)),
                formula.grad(what.variable).latex(),
            )
    first = formula.grad(what.variable)
    scope = "the formula read from the program, in real arithmetic"
    return FormalProof(
        True,
        f"{scope}, {proof.scope}" if proof.scope else scope,
        str(first),
        first.latex(),
        (Evidence("normal forms", "closed form", "agrees", note=proof.method),),
        tuple(formula.notes),
    )


def _facts(what: Subject, domains: Mapping[str, Domain]) -> dict[str, Domain]:
    """Declared sets of matrices, under the names of the formula."""
    return {
        name.replace(".", "_"): domains[name]
        for name in what.names
        if name in domains and domains[name].matrix_set
    }


def _compare_arrays(what: Subject, formula: Formula, order: int) -> FormalProof:
    """The same for arrays: gradients of numbers, Jacobians of arrays, up to order 2."""
    if order > 2 or (order == 2 and formula.shape):
        return FormalProof(False, f"no closed form: order {order} of arrays is not written out")
    variable = what.variable.replace(".", "_")
    first = formula.jacobian(variable) if formula.shape else formula.grad(variable)
    method = ""
    for current in range(1, order + 1):
        expected = first if current == 1 else formula.hessian(variable)
        found = _lift_gradient(what, _array_derivative(what, formula, current))
        equality = prove_equal_nodes(found.whole, expected.whole, seconds=PROOF_SECONDS)
        method = equality.method
        if not equality.is_equal:
            return FormalProof(False, f"no proof: {method}", str(first), first.latex())
    shapes = ", ".join(f"{x.name} {'x'.join(map(str, x.shape))}" for x in formula.inputs if x.shape)
    return FormalProof(
        True,
        f"the formula read from the program, in real arithmetic, for {shapes}; {method}",
        str(first),
        first.latex(),
        (Evidence("normal forms", "closed form", "agrees", note=method),),
        tuple(formula.notes),
    )


def _array_derivative(what: Subject, formula: Formula, order: int) -> Callable[..., Any]:
    """The program AD runs: reverse mode, then forward mode over it."""

    def value(*leaves: Any) -> Any:
        return jax.tree.leaves(what.call(*leaves))[0]

    program = (jax.jacrev if formula.shape else jax.grad)(value, what.wrt)
    return program if order == 1 else jax.jacfwd(program, what.wrt)


def _lift_gradient(what: Subject, program: Callable[..., Any]) -> Formula:
    """The formula of the program AD runs.

    Raises:
        UnsupportedFunction: AD has no rule for the function, so there is no such program.
    """
    try:
        return lift(what.renamed(program), *what.values)
    except USER_ERRORS as error:
        if isinstance(error, DiffkitError):
            raise
        raise UnsupportedFunction(f"reverse mode: {str(error).splitlines()[0]}") from error


def _elementwise_gradient(program: Callable[..., Any], wrt: int) -> Callable[..., Any]:
    """The gradient AD returns; of an elementwise array function, entry by entry."""

    def gradient(*leaves: Any) -> Any:
        def moved(x: Any) -> Any:
            return jax.tree.leaves(program(*leaves[:wrt], x, *leaves[wrt + 1 :]))[0]

        value, pull = jax.vjp(moved, leaves[wrt])
        return pull(jnp.ones_like(value))[0]

    return gradient
