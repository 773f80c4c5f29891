"""Flax (NNX) models, initialisers and instruments that measure gradients."""
