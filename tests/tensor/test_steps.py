"""The steps of a gradient: back-propagation as one reads it, every adjoint certified."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.bridge.lift import lift
from diffkit.core.errors import CertificateError
from diffkit.tensor import build, steps
from diffkit.tensor.steps import gradient_steps

RANDOM = np.random.default_rng(0).normal


def column_net(W1, b1, W2, b2, W3, x, y):
    a = jnp.tanh(W1 @ x + b1)
    a = jax.nn.sigmoid(W2 @ a + b2)
    return 0.5 * jnp.sum((W3 @ a - y) ** 2)


def batch_net(X, W1, W2, W3, Y):
    H = jnp.tanh(jax.nn.relu(X @ W1) @ W2)
    return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(H @ W3), axis=1))


COLUMN = [RANDOM(size=s) for s in ((4, 3), 4, (5, 4), 5, (2, 5), 3, 2)]
BATCH = [RANDOM(size=s) for s in ((6, 3), (3, 4), (4, 5), (5, 2), (6, 2))]


def equations(f, args, wrt):
    with compat.x64():
        formula = lift(f, *args)
    return [step.equation() for step in gradient_steps(formula.node, formula.input(wrt))]


def test_the_adjoint_of_a_layer_is_the_next_one_through_the_weights_times_the_slope():
    lines = equations(column_net, COLUMN, "W1")
    assert "δ₁ = ∂f/∂z₁ = (W₂ᵀ δ₂) ⊙ (1 − tanh²(z₁))" in lines
    assert lines[-1] == "∂f/∂W₁ = δ₁ xᵀ"
    assert lines[0] == "z₁ = W₁ x + b₁"


def test_a_batch_keeps_the_orientation_of_the_program():
    lines = equations(batch_net, BATCH, "W1")
    assert lines[0] == "Z₁ = X W₁"
    assert "Δ₁ = ∂f/∂Z₁ = (Δ₂ W₂ᵀ) ⊙ [Z₁ > 0]" in lines
    assert lines[-1] == "∂f/∂W₁ = Xᵀ Δ₁"


@pytest.mark.parametrize("depth", [3, 6])
def test_the_recursion_has_one_line_per_layer(depth):
    def net(x, *weights):
        for W in weights:
            x = jnp.tanh(W @ x)
        return jnp.sum(x**2)

    args = [RANDOM(size=3), *(RANDOM(size=(3, 3)) for _ in range(depth))]
    lines = equations(net, args, "weights_0")
    assert sum(" = ∂f/∂" in line for line in lines) == depth
    for layer in range(1, depth):
        assert any(
            line.startswith(f"δ{chr(8320 + layer)} = ") and f"δ{chr(8321 + layer)}" in line
            for line in lines
        )


def test_every_adjoint_carries_its_evidence():
    with compat.x64():
        formula = lift(batch_net, *BATCH)
    derivation = gradient_steps(formula.node, formula.input("W1"))
    adjoints = [step for step in derivation if step.rule != "name"]
    assert all(step.certificate.error <= step.certificate.bound for step in adjoints)


def test_a_wrong_rule_fails_its_certificate(monkeypatch):
    with compat.x64():
        formula = lift(column_net, *COLUMN)
    right = steps.pullback

    def doubled(root, variables, seed, carried):
        return tuple(build.scale(2, each) for each in right(root, variables, seed, carried))

    monkeypatch.setattr(steps, "pullback", doubled)
    with pytest.raises(CertificateError, match="defect of diffkit"):
        gradient_steps(formula.node, formula.input("W1"))


def test_steps_are_written_in_every_style():
    with compat.x64():
        formula = lift(column_net, *COLUMN)
    derivation = gradient_steps(formula.node, formula.input("W1"))
    assert r"\delta_{1} = \frac{\partial f}{\partial z_{1}}" in derivation.latex()
    assert "<math" in derivation.html()
    assert derivation.markdown().count("- **") == len(derivation)
