"""Array formulas as people print them: matrix algebra, indices, differentials."""
