"""Numbers only: ball arithmetic, running rounding error, finite differences, ulps, statistics."""
