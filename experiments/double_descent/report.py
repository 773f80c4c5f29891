"""The numbers of the paper's section, formatted here and nowhere else."""

from typing import Any

from diffkit.lab.experiment import Record
from diffkit.lab.wording import all_or, signed, word


def numbers(run: Record) -> dict[str, Any]:
    """The numbers of every part that ran, and the claims they decide."""
    of_parts = {"exact": _exact, "random_features": _random_features}
    ran = {name: of(run) for name, of in of_parts.items() if name in run.results}
    claims = [[row["id"], row["verdict"], row["evidence"]] for row in run.results["claims"]]
    return {**ran, "claims": claims}


def _exact(run: Record) -> dict[str, Any]:
    """The table of test errors and the numbers of the text."""
    found, config = run.results["exact"], run.config
    rows, curves = found["rows"], found["curves"]
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


def _random_features(run: Record) -> dict[str, Any]:
    found, config = run.results["random_features"], run.config["random_features"]
    judged = [row for row in found["cosine"] if "predicted" in row]
    clean = [row for row in found["cosine"] if row["label_noise"] == 0]
    few = [row for row in clean if row["features"] < config["samples"]]
    worst = max(judged, key=lambda row: abs(row["miss"]))
    beyond = [row for row in found["gaussian"] if row["features"] > config["samples"]]
    best, last = min(few, key=lambda row: row["measured"]), clean[-1]
    kernels = found["kernels"]
    return {
        **{name: str(config[name]) for name in ("samples", "pool")},
        "test": str(found["data"]["samples"] - config["pool"]),
        "repetitions": str(2 * config["pairs"]),
        "scale": f"{found['scale']:.2f}",
        "peak": {"features": str(found["peak"]["at"]), "error": f"{found['peak']['median']:.0f}"},
        "agree": all_or(sum(row["agrees"] for row in judged), len(judged)),
        "worst": {"miss": signed(100 * worst["miss"], 1), "features": str(worst["features"])},
        "gaussian": {
            "widths": word(len(beyond)),
            "z": signed(max((row["z"] for row in beyond), key=abs), 1),
            "control": signed(max((row["z_of_control"] for row in beyond), key=abs), 0),
        },
        "kernel": {
            "z": signed(max((row["z"] for row in kernels), key=abs), 1),
            "control": signed(max((row["z_of_control"] for row in kernels), key=abs), 1),
            "limit": f"{found['curves'][0]['kernel_limit']:.3f}",
        },
        "best": {"features": str(best["features"]), **_errors(best)},
        "last": {"features": str(last["features"]), **_errors(last)},
    }


def _errors(row: Any) -> dict[str, str]:
    return {"squared": f"{row['measured']:.3f}", "wrong": f"{100 * row['wrong']:.1f}"}
