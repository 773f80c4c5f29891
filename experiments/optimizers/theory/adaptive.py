"""Adam's steps, Reddi's counterexample, and how far Adagrad gets."""

from diffkit.theory import adaptive
from diffkit.theory.law import Law


def lone_step(decays: tuple[float, float], silence: int) -> float:
    """Adam's step, per learning rate, at a gradient after `silence` gradients of zero."""
    return adaptive.lone_step().at(a=1.0, b1=decays[0], b2=decays[1], t=silence + 1)


def largest_step(decays: tuple[float, float], steps: int) -> float:
    """The largest step, per learning rate, that Adam can make at step `steps`."""
    return adaptive.largest_step().at(a=1.0, b1=decays[0], b2=decays[1], t=steps)


def printed_bound(decays: tuple[float, float]) -> float:
    """The largest step as Kingma and Ba print it, per learning rate."""
    return adaptive.printed_bound().at(a=1.0, b1=decays[0], b2=decays[1])


def drifts(slope: float) -> dict[str, float]:
    """Move over a period of three losses, per step size: Adam, AMSGrad as printed, as in Optax."""
    at = {"C": slope, "b2": 1 / (1 + slope**2)}
    return {
        "Adam": adaptive.adam_drift().at(**at),
        "AMSGrad": adaptive.amsgrad_drift().at(**at),
        "AMSGrad (corrected)": adaptive.corrected_drift().at(C=slope),
    }


def wrong_drift(slope: float) -> float:
    """Move if v followed each gradient at once, so that each step had size 1: the control."""
    return 1.0 if slope > 1 else -1.0


def adagrad_range(steps: int) -> tuple[float, float]:
    """Between which distances Adagrad is after `steps` equal gradients, per learning rate."""
    least, greatest = (law.at(a=1.0, T=float(steps)) for law in adaptive.adagrad_distance())
    return least, greatest


def laws() -> tuple[Law, ...]:
    """Every law of these parts, for the record."""
    return (
        adaptive.bias(),
        adaptive.lone_step(),
        adaptive.printed_bound(),
        adaptive.largest_step(),
        adaptive.adam_drift(),
        adaptive.amsgrad_drift(),
        adaptive.corrected_drift(),
        *adaptive.adagrad_distance(),
        adaptive.adadelta_scale(),
    )
