"""What is predicted, in closed form; no JAX here."""
