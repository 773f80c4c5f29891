"""Known claims as data: the lecture ledger, activations, losses."""
