"""Draws the pictures of the documentation: `python docs/figures.py` writes them to docs/img.

The reference values are mpmath's at 60 digits; it shares no code with what is drawn.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

import diffkit as dk
from diffkit.lab.figures import PALETTE, figure, save
from diffkit.symbolic.parse import parse

IMAGES = Path(__file__).parent / "img"
EXACT = 2.0**-26  # a zero error is drawn at a quarter ulp


def phi(x: jax.Array) -> jax.Array:
    """(exp(x) - 1)/x with the usual double where."""
    s = jnp.where(x == 0, 1.0, x)
    return jnp.where(x == 0, 1.0, jnp.expm1(s) / s)


def relative_errors(slope: Callable[[jax.Array], jax.Array], points: np.ndarray) -> np.ndarray:
    r"""Relative error of a float32 derivative of phi.

    $$\phi'(x) = \frac{e^x (x - 1) + 1}{x^2}$$

    Args:
        slope: The derivative as a function of one float32 number.
        points: Where, float32, none zero.
    """
    found = np.asarray(jax.jit(jax.vmap(slope))(jnp.asarray(points)))
    errors = []
    with mpmath.workdps(60):
        for point, value in zip(points, found, strict=True):
            x = mpmath.mpf(float(point))
            true = (mpmath.exp(x) * (x - 1) + 1) / x**2
            errors.append(float(abs(mpmath.mpf(float(value)) - true) / true))
    return np.array(errors)


def double_where(path: Path) -> Path:
    """The gradient that is wrong without being NaN, and that of the function lowered by diffkit."""
    points = np.geomspace(1e-12, 1.0, 241).astype(np.float32)
    kernel = dk.lower(parse("expm1_over(x)"))
    with figure(height=2.6) as (drawing, axes):
        for function, colour, label in (
            (phi, "vermillion", "jax.grad of the double where"),
            (kernel, "blue", "jax.grad of dk.lower(expm1_over)"),
        ):
            errors = np.maximum(relative_errors(jax.grad(function), points), EXACT)
            axes.loglog(points, errors, ".", color=PALETTE[colour], markersize=2.5, label=label)
        axes.axhline(2.0**-23, color="0.6", linewidth=0.8, marker="")
        axes.annotate("1 ulp of float32", (1e-12, 2.0**-23), (0, 3), textcoords="offset points")
        axes.set_xlabel("$x$")
        axes.set_ylabel(r"relative error of $\phi'(x)$")
        axes.legend(loc="upper right")
        return save(drawing, path, "float32 derivative of (exp(x) - 1)/x, reference mpmath")


if __name__ == "__main__":
    double_where(IMAGES / "double_where.svg")
