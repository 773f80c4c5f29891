"""The numbers of the paper's section, formatted here and nowhere else."""

from typing import Any

from diffkit.lab.experiment import Record
from diffkit.lab.wording import all_or, signed


def numbers(run: Record) -> dict[str, Any]:
    """The table of test errors and the numbers of the text."""
    rows, curves, config = run.results["rows"], run.results["curves"], run.config
    samples = config["samples"]
    exact = {p: v for p, v in zip(curves["used"], curves["exact"], strict=True) if v is not None}
    first = min((p for p in exact if p < samples), key=exact.__getitem__)
    second = min((p for p in exact if p > samples), key=exact.__getitem__)
    worst = max(rows, key=lambda row: abs(row["z"]))
    control = max(rows, key=lambda row: abs(row["z_of_control"]))
    return {
        **{name: str(config[name]) for name in ("samples", "features", "draws")},
        **{name: f"{config[name]:g}" for name in ("decay", "noise")},
        "widths": str(len(rows)),
        "within_three": all_or(sum(abs(row["z"]) < 3 for row in rows), len(rows)),
        "control_outside": str(sum(abs(row["z_of_control"]) >= 3 for row in rows)),
        "worst": {"z": signed(worst["z"], 1), "used": str(worst["used"])},
        "control": {"z": signed(control["z_of_control"], 1), "used": str(control["used"])},
        "first": {"used": str(first), "error": f"{exact[first]:.3f}"},
        "second": {"used": str(second), "error": f"{exact[second]:.3f}"},
        "highest": f"{max(row['measured'] for row in rows):.2f}",
    }
