"""The numbers of the paper's section, formatted here and nowhere else."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from diffkit.lab.experiment import Record
from diffkit.lab.wording import all_or, signed, word
from diffkit.problems import quadratic
from diffkit.symbolic.layout import show
from diffkit.symbolic.parse import parse

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: Names of the rules that Typst has other words for.
_SPELT = {'"eps"': "epsilon", '"lam"': "lambda", '"before"': '"before"', '"next"': "mu'"}


def numbers(run: Record) -> dict[str, Any]:
    """The tables and the numbers of the text, part by part."""
    makers = {
        "rules": _rules,
        "rates": _rates,
        "noise_floor": _noise,
        "quadratic_deep": _deep,
        "counterexample": _counterexample,
        "learning_rate": _learning_rate,
        "training": _training,
    }
    found = {
        name: maker(run.results[name], run.config)
        for name, maker in makers.items()
        if name in run.results
    }
    return {**found, "status": run.status}


def line(text: str) -> str:
    """A line of a rule as Typst mathematics: "m = b1*m + ..." with an arrow."""
    name, _, formula = text.partition("=")
    shown = f"{show(parse(name.strip()), 'typst')} <- {show(parse(formula), 'typst')}"
    for written, spelt in _SPELT.items():
        shown = shown.replace(written, spelt)
    return shown


def _rules(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    programs, printed = found["programs"], found["printed"]
    equal = [row for row in programs if row["status"] == "proved"]
    wrong = [row for row in printed if row["mend"]]
    return {
        "programs": [
            {
                "name": row["name"],
                "program": row["program"],
                "source": row["source"],
                "lines": [line(text) for text in row["lines"]],
                "at": "" if row["at"] == "w" else show(parse(row["at"]), "typst"),
                "status": row["status"],
                "deviations": [[each["kind"], each["says"]] for each in row["deviations"]],
                "deviating": row["deviating"],
                "call": _call(row["call"]),
            }
            for row in programs
        ],
        "printed": [
            {
                "id": row["id"],
                "says": row["says"],
                "named": row["named"],
                "lines": [line(text) for text in row["lines"]],
                "at": "" if row["at"] == "w" else show(parse(row["at"]), "typst"),
                "status": row["status"],
                "counterexample": _point(row["counterexample"]),
                "mend": row["mend"],
                "repaired": row["repaired"],
                "differs": row["paper"] == "refuted",
                "is_really": row["is_really"],
            }
            for row in printed
        ],
        "programs_table": {
            "heads": ["optimiser", "source", "verdict", "deviations", "with them"],
            "rows": [
                [
                    row["name"],
                    row["source"],
                    row["status"],
                    "; ".join(f"{each['kind']}: {each['says']}" for each in row["deviations"]),
                    row["deviating"],
                ]
                for row in programs
            ],
        },
        "printed_table": {
            "heads": ["row", "printed", "verdict", "mend", "mended"],
            "rows": [
                [row["id"], row["says"], row["status"], row["mend"], row["repaired"]]
                for row in printed
            ],
        },
        "total": str(len(programs)),
        "total_word": word(len(programs)),
        "equal": word(len(equal)),
        "equal_names": _listed([row["name"] for row in equal]),
        "deviating": word(len(programs) - len(equal)),
        "fewer": str(sum(row["fewer"] for row in programs)),
        "cured": word(sum(row["cured"] == "proved" for row in programs)),
        "wrong": word(len(wrong)),
        "printed_total": word(len(printed)),
        "repaired": word(sum(row["repaired"] == "proved" for row in wrong)),
        "mutants": str(found["mutants"]),
    }


def _call(text: str) -> str:
    """The arguments of a call, without the function's name."""
    return text.partition("(")[2].removesuffix(")")


def _point(text: str) -> str:
    """A counterexample without its "at", its values of the parameter last."""
    return re.sub(r"^at ", "", text)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _rates(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    rows, points = found["rows"], found["map"]
    return {
        "ratio": f"{config['rates']['ratio']:g}",
        "steps": str(config["rates"]["steps"]),
        "table": {
            "heads": ["method", "rate", "measured", "apart", "control"],
            "rows": [
                [
                    row["method"],
                    f"{row['rate']:.6f}",
                    f"{row['measured']:.6f}",
                    _power(abs(row["measured"] - row["rate"])),
                    f"{row['control']:.6f}",
                ]
                for row in rows
            ],
        },
        "worst": _power(found["worst"]),
        "nearest": f"{found['nearest_control']:.3f}",
        "points": str(len(points["radii"])),
        "as_predicted": all_or(points["is_stable_as_predicted"], len(points["radii"])),
        "gap": _power(points["gap"]),
    }


def _power(value: float) -> str:
    """A small number in two digits: "3.1·10⁻⁶"."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_RAISED)}"


def _noise(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    falling = found["falling"]
    return {
        "chains": str(config["noise_floor"]["chains"]),
        "steps": str(config["noise_floor"]["steps"]),
        "settings": word(len(found["rows"])),
        "off": f"{100 * found['largest_off']:.2f}",
        "z": f"{found['largest_z']:.1f}",
        "control": f"{found['least_z_of_control']:.0f}",
        "constant": f"{falling['means']['constant']:.4f}",
        "falling": f"{falling['means']['falling']:.5f}",
    }


def _deep(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    last = [row["z_of_control"][-1] for row in found["rows"]]
    return {
        "dimension": str(quadratic.DIMENSION),
        "steep": word(quadratic.DIMENSION - quadratic.FLAT),
        "samples": str(quadratic.SAMPLES),
        "batch": str(quadratic.BATCH),
        "shufflings": str(config["quadratic_deep"]["shufflings"]),
        "epochs": str(config["quadratic_deep"]["epochs"]),
        "count": str(found["epochs"]),
        "z": f"{found['largest_z']:.1f}",
        "control": f"{found['z_of_control']:.0f}",
        "last": _listed([signed(z, 0) for z in last]),
    }


def _counterexample(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    steps, rows = found["steps"], {row["optimiser"]: row for row in found["rows"]}
    first, second = config["counterexample"]["decays"]
    exceeded = next(
        t for t, step in zip(steps["t"], steps["growing"], strict=True) if step > steps["printed"]
    )
    return {
        "b1": f"{first:g}",
        "b2": f"{second:g}",
        "silence": str(config["counterexample"]["silence"]),
        "lone": f"{steps['lone']['measured']:.8f}",
        "printed": f"{steps['printed']:.8f}",
        "largest": f"{steps['after']['measured']:.4f}",
        "ratio": f"{steps['after']['measured'] / steps['printed']:.2f}",
        "exceeded": str(exceeded),
        "sequences": str(config["counterexample"]["sequences"]),
        "gap": _power(found["gap"]),
        "periods": str(config["counterexample"]["periods"]),
        "slope": f"{found['slopes'][0]:g}",
        "slopes": word(len(found["slopes"])),
        "adam": signed(rows["Adam"]["end"], 4),
        "amsgrad": signed(rows["AMSGrad"]["end"], 4),
        "drift": signed(rows["Adam"]["drifts"][0], 4),
        "drift_printed": signed(rows["AMSGrad"]["drifts"][0], 4),
        "drift_corrected": signed(rows["AMSGrad (corrected)"]["drifts"][0], 4),
    }


def _learning_rate(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    parabola, nudge, wells, stall = (
        found[name] for name in ("parabola", "nudge", "wells", "stall")
    )
    agreeing = sum(map(str.__eq__, parabola["seen"], parabola["predicted"]))
    wrong = sum(map(str.__ne__, parabola["seen"], parabola["control"]))
    rows = found["network"]["rows"]
    return {
        "rates": all_or(agreeing, len(parabola["seen"])),
        "wrong": word(wrong),
        "curvature": f"{nudge['curvature']:.2f}",
        "nudge_gap": _power(nudge["gap"]),
        "samples": str(config["learning_rate"]["samples"]),
        "epochs": word(config["learning_rate"]["epochs"]),
        "best": _listed([f"{row['best_rate']:g}" for row in rows]),
        "batches": _listed([str(row["batch"]) for row in rows]),
        "z": f"{min(min(row['z_below'], row['z_above']) for row in rows):.0f}",
        "basin": f"{100 * wells['basin']:.1f}",
        "limit": f"{wells['limit']:.3f}",
        "stall": str(stall["t"][-1]),
        "adagrad": f"{stall['last_steps']['Adagrad']:.3f}",
        "scaled": _power(stall["scaled"]["Adadelta"]),
    }


def _training(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "table": {
            "heads": ["optimiser", "best rate", "loss", "rates within a factor of 2"],
            "rows": [
                [row["optimiser"], f"{row['rate']:g}", f"{row['loss']:.4f}", str(row["near"])]
                for row in found["rows"]
            ],
        },
        "rates": str(len(found["rates"])),
        "steps": str(config["training"]["steps"]),
    }
