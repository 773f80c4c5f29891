"""Scalar calculus on SymPy: vocabulary, safe parsing, differentiation that logs its steps, stable forms, proofs."""
