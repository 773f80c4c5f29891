"""Do optimisers do what their formulas say: on quadratics, on counterexamples, on a network?"""
