import jax
import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError
from diffkit.nets.initialisers import INITIALISERS, initialiser


@pytest.mark.parametrize("name", sorted(INITIALISERS))
@pytest.mark.parametrize("shape", [(200, 200), (300, 100)])
def test_sigma_w_is_the_scale_of_the_drawn_weights(name: str, shape: tuple[int, int], key):
    if name == "orthogonal" and shape[0] != shape[1]:
        shape = (shape[1], shape[1])
    weights = np.asarray(initialiser(name).make()(key, shape))
    drawn = np.sqrt(shape[0] * np.mean(weights**2))
    # Relative error of a root mean square of m entries: about 1/sqrt(2 m), here below 0.5 %.
    assert drawn == pytest.approx(initialiser(name).sigma_w(*shape), rel=0.03)


def test_another_sigma_w_would_be_noticed(key):
    weights = np.asarray(initialiser("he").make()(key, (200, 200)))
    assert np.sqrt(200 * np.mean(weights**2)) != pytest.approx(1.0, rel=0.03)


def test_the_orthogonal_initialiser_keeps_lengths(key):
    weights = initialiser("orthogonal").make()(key, (40, 40))
    vector = jax.random.normal(key, (40,))
    assert np.linalg.norm(weights @ vector) == pytest.approx(np.linalg.norm(vector), rel=1e-5)


def test_an_unknown_initialiser_lists_the_known():
    with pytest.raises(UnknownNameError, match="glorot, he"):
        initialiser("xavier")
