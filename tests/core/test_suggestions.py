"""Hints for mistyped names."""

import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.atlas.survey import chosen
from diffkit.core.errors import DiffkitError
from diffkit.core.suggestions import closest, did_you_mean


def test_another_case_is_the_closest():
    assert closest("sigma", ["Sigma", "sigmas"]) == "Sigma"


def test_a_name_like_none_has_no_hint():
    assert closest("zebra", ["x", "y"]) == did_you_mean("zebra", []) == ""


PARAMS = {"weight": np.ones(2), "bias": 0.5}


def loss(params, x):
    return jnp.sum(params["weight"] * x) + params["bias"]


@pytest.mark.parametrize(
    ("ask", "meant"),
    [
        (lambda: chosen(("jax.nn.sofplus",)), "jax.nn.softplus"),
        (lambda: dk.verify(loss, PARAMS, np.ones(2), wrt="params.wieght"), "params.weight"),
        (lambda: dk.blame(loss, PARAMS, np.ones(2), wrt="params.wieght"), "params.weight"),
        (lambda: dk.verify(lambda scale: scale, 1.0, wrt="scal"), "scale"),
        (lambda: dk.verify(lambda scale: scale, 1.0, domain={"sclae": "(0, 1)"}), "scale"),
        (lambda: dk.check("theta**2", "2*theta", wrt="thta"), "theta"),
    ],
)
def test_errors_about_names_say_what_was_probably_meant(ask, meant):
    with pytest.raises(DiffkitError, match=f"did you mean {meant}"):
        ask()
