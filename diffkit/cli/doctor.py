"""`diffkit doctor`: versions, devices, precision and what will be slow, as a table or JSON."""

import argparse
import os
import platform
import shutil
import sys
from importlib import metadata

from diffkit.cli import output

PACKAGES = (
    "diffkit",
    "jax",
    "jaxlib",
    "sympy",
    "mpmath",
    "python-flint",
    "numpy",
    "rich",
    "flax",
    "optax",
    "gymnasium",
    "matplotlib",
    "typst",
    "tyro",
    "orbax-checkpoint",
    "scikit-learn",
)
BASE = frozenset(PACKAGES[:8])


def run(options: argparse.Namespace) -> int:
    """Print the state of the installation; 1 when the base cannot work."""
    report = examine()
    output.emit(options, {"schema": "diffkit.doctor/1", **report}, {"text": lambda: _text(report)})
    return 1 if report["broken"] else 0


def examine() -> dict:
    """What is installed and found, and the advice that follows from it."""
    versions = {name: _version(name) for name in PACKAGES}
    missing = sorted(name for name in BASE if versions[name] is None)
    report: dict = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": versions,
        "broken": missing,
        "advice": [],
    }
    if missing:
        report["advice"].append(f"install the base: pip install {' '.join(missing)}")
    if not missing:
        report |= _devices()
        report["advice"] += _advice(report)
    return report


def _devices() -> dict:
    import jax

    devices = jax.devices()
    return {
        "devices": [f"{device.platform}:{device.id} {device.device_kind}" for device in devices],
        "x64": bool(jax.config.jax_enable_x64),
        "matmul_precision": str(jax.config.jax_default_matmul_precision or "default"),
        "compilation_cache": jax.config.jax_compilation_cache_dir or "off",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _advice(report: dict) -> list[str]:
    advice = []
    absent = [name for name, version in report["packages"].items() if version is None]
    if absent:
        advice.append(f"experiments and paper need: pip install {' '.join(absent)}")
    if all(device.startswith("cpu") for device in report["devices"]) and shutil.which("nvidia-smi"):
        advice.append('a GPU driver is present but JAX runs on the CPU: pip install "jax[cuda13]"')
    if report["compilation_cache"] == "off":
        advice.append(
            "set JAX_COMPILATION_CACHE_DIR to keep compiled programs between runs of your scripts"
        )
    return advice


def _text(report: dict) -> str:
    lines = [f"{'python':<18}{report['python']} on {report['platform']}, {report['cores']} cores"]
    lines.append(f"{'devices':<18}{', '.join(report.get('devices', ['JAX cannot be imported']))}")
    lines += [
        f"{key:<18}{report[key]}"
        for key in ("x64", "matmul_precision", "compilation_cache", "xla_flags")
        if key in report
    ]
    lines += [f"{name:<18}{version or 'missing'}" for name, version in report["packages"].items()]
    lines += [f"{'advice':<18}{text}" for text in report["advice"]]
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(run(argparse.Namespace(format="text", json=None)))
