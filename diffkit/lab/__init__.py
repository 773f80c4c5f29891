"""The experiment runtime: configuration, run ledger, provenance, figure style."""
