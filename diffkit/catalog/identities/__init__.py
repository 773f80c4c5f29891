"""Identities of matrix calculus, and the judge put before each of them."""

from diffkit.catalog.identities.judge import (
    CLASSES,
    IDENTITIES,
    IdentityJudgement,
    judge_identity,
)

__all__ = ["CLASSES", "IDENTITIES", "IdentityJudgement", "judge_identity"]
