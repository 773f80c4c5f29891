"""Constants of initialisers and activations against the libraries that print them."""

import inspect
import re

import jax
import mpmath as mp
import pytest
import scipy.stats
import sympy as sp

from diffkit.core.errors import NoClosedForm
from diffkit.theory import constants
from diffkit.theory.gaussian_integrals import x

LAWS = (
    constants.lecun(),
    constants.glorot(),
    constants.he(),
    *constants.selu(),
    constants.truncated_normal(),
    constants.gain(sp.erf(x)),
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_line_holds_and_another_right_side_does_not(law):
    assert law.lines
    for line in law.lines:
        assert line.holds(), line.reason
        assert not constants.Line(line.reason, line.left, line.right + 1).holds()


def test_the_constants_of_selu_are_those_in_jax_to_thirty_digits():
    source = inspect.getsource(jax.nn.selu)
    for law, name in zip(constants.selu(), ("alpha", "scale"), strict=True):
        printed = mp.mpf(re.search(rf"{name} = ([\d.]+)", source)[1])
        with mp.workdps(40):
            assert abs(mp.mpf(str(sp.N(law.formula, 40))) - printed) < mp.mpf(10) ** -15


def test_the_truncated_normal_is_that_of_scipy():
    expected = scipy.stats.truncnorm(-2, 2).std()
    assert constants.truncated_normal().at() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["lecun_normal", "glorot_normal", "he_normal"])
def test_a_library_draws_with_the_variance_of_the_law(name):
    n, m = 400, 200
    weights = getattr(jax.nn.initializers, name)()(jax.random.key(0), (n, m))
    laws = {
        "lecun_normal": constants.lecun().at(n=n),
        "glorot_normal": constants.glorot().at(n=n, m=m),
        "he_normal": constants.he().at(n=n, a=0),
    }
    assert float(weights.var()) == pytest.approx(laws[name], rel=0.02)  # 5 standard errors


def test_gains_are_known_numbers_and_that_of_tanh_has_no_form():
    assert constants.gain(sp.Max(0, x)).formula == sp.sqrt(2)
    assert constants.gain(sp.erf(x)).at() == pytest.approx(0.464559**-0.5, rel=1e-5)
    with pytest.raises(NoClosedForm):
        constants.gain(sp.tanh(x))
