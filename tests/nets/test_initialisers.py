import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.nets.initialisers import INITIALISERS, initialiser, mean_field, normal, orthogonal

ROWS = [
    *INITIALISERS.values(),
    normal(0.03),
    mean_field(1.7, 0.4),
    orthogonal(1.3),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "_"))
@pytest.mark.parametrize("shape", [(200, 200), (300, 100), (100, 300)])
def test_sigma_w_is_the_scale_of_the_drawn_weights(row, shape: tuple[int, int], key):
    weights = np.asarray(row.make()(key, shape))
    drawn = np.sqrt(shape[0] * np.mean(weights**2))
    # Relative error of a root mean square of m entries: about 1/sqrt(2 m), here below 0.5 %.
    assert drawn == pytest.approx(row.sigma_w(*shape), rel=0.03)


def test_another_sigma_w_would_be_noticed(key):
    weights = np.asarray(initialiser("he").make()(key, (200, 200)))
    assert np.sqrt(200 * np.mean(weights**2)) != pytest.approx(1.0, rel=0.03)


def test_truncated_and_uniform_rows_are_bounded_and_the_normal_ones_are_not(key):
    def largest(name: str) -> float:
        weights = initialiser(name).make()(key, (200, 200))
        return float(jnp.abs(weights).max()) * np.sqrt(200) / initialiser(name).sigma_w(200, 200)

    assert largest("glorot") <= np.sqrt(3)  # U[-a, a] has standard deviation a/sqrt(3)
    assert largest("standard") <= np.sqrt(3)
    assert 2.2 < largest("he_truncated") <= 2 / 0.8796256610342398  # N(0, 1) cut at 2
    assert largest("he") > 3.5


def test_the_orthogonal_initialiser_keeps_lengths(key):
    weights = initialiser("orthogonal").make()(key, (40, 40))
    vector = jax.random.normal(key, (40,))
    assert np.linalg.norm(weights @ vector) == pytest.approx(np.linalg.norm(vector), rel=1e-5)
    values = np.linalg.svd(np.asarray(orthogonal(1.3).make()(key, (30, 50))), compute_uv=False)
    np.testing.assert_allclose(values, 1.3, rtol=1e-5)


def test_biases_have_the_standard_deviation_of_the_row(key):
    drawn = mean_field(1.0, 0.4).make_bias()(key, (20000,))
    assert np.std(drawn) == pytest.approx(0.4, rel=0.03)
    assert not initialiser("he").make_bias()(key, (5,)).any()


def test_an_unknown_initialiser_lists_the_known():
    with pytest.raises(UnknownNameError, match="glorot, glorot_normal"):
        initialiser("xavier")
    with pytest.raises(UnknownNameError, match="did you mean orthogonal"):
        initialiser("ortogonal")


@pytest.mark.parametrize(
    "make", [lambda: normal(0), lambda: mean_field(-1), lambda: mean_field(1, -0.1),
             lambda: orthogonal(float("nan"))]
)  # fmt: skip
def test_a_scale_that_is_no_scale_is_refused(make):
    with pytest.raises(UsageError, match="give a number"):
        make()


def test_a_row_stands_for_itself():
    assert initialiser(row := normal(0.01)) is row
