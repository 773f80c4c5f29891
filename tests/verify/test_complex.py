"""Functions of complex arguments: expected derivatives come from a line of calculus by parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.verify.verify import verify

Z = 1.0 + 2.0j
ONE = {"dtypes": ("float64",)}


def squared(z):
    return jnp.abs(z) ** 2  # x^2 + y^2


def ruled(backward):
    """|z|^2 with the cotangent (z, g) -> backward."""
    f = jax.custom_vjp(squared)
    f.defvjp(lambda z: (squared(z), z), lambda z, g: (backward(z, g),))
    return f


def test_jaxs_convention_is_the_conjugate_of_the_gradient_of_optimisation():
    # d/dx - i d/dy of x^2 + y^2 is 2x - 2iy, and not 2x + 2iy
    with jax.enable_x64(True):
        assert complex(jax.grad(squared)(Z)) == 2 - 4j
    verdict = verify(squared, Z, **ONE)
    assert any("d/d re - i d/d im" in note for note in verdict.assumptions)
    points = [row.point for row in verdict.evidence if row.point]
    assert points
    assert all(set(point) == {"z.re", "z.im"} for point in points)


@pytest.mark.parametrize(
    "f",
    [
        squared,
        jnp.abs,
        lambda z: jnp.log(z).imag,
        lambda z: (jnp.exp(z) * jnp.conj(z)).real,
        lambda z: jnp.sqrt(z).real,
        lambda z: jnp.tanh(z).imag,
        lambda z: (jnp.sin(z) / (2 + jnp.cos(z))).real,
        lambda z: (z**3).imag,
    ],
)
def test_clean_functions_are_supported_without_a_finding(f):
    verdict = verify(f, Z, domain="(1/2, 5/2)", **ONE)
    assert verdict.status == "supported", verdict.explain()
    assert verdict.findings == ()


@pytest.mark.parametrize(
    ("backward", "status"),
    [
        (lambda z, g: 2 * g * jnp.conj(z), "supported"),
        (lambda z, g: 2 * g * z, "refuted"),  # the other convention
        (lambda z, g: 2 * jnp.conj(z), "refuted"),  # no linear map
    ],
)
def test_a_rule_with_the_conjugate_forgotten_is_refuted_in_the_imaginary_part(backward, status):
    verdict = verify(ruled(backward), Z, **ONE)
    assert verdict.status == status, verdict.explain()
    if status == "refuted":
        assert verdict.counterexample == {"z.re": 1.0, "z.im": 2.0}
        assert any("z." in f.message for f in verdict.findings if f.severity == "wrong")


def test_the_finding_says_which_part_is_wrong():
    verdict = verify(ruled(lambda z, g: 2 * g * z), Z, **ONE)
    (wrong,) = [f for f in verdict.findings if f.severity == "wrong"]
    assert "z.im = 2.0 a custom rule gives -4, the derivative is 4" in wrong.message


def test_arrays_and_several_arguments():
    A = np.array([[1.0, 2 - 1j], [2 + 1j, 3.0]])

    def form(A, x):
        return jnp.vdot(x, A @ x).real

    x = np.array([1j, 2.0])
    assert verify(form, A, x, wrt="x", **ONE).ok
    part = verify(form, A, x, wrt="x.im", **ONE)
    assert part.ok
    assert part.claim.wrt == "x.im"


def test_at_0_the_absolute_value_has_a_kink_in_both_parts():
    verdict = verify(jnp.abs, 0j, **ONE)
    assert verdict.status == "supported"
    assert [finding.kind for finding in verdict.findings] == ["kink"]


def test_a_complex_result_is_refused_with_the_remedy():
    with pytest.raises(UsageError, match=r"lambda z: f\(z\)\.real"):
        verify(lambda z: z * z, Z)


def test_what_balls_have_no_row_for_is_judged_by_differences():
    z = np.array([1j, 2.0, 3 - 1j])
    verdict = verify(lambda z: jnp.sum(jnp.abs(jnp.fft.fft(z)) ** 2), z, **ONE)
    assert verdict.ok, verdict.explain()
    stopped = verify(lambda z: jnp.sum(jnp.abs(jax.lax.stop_gradient(z)) ** 2), z, **ONE)
    assert stopped.status == "refuted"
