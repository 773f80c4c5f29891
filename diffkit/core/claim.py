"""The question put before the witnesses, as text: what a saved verdict can be replayed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from diffkit.core.errors import UsageError

Kind = Literal["gradient", "jacobian", "hessian", "jvp", "value", "function"]
Verb = Literal["check", "verify"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Claim:
    """A derivative (or value) somebody claims, with everything needed to judge it again.

    Args:
        target: Formula text, or "package.module:function".
        claimed: Formula text or reference of the claimed side; "" for verb "verify".
        wrt: Name of the variable, or "" for kind "value".
        kind: What is claimed of the target.
        order: Order of the derivative, >= 1.
        verb: "check" judges `claimed`, "verify" judges what AD returns for the target.
        domain: Name -> domain text.
        conventions: Name -> value, for example {"relu0": 0}.
        points: Points given by the user.
        options: Further keywords of the verb (seed, budget, dtypes).
        is_replayable: Whether target and claim are text or importable references.
    """

    target: str
    claimed: str = ""
    wrt: str = ""
    kind: Kind = "gradient"
    order: int = 1
    verb: Verb = "check"
    domain: Mapping[str, str] = field(default_factory=dict)
    conventions: Mapping[str, float] = field(default_factory=dict)
    points: tuple[Mapping[str, Any], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    is_replayable: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"unknown kind {self.kind!r}; known: {', '.join(KINDS)}")
        if self.order < 1:
            raise UsageError(f"order must be a positive whole number, not {self.order}")
