"""The numbers of the paper's section, formatted here and nowhere else."""

from collections.abc import Mapping, Sequence
from typing import Any

from diffkit.lab.experiment import Record
from diffkit.lab.wording import all_or, signed, with_error


def numbers(run: Record) -> dict[str, Any]:
    """Tables and numbers of every part that the record holds."""
    makers = {
        "factor": _factor,
        "phase": _phase,
        "finite_width": _finite_width,
        "training": _training,
        "minima": _minima,
    }
    return {
        name: make(run.results[name], run.config[name])
        for name, make in makers.items()
        if name in run.results
    }


def _factor(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    rows = found["rows"]
    tested = [row for row in rows if row["kind"] != "He"]
    worst = max(tested, key=lambda row: abs(row["miss"]))
    return {
        "depth": str(config["depth"]),
        "widths": ", ".join(str(width) for width in config["widths"]),
        "tolerance": f"{100 * config['tolerance']:g}",
        "sigma_w": f"{config['sigma_w']:g}",
        "sigma_b": f"{config['sigma_b']:g}",
        "agreeing": all_or(sum(row["agrees"] for row in tested), len(tested)),
        "worst": {"activation": worst["activation"], "miss": signed(100 * worst["miss"], 2)},
        "largest_z": f"{max(abs(row['z']) for row in tested):.1f}",
        "table": {
            "heads": ["activation", "σ_w", "σ_b", "q*", "predicted", "measured", "z", "control"],
            "rows": [
                [
                    row["activation"],
                    f"{row['sigma_w']:.4f}",
                    f"{row['sigma_b']:.4f}",
                    f"{row['variance']:.4f}",
                    f"{row['predicted']:.4f}",
                    with_error(row["measured"], row["standard_error"]),
                    signed(row["z"], 1),
                    f"{row['control']:.4f}",
                ]
                for row in tested
            ],
        },
        "he_factors": ", ".join(f"{row['measured']:.3f}" for row in rows if row["kind"] == "He"),
    }


def _phase(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    rows = found["rows"]
    worst = max(rows, key=lambda row: abs(row["miss"]))
    return {
        "widths": " and ".join(str(width) for width in config["widths"]),
        "depth": str(config["depth"]),
        "cuts": str(len(rows)),
        "tolerance": f"{100 * config['tolerance']:g}",
        "agreeing": all_or(sum(abs(row["miss"]) <= config["tolerance"] for row in rows), len(rows)),
        "worst": signed(100 * worst["miss"], 1),
        "control": f"{100 * min(abs(row['miss_of_control']) for row in rows):.0f}",
    }


def _finite_width(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    rows = found["rows"]
    scores = [abs(z) for row in rows for z in row["z"].values()]
    return {
        "depth": str(found["depth"]),
        "widths": ", ".join(str(row["width"]) for row in rows),
        "within": all_or(sum(score < 3 for score in scores), len(scores)),
        "largest_z": f"{max(scores):.1f}",
        "control": f"{max(abs(row['z_of_control']) for row in rows):.0f}",
        "table": {
            "heads": ["n", "networks", "mean log", "exact", "variance", "exact", "second", "exact"],
            "rows": [
                [
                    str(row["width"]),
                    str(row["networks"]),
                    with_error(row["mean"], row["mean_error"]).replace("-", "\N{MINUS SIGN}"),
                    signed(row["predicted_mean"], 4),
                    f"{row['variance']:.3f}",
                    f"{row['predicted_variance']:.3f}",
                    f"{row['second_moment']:.3f}",
                    f"{row['predicted_second_moment']:.3f}",
                ]
                for row in rows
            ],
        },
    }


def _training(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    rows = {(row["activation"], row["initialiser"]): row for row in found["rows"]}
    learned = {f"{phi}_{name}": str(row["successes"]) for (phi, name), row in rows.items()}
    return {
        "depth": str(config["depth"]),
        "width": str(config["width"]),
        "steps": str(config["steps"]),
        "seeds": str(config["seeds"]),
        "success": f"{100 * config['success']:.0f}",
        "learned": learned,
        "p_value": f"{found['p_value']:.1g}",
        "p_of_control": f"{found['p_of_control']:.1g}",
        "shrinks": f"10^({rows['relu', 'glorot']['log10_gradient']:.1f})",
        "starts": _starts(found["starts"], config["starts"]),
    }


def _starts(rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
    """Spreads of the narrowest and the widest network, well trained and at the largest rate."""
    of = {(row["initialiser"], row["rate"], row["width"]): row["spread"] for row in rows}
    good, rates, widths = config["initialisers"][0], config["rates"], config["widths"]
    spreads = {
        f"{name}_{size}": f"{100 * of[good, rate, width]:.1f}"
        for name, rate in (("good", rates[0]), ("bad", rates[-1]))
        for size, width in (("narrow", widths[0]), ("wide", widths[-1]))
    }
    return {
        "networks": str(config["networks"]),
        "narrow": str(widths[0]),
        "wide": str(widths[-1]),
        "rate": f"{rates[-1]:g}",
        **spreads,
    }


def _minima(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    rows = {row["width"]: row for row in found["rows"]}
    total = config["starts"] * len(rows)
    wells = found["wells"]
    return {
        "starts": str(config["starts"]),
        "levels": ", ".join(f"{level:.3g}" for level in found["levels"]),
        "at_levels": all_or(total - sum(row["off"] for row in rows.values()), total),
        "bad": {
            str(width): f"{100 * row['bad'] / config['starts']:.1f}" for width, row in rows.items()
        },
        "basin": f"{100 * found['trapped_share']:.1f}",
        "small": f"{100 * wells[0]['share']:.1f}",
        "large": f"{100 * wells[-1]['share']:.1f}",
        "rate": f"{wells[-1]['rate']:g}",
        "z": signed(found["z"], 1),
    }
