"""JAX only: what differs between JAX generations, and numerically stable kernels."""
