"""Closed-form predictions, symbolic and numeric; never JAX."""
