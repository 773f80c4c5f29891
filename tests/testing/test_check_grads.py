"""The drop-ins accept what is right, and refuse what their models let pass."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import test_util

from diffkit.core.errors import ClaimRefuted, ClaimUndecided, TimeLimitExceeded, UsageError
from diffkit.testing import check_grads, gradcheck
from diffkit.testing.check_grads import Part, _at_the_point, _check_repeats


def product(x, y):
    return x * jnp.sin(y)


@jax.custom_jvp
def wrong_tanh(x):
    """The derivative by its rule is 1 - tanh(x), not 1 - tanh(x)**2."""
    return jnp.tanh(x)


wrong_tanh.defjvp(lambda p, t: (jnp.tanh(p[0]), t[0] * (1 - jnp.tanh(p[0]))))


@jax.custom_vjp
def reverse_only(x):
    return x**2


reverse_only.defvjp(lambda x: (x**2, x), lambda x, cotangent: (2 * x * cotangent,))


def sum_of_sines(x):
    return jnp.sum(jnp.sin(x))


def forward_only(x):
    return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, x))[1]


def test_the_signature_is_that_of_jax():
    ours, theirs = (inspect.signature(f).parameters for f in (check_grads, test_util.check_grads))
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


def test_the_signature_is_that_of_torch():
    """From torch.autograd.gradcheck 2.13, which no test here depends on."""
    defaults = {
        "eps": 1e-6,
        "atol": 1e-5,
        "rtol": 1e-3,
        "raise_exception": True,
        "nondet_tol": 0.0,
        "check_undefined_grad": True,
        "check_grad_dtypes": False,
        "check_batched_grad": False,
        "check_batched_forward_grad": False,
        "check_forward_ad": False,
        "check_backward_ad": True,
        "fast_mode": False,
        "masked": None,
    }
    func, inputs, *rest = inspect.signature(gradcheck).parameters.values()
    assert (func.name, inputs.name) == ("func", "inputs")
    assert {p.name: p.default for p in rest} == defaults
    assert {p.kind for p in rest} == {inspect.Parameter.KEYWORD_ONLY}


def test_right_derivatives_pass():
    assert check_grads(product, (1.0, 2.0), order=2) is None
    assert gradcheck(jnp.tanh, jnp.array([0.5, -1.0]), check_batched_grad=True) is True


def test_every_argument_is_judged():
    with pytest.raises(AssertionError, match="by y: REFUTED"):
        check_grads(lambda x, y: x + wrong_tanh(y), (0.5, 0.25), order=1)


def test_every_leaf_of_a_pytree_and_every_result_is_judged():
    def model(p, n):
        return {"good": p["w"] * n, "bad": wrong_tanh(p["b"]), "count": n}

    with pytest.raises(ClaimRefuted, match=r"by p\.b: REFUTED .*model\[0\]"):
        check_grads(model, ({"w": jnp.ones(2), "b": 0.5}, 3), order=1)


def test_a_wrong_sign_below_every_usual_tolerance_is_refuted():
    """`jax.test_util.check_grads` passes it: its absolute tolerance is 2e-3 in float32."""

    @jax.custom_jvp
    def small(x):
        return 1e-12 * jnp.sin(x)

    small.defjvp(lambda p, t: (1e-12 * jnp.sin(p[0]), -1e-12 * jnp.cos(p[0]) * t[0]))
    test_util.check_grads(small, (0.5,), order=1)
    with pytest.raises(ClaimRefuted, match="REFUTED"):
        check_grads(small, (0.5,), order=1)
    assert gradcheck(small, 0.5, raise_exception=False) is False


def test_a_nan_where_the_derivative_exists_is_refuted():
    def f(x):
        return jnp.where(x > 0, x * jnp.sqrt(x), 0.0)

    # x**(3/2) right of 0, and 0 left of it: the derivative at 0 is 0, and AD returns 0 * inf
    with pytest.raises(ClaimRefuted, match=r"by x: REFUTED[\s\S]*nan-gradient"):
        check_grads(f, (0.0,), order=1)


def test_a_nan_at_the_edge_of_a_domain_does_not_pass():
    # sqrt(x)**2 is x on [0, inf): only from the right there is a derivative, 1
    with pytest.raises(ClaimUndecided, match=r"by x: UNDECIDED[\s\S]*nan-gradient"):
        check_grads(lambda x: jnp.sqrt(x) ** 2, (0.0,), order=1)


def test_what_cannot_be_decided_does_not_pass():
    with pytest.raises(ClaimUndecided, match="UNDECIDED"):
        check_grads(lambda x: jnp.sqrt(-1 - x * x), (1.0,), order=1)
    assert gradcheck(lambda x: jnp.sqrt(-1 - x * x), 1.0, raise_exception=False) is False


@pytest.mark.parametrize(
    ("f", "modes", "missing"),
    [
        (reverse_only, ("rev",), None),
        (reverse_only, ("fwd", "rev"), "forward"),
        (forward_only, ("fwd",), None),
        (forward_only, ("rev",), "reverse"),
    ],
)
def test_a_mode_that_is_asked_for_must_exist(f, modes, missing):
    if missing is None:
        check_grads(f, (1.5,), order=1, modes=modes)
    else:
        with pytest.raises(ClaimRefuted, match=f"{missing} mode does not exist"):
            check_grads(f, (1.5,), order=1, modes=modes)


def test_a_tolerance_makes_the_check_stricter_and_never_laxer():
    x = (jnp.float32(1.0), jnp.float32(2.0))
    check_grads(product, x, order=1, atol=1e-5, rtol=1e-5)
    with pytest.raises(ClaimRefuted, match=r"off by 2\.0e-08, and atol \+ rtol \|truth\|"):
        check_grads(product, x, order=1, atol=1e-12, rtol=1e-12)
    with pytest.raises(ClaimRefuted, match="REFUTED"):
        check_grads(wrong_tanh, (0.5,), order=1, atol=100.0, rtol=100.0)


def test_a_tolerance_that_torch_takes_by_default_holds_here_too():
    def cancelling(x):
        """In float32 about 3 of 7 digits of the derivative are left at 1e-4."""
        return (1 - jnp.cos(x)) / x**2

    assert gradcheck(cancelling, 1.0)
    with pytest.raises(ClaimRefuted, match=r"cancelling by x: .* in float32.*atol \+ rtol"):
        gradcheck(cancelling, jnp.float32(1e-3))


def test_a_derivative_outside_of_the_range_of_the_precision_meets_every_tolerance():
    # 3 * 200**2 = 120000, and the largest float16 is 65504
    assert gradcheck(lambda x: x**3, jnp.float16(200.0)) is True


def test_a_tolerance_on_many_entries_is_asked_along_directions():
    x = jnp.linspace(0.0, 1.0, 20_000)
    assert len(list(_at_the_point(Part(sum_of_sines, (x,), "x", ("float32",)), 1, "float32"))) < 10
    assert gradcheck(sum_of_sines, x) is True
    with pytest.raises(ClaimRefuted, match=r"atol \+ rtol \|truth\| = 0\.0e\+00"):
        check_grads(sum_of_sines, (x,), order=1, atol=0.0, rtol=0.0)


def test_what_takes_too_long_is_undecided(monkeypatch):
    from diffkit.verify import answers

    def never(*args):
        raise TimeLimitExceeded("the program took longer than 1 s")

    monkeypatch.setattr(answers, "ask", never)
    assert gradcheck(jnp.sin, 1.0, raise_exception=False) is False
    with pytest.raises(ClaimUndecided, match="sin by x: UNDECIDED: the program took longer"):
        gradcheck(jnp.sin, 1.0)
    with pytest.raises(ClaimUndecided, match="took longer"):
        check_grads(jnp.sin, (1.0,), order=1, atol=1e-3)


def test_two_runs_of_reverse_mode_must_agree_as_far_as_asked():
    generator = np.random.default_rng(0)

    def noise(cotangent):
        return np.asarray(cotangent * (1 + 1e-9 * generator.standard_normal()))

    @jax.custom_vjp
    def noisy(x):
        return x * 1.0

    def backward(_, cotangent):
        shape = jax.ShapeDtypeStruct(cotangent.shape, cotangent.dtype)
        found = jax.pure_callback(noise, shape, cotangent, vmap_method="sequential")
        return (found,)

    noisy.defvjp(lambda x: (x, None), backward)
    with jax.enable_x64(True):
        part = Part(noisy, (jnp.float64(2.0),), "x", ("float64",))
        _check_repeats(part, 1e-6)
        with pytest.raises(ClaimRefuted, match="two runs of reverse mode differ"):
            _check_repeats(part, 0.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: check_grads(jnp.sin, (3,), 1), "no argument of sin is a floating-point number"),
        (lambda: check_grads(jnp.sin, (1.0,), 0), "order=0"),
        (lambda: check_grads(jnp.sin, (1.0,), 1, modes="fwd"), "modes='fwd'"),
        (lambda: check_grads(jnp.sin, (1.0,), 1, modes=()), r"modes=\(\)"),
        (lambda: check_grads(jnp.sin, (1.0,), 1, modes=("lin",)), "name some of"),
        (lambda: check_grads(jnp.sin, (1.0 + 1j,), 1), "is complex"),
        (lambda: check_grads(jnp.sin, (float("nan"),), 1), "holds nan or inf"),
        (lambda: check_grads(jnp.sin, (1.0,), 1, atol=-1.0), "atol=-1.0"),
        (lambda: check_grads(jnp.sin, (1.0,), 1, rtol=float("nan")), "rtol=nan"),
        (lambda: check_grads(jnp.sin, (1.0,), 1, atol="tight"), "atol='tight'"),
        (lambda: check_grads(lambda x: x.missing, (1.0,), 1), "raises AttributeError"),
        (lambda: check_grads(lambda x: x > 0, (1.0,), 1), "no result of f is a floating"),
        (lambda: check_grads("sin(x)", (1.0,), 1), "expected a JAX function"),
        (lambda: check_grads(jnp.sin, (), 1), "cannot be called"),
        (lambda: gradcheck(jnp.sin, 1.0, masked=True), "masked=True"),
        (lambda: gradcheck(jnp.sin, 1.0, check_backward_ad=False), "modes="),
        (lambda: gradcheck(jnp.sin, 1.0, nondet_tol=-1.0), "nondet_tol=-1.0"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(call, said):
    with pytest.raises(UsageError, match=said):
        call()
