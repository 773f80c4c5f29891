"""Scalar calculus on SymPy: vocabulary, safe parsing, logged differentiation, proofs."""
