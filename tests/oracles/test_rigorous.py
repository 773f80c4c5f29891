"""Many points in one pass have the enclosures they have one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.bridge.subject import subject
from diffkit.core.errors import UsageError
from diffkit.numeric import jets
from diffkit.oracles.rigorous import SHARE, Rigorous


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_pass_over_many_points_encloses_what_single_questions_do(dtype, rng):
    what = subject(lambda x, a: jax.nn.softplus(a * x) * jnp.tanh(x), (0.5, 1.25), {}, None)
    rigorous = Rigorous(what, dtype)
    points = rng.normal(size=40)
    for x, found in zip(points, rigorous.enclosures(points), strict=True):
        leaves = (np.asarray(x), what.values[1])
        (probe,) = what.probes(leaves)
        alone = rigorous.enclosure(probe)
        assert found.kind == alone.kind == "smooth"
        assert found.derivative.overlaps(alone.derivative)


def test_a_kink_among_many_points_is_found_and_disturbs_no_other(monkeypatch):
    what = subject(jnp.abs, (1.0,), {}, None)
    points = [*np.linspace(1, 2, SHARE), -1.0, 0.0, 3.0]
    calls = []
    honest = jets.taylor
    monkeypatch.setattr(jets, "taylor", lambda *a: calls.append(1) or honest(*a))
    found = Rigorous(what, "float64").enclosures(points)
    assert [each.kind for each in found[-3:]] == ["smooth", "kink", "smooth"]
    assert {each.derivative.value for each in found[:SHARE]} == {1.0}
    assert len(calls) == 5  # two passes, and the three points of the second one again


def test_an_array_is_refused_in_a_sentence():
    what = subject(jnp.sum, (np.ones(2),), {}, None)
    with pytest.raises(UsageError, match="one number only"):
        Rigorous(what, "float64").enclosures([1.0])
