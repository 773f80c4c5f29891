"""The numbers of the paper's section, formatted here and nowhere else."""

from typing import Any

from diffkit.lab.experiment import Record
from diffkit.lab.wording import all_or, signed, with_error, word


def numbers(run: Record) -> dict[str, Any]:
    """The numbers of every part that ran."""
    makers = {
        "exact": _exact,
        "ridge": _ridge,
        "random_features": _random_features,
        "bias_variance": _bias_variance,
        "trained": _trained,
    }
    return {name: make(run) for name, make in makers.items() if name in run.results}


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


def _ridge(run: Record) -> dict[str, Any]:
    found, config = run.results["ridge"], run.config["ridge"]
    rows, fit = found["rows"], found["fit"]
    control = max(rows, key=lambda row: abs(row["z_of_control"]))
    return {
        "draws": str(config["draws"]),
        "within_three": all_or(sum(abs(row["z"]) < 3 for row in rows), len(rows)),
        "worst": signed(max((row["z"] for row in rows), key=abs), 1),
        "rise": signed(found["largest_rise"], 1),
        "control": {"z": signed(control["z_of_control"], 0), "used": str(control["used"])},
        "sizes": ", ".join(str(row["samples"]) for row in found["scaling"]),
        "measured": with_error(fit["measured"], fit["standard_error"]),
        "expected": f"{fit['expected']:.4f}",
        "z": signed(fit["z"], 1),
        "z_of_control": signed(fit["z_of_control"], 1),
    }


def _bias_variance(run: Record) -> dict[str, Any]:
    found, config = run.results["bias_variance"], run.config["bias_variance"]
    rows = [*found["smoothers"], *found["gaussian"]]
    scores = [v["z"] for row in rows for v in row.values() if isinstance(v, dict)]
    penalised = [row for row in found["smoothers"] if "penalty" in row]
    most = lambda chosen: signed(max((row["z_of_control"] for row in chosen), key=abs), 0)
    return {
        "pairs": str(config["pairs"]),
        "points": str(config["points"]),
        "within": all_or(sum(abs(z) < found["allowed"] for z in scores), len(scores)),
        "allowed": f"{found['allowed']:.1f}",
        "worst": signed(max(scores, key=abs), 1),
        "control": {"trace": most(penalised), "noise": most(found["gaussian"])},
    }


def _trained(run: Record) -> dict[str, Any]:
    found, config = run.results["trained"], run.config["trained"]
    most = max(config["label_noise"])
    rows = [row for row in found["rows"] if row["label_noise"] == most]
    peak = next(row for row in rows if row["width"] == found["peak"]["width"])
    return {
        **{name: str(config[name]) for name in ("samples", "runs", "steps", "dense_width")},
        "fitted": str(10 * config["samples"]),
        "noise": f"{100 * most:g}",
        "peak": {
            "width": str(peak["width"]),
            "ratio": f"{found['peak']['ratio']:.2f}",
            "error": with_error(peak["test"], peak["test_error"]),
        },
        "last": {
            "width": str(rows[-1]["width"]),
            "error": with_error(rows[-1]["test"], rows[-1]["test_error"]),
        },
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
