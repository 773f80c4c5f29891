"""The words every layer shares: Claim, Domain, Verdict, Evidence, errors. Standard library only."""
