"""What the gradients of random networks say of the lectures' claims C022 and C053."""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any

from diffkit.lab.comparison import Mean, verdict_of
from diffkit.lab.outcome import Decided

Row = Mapping[str, Any]


def decide(rows: Sequence[Row]) -> list[Decided]:
    """Both claims, where sigmoid and ReLU were measured."""
    by_name = {
        name: [row for row in rows if row["activation"] == name] for name in ("sigmoid", "relu")
    }
    found = []
    if by_name["sigmoid"] and by_name["relu"]:
        found.append(_sigmoid_against_relu(by_name["sigmoid"], by_name["relu"]))
    if by_name["relu"]:
        found.append(_constant_derivative(by_name["relu"]))
    return found


def _factor(row: Row) -> Mean:
    """log of the factor of E|g|^2 per layer."""
    return Mean(row["factor_measured"], row["factor_error"])


def _sigmoid_against_relu(sigmoid: Sequence[Row], relu: Sequence[Row]) -> Decided:
    """C022: sigmoid suffers from vanishing gradients, ReLU does not.

    A gradient vanishes where its norm halves every ten layers or faster, by 3 standard errors.
    """
    bound = -2 * log(2.0) / 10
    vanishes = {
        row["activation"] + " " + row["initialiser"]: _factor(row).is_below(bound)
        for row in (*sigmoid, *relu)
    }
    steepest = max(sigmoid, key=lambda row: row["factor_measured"])
    kept = [row["initialiser"] for row in relu if not vanishes[f"relu {row['initialiser']}"]]
    lost = [row["initialiser"] for row in relu if vanishes[f"relu {row['initialiser']}"]]
    holds = [all(vanishes[f"sigmoid {row['initialiser']}"] for row in sigmoid)]
    holds += [not vanishes[f"relu {row['initialiser']}"] for row in relu]
    return Decided(
        "C022",
        verdict_of(holds),
        f"sigmoid loses at least a factor {_norm_factor(steepest):.1f} of the norm a layer with "
        f"every initialiser ({steepest['initialiser']} the least); ReLU keeps it with "
        f"{_listed(kept)} and loses it with {_listed(lost)}",
    )


def _constant_derivative(relu: Sequence[Row]) -> Decided:
    """C053: the derivative of ReLU is constant, so its gradient does not vanish.

    The premise holds if no entry of a gradient is 0, the conclusion if no factor is below 1.
    """
    first = [row["histograms"][0] for row in relu]
    zeros = sum(each["zeros"] for each in first)
    share = zeros / (zeros + sum(sum(each["counts"]) for each in first))
    lost = [row for row in relu if _factor(row).is_below(0.0)]
    worst = min(relu, key=lambda row: row["factor_measured"])
    return Decided(
        "C053",
        verdict_of([share == 0, not lost]),
        f"the derivative is 0 for {100 * share:.0f} % of the first layer's entries; the squared "
        f"norm falls with {_listed([row['initialiser'] for row in lost])}, by a factor "
        f"{_norm_factor(worst) ** 2:.3f} a layer ({worst['initialiser']}, z = "
        f"{_factor(worst).z():.0f})",
    )


def _norm_factor(row: Row) -> float:
    """How many times smaller the norm is one layer farther from the output."""
    return exp(-row["factor_measured"] / 2)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
