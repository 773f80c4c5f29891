"""Measurements, one file for each part.  No SymPy and no theory here."""
