"""Where JAX and SymPy meet: lift, lower, interpret, dk.Formula and derive."""
