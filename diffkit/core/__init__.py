"""The words every layer shares: Claim, Domain, Verdict, Evidence, Finding, errors. Standard library only."""
