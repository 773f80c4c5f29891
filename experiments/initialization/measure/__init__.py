"""What is measured, by automatic differentiation; no SymPy here."""
