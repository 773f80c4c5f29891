"""The pytest plugin, hypothesis strategies and drop-ins for the peers' gradient checks."""

from diffkit.testing.check_grads import check_grads, gradcheck
from diffkit.testing.smooth import SmoothFunction
from diffkit.testing.strategies import (
    arrays_away_from,
    points_away_from_kinks,
    smooth_functions,
)

__all__ = [
    "SmoothFunction",
    "arrays_away_from",
    "check_grads",
    "gradcheck",
    "points_away_from_kinks",
    "smooth_functions",
]
