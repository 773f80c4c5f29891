"""Closed-form predictions, symbolic and numeric; never JAX."""

from diffkit.theory.criticality import CriticalInitialisation, critical_initialisation

__all__ = ["CriticalInitialisation", "critical_initialisation"]
