"""What the parts predict, in closed form: no JAX here, and nothing is fitted."""
