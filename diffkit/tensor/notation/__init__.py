"""Array formulas as people write them: NumPy expressions and LaTeX, read without running them."""
