r"""Instruments: signals and gradients layer by layer, Jacobians, curvature of the loss.

They look at a copy: statistics and random streams of a module are as they were before, and a
dropout mask is the one that the next call will draw.  All of them may be jitted and vmapped.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental.sparse.linalg import lobpcg_standard
from jax.flatten_util import ravel_pytree

from diffkit.core.errors import UsageError
from diffkit.nets import factorisations
from diffkit.nets.mlp import Classifier, Layer

#: Parameters of a loss whose whole Hessian is made: 4096^2 numbers are 128 MB in float64.
LARGEST_HESSIAN = 4096
#: LOBPCG needs more dimensions than this; smaller matrices are made and diagonalised.
SMALL = 8
#: Residual of an eigenvector, relative to the eigenvalue, at which the search may stop.
RELATIVE = 1e-2


class Signals(NamedTuple):
    """What goes forward and what comes back.

    Args:
        value: L.
        pre_activations: h_1, ..., h_L as the network returns them.
        gradients: dL/dh_1, ..., dL/dh_L, of the same structure.
    """

    value: jax.Array
    pre_activations: Any
    gradients: Any


def signals(net: Classifier, inputs: jax.Array, loss: Callable[[jax.Array], jax.Array]) -> Signals:
    """Return pre-activations of every layer and the gradients of a loss with respect to them.

    dL/dh_l is the gradient with respect to a perturbation of value 0 that is added to h_l.

    Args:
        net: The network, in training or evaluation mode.
        inputs: Samples, (batch, n_0).
        loss: L as a function of the outputs h_L.

    >>> net = Classifier((2, 3, 1), "linear", use_bias=False, rngs=nnx.Rngs(0))
    >>> found = signals(net, jnp.ones((1, 2)), jnp.sum)
    >>> [each.shape for each in found.gradients], found.gradients[1].item()
    ([(1, 3), (1, 1)], 1.0)
    """
    graph, state = nnx.split(net)

    def of(perturbations: Any) -> Any:
        found = nnx.merge(graph, state, copy=True).pre_activations(inputs, perturbations)
        return loss(found[-1]), found

    shapes = jax.eval_shape(lambda: of(None)[1])
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    (value, found), slopes = jax.value_and_grad(of, has_aux=True)(zeros)
    return Signals(value, found, slopes)


def layer_jacobians(net: Classifier, inputs: jax.Array) -> list[jax.Array]:
    """Return dh_1/dx, dh_2/dh_1, ..., dh_L/dh_{L-1} at each sample, (batch, n_{l+1}, n_l).

    In evaluation mode, where samples do not meet.  The Jacobian of the network is their product,
    the last one leftmost.
    """
    model = _in_evaluation(net)
    h = model.first(inputs)
    first = jnp.broadcast_to(model.first.kernel[...].T, (len(inputs), h.shape[1], inputs.shape[1]))
    found = [first]

    def step(layer: Layer, h: jax.Array, _: None) -> Any:
        return layer(h), jax.vmap(jax.jacfwd(lambda one: layer(one[None])[0]))(h)

    for stack in model.stacks:
        h, jacobians = stack.scan(step, h, None)
        found += list(jacobians)
    return found


def jacobians(net: Callable[[jax.Array], jax.Array], inputs: jax.Array) -> jax.Array:
    """Return the Jacobian of the outputs by the inputs at each sample, (batch, n_L, n_0).

    Forward or reverse mode, whichever takes fewer passes; in evaluation mode, where samples do not
    meet.
    """
    model = _in_evaluation(net) if isinstance(net, nnx.Module) else net
    alone = lambda sample: model(sample[None])[0]
    outputs = jax.eval_shape(alone, inputs[0]).size
    mode = jax.jacfwd if inputs[0].size <= outputs else jax.jacrev
    return jax.vmap(mode(alone))(inputs)


def singular_values(net: Callable[[jax.Array], jax.Array], inputs: jax.Array) -> jax.Array:
    """Singular values of the input-output Jacobian at each sample, largest first.

    Those of an orthogonal linear network are all 1 whatever the depth (dynamical isometry; Saxe et
    al. 2014, arXiv:1312.6120).

    >>> net = Classifier((4, 4, 4, 4), "linear", "orthogonal", rngs=nnx.Rngs(0))
    >>> singular_values(net, jnp.ones((1, 4))).round(3).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    return jax.vmap(factorisations.singular_values)(jacobians(net, inputs))


class Eigenvalue(NamedTuple):
    """An approximate eigenpair of a symmetric operator.

    Args:
        value: The Rayleigh quotient.
        residual: |A v - value v| for |v| = 1; an eigenvalue of A lies no farther from the value.
        vector: v.
        iterations: How many it took; 0 where the matrix was diagonalised.
    """

    value: jax.Array
    residual: jax.Array
    vector: jax.Array
    iterations: jax.Array | int


def largest_eigenvalue(
    operator: Callable[[jax.Array], jax.Array],
    size: int,
    *,
    key: jax.Array,
    iterations: int = 200,
) -> Eigenvalue:
    """The algebraically largest eigenvalue of v -> A v, A symmetric, by LOBPCG.

    The search explores the Krylov space of a random start, as Lanczos does.  Look at the residual:
    it bounds the distance to an eigenvalue, and is large where the iterations did not suffice.

    Args:
        operator: v -> A v on arrays (size,).
        size: Dimension, >= 1.
        key: Of the start.
        iterations: At most.
    """
    start = jax.random.normal(key, (size, 1))
    if size <= SMALL:
        values, vectors = jnp.linalg.eigh(jax.vmap(operator)(jnp.eye(size)))
        value, vector, count = values[-1], vectors[:, -1], 0
    else:
        columns = jax.vmap(operator, in_axes=1, out_axes=1)
        # It stops at a relative residual of 10 size tol: with the default, rounding, a network of
        # a million parameters is done at once, at any vector.
        tolerance = min(float(jnp.finfo(start.dtype).eps), RELATIVE / (10 * size))
        (value,), vectors, count = lobpcg_standard(columns, start, m=iterations, tol=tolerance)
        vector = vectors[:, 0]
    residual = jnp.linalg.norm(operator(vector) - value * vector)
    return Eigenvalue(value, residual, vector, count)


def hessian_vector_product(loss: Callable[[Any], jax.Array], params: Any, tangent: Any) -> Any:
    """H v of a loss, forward over reverse; v is of the structure of the parameters."""
    return jax.jvp(jax.grad(loss), (params,), (tangent,))[1]


def sharpness(
    loss: Callable[[Any], jax.Array], params: Any, *, key: jax.Array, iterations: int = 200
) -> Eigenvalue:
    """The largest eigenvalue of the Hessian of a loss, without the Hessian.

    Args:
        loss: A number as a function of the parameters (see `objective`).
        params: Where; a pytree of floating-point arrays.
        key: Of the start of the search.
        iterations: At most.

    >>> found = sharpness(lambda w: 3 * w[0] ** 2 - w[1] ** 2, jnp.zeros(2), key=jax.random.key(0))
    >>> found.value.item(), found.residual.item()
    (6.0, 0.0)
    """
    flat, unravel = ravel_pytree(params)
    of_flat = lambda w: loss(unravel(w))
    product = lambda v: hessian_vector_product(of_flat, flat, v)
    return largest_eigenvalue(product, flat.size, key=key, iterations=iterations)


def hessian_spectrum(loss: Callable[[Any], jax.Array], params: Any) -> jax.Array:
    """All eigenvalues of the Hessian of a small network's loss, ascending.

    Raises:
        UsageError: more than 4096 parameters; `sharpness` needs no matrix.
    """
    flat, unravel = ravel_pytree(params)
    if flat.size > LARGEST_HESSIAN:
        raise UsageError(
            f"a Hessian of {flat.size} parameters is too large to be made (at most "
            f"{LARGEST_HESSIAN}); use sharpness"
        )
    return jnp.linalg.eigvalsh(jax.hessian(lambda w: loss(unravel(w)))(flat))


def objective(
    module: nnx.Module,
    loss: Callable[[Any, Any, Any], jax.Array],
    inputs: jax.Array,
    targets: jax.Array,
) -> tuple[Callable[[Any], jax.Array], Any]:
    """Return a loss as a function of the parameters alone, and the parameters.

    Args:
        module: In the mode it is to be measured in; the rest of its state is held fixed.
        loss: (module, inputs, targets) -> a number.
        inputs: Samples.
        targets: Classes or numbers.
    """
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def of(params: Any) -> jax.Array:
        return loss(nnx.merge(graph, params, rest, copy=True), inputs, targets)

    return of, params


def _in_evaluation(net: Any) -> Any:
    """A copy with the statistics of training and without dropout."""
    copy = nnx.merge(*nnx.split(net), copy=True)
    copy.eval()
    return copy
