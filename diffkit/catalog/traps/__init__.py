"""Gradient traps and clean controls, and the judge put before each of them."""

from diffkit.catalog.traps.judge import TRAPS, TrapJudgement, judge_trap, shares

__all__ = ["TRAPS", "TrapJudgement", "judge_trap", "shares"]
