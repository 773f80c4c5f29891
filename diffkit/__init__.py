"""diffkit: a derivative is a claim that gets derived, proved or refuted, and put to work.

The facade: each public name and the module it lives in, imported at first use (PEP 562), so that
a text-only program never pays for JAX.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_HOME = {
    "Claim": "diffkit.core.claim",
    "Derivation": "diffkit.bridge.derive",
    "Domain": "diffkit.core.domain",
    "Evidence": "diffkit.core.evidence",
    "Finding": "diffkit.core.finding",
    "Formula": "diffkit.bridge.formula",
    "Verdict": "diffkit.core.verdict",
    "blame": "diffkit.verify.blame",
    "check": "diffkit.verify.check",
    "check_steps": "diffkit.verify.check_steps",
    "claim": "diffkit.verify.collect",
    "derive": "diffkit.bridge.derive",
    "lift": "diffkit.bridge.lift",
    "lower": "diffkit.bridge.lower",
    "verify": "diffkit.verify.verify",
    "verify_estimator": "diffkit.verify.verify_estimator",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'diffkit' has no attribute {name!r}; it has {__all__}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__


class _Facade(ModuleType):
    """Keeps `diffkit.verify` the verb: importing the package of that name would hide it."""

    @property
    def verify(self) -> Any:
        return __getattr__("verify")

    @verify.setter
    def verify(self, package: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Facade
