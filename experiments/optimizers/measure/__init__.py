"""What Optax does, on problems small enough to know: no SymPy here."""
