"""Stochastic gradient estimators as formula-sized functions."""
