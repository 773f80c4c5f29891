"""Array-level calculus on immutable, hash-consed nodes whose scalar kernels are SymPy. No JAX."""
