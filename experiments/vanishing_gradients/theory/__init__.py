"""Predictions, one file for each part.  No JAX here, and nothing is fitted."""
