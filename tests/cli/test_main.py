"""The command as a user meets it: what it prints, where to, and the status it leaves with."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from diffkit.cli.main import main

MODULE = """\
import jax.numpy as jnp
import diffkit as dk
"""
RIGHT = '@dk.claim(df="2*x")\ndef right(x):\n    return x * x\n'
WRONG = '@dk.claim(df="3*x")\ndef wrong(x):\n    return x * x\n'
UNDECIDED = '@dk.claim(df="-x/sqrt(-1 - x**2)")\ndef nowhere(x):\n    return jnp.sqrt(-1 - x**2)\n'
UNUSABLE = '@dk.claim(df="2*q + x")\ndef unusable(x):\n    return x * x\n'
OBJECT = 'CLAIM = dk.Claim("softplus(x)", "sigmoid(x)", "x")\n'


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def shell(*words: str, options: tuple[str, ...] = (), **environment: str):
    return subprocess.run(
        [sys.executable, *options, "-m", "diffkit", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, **environment},
    )


def imported(*words: str) -> set[str]:
    """Top-level packages that a command imports."""
    result = shell(*words, options=("-X", "importtime"))
    assert result.returncode == 0, result.stderr[-2000:]
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("words", [("--help",), ("check", "--help"), ("--version",)])
def test_help_imports_nothing_heavy(words):
    assert imported(*words).isdisjoint({"jax", "sympy", "numpy", "flint", "mpmath"})


def test_a_text_only_command_never_imports_jax():
    found = imported("check", "softplus(x)", "sigmoid(x)")
    assert "jax" not in found
    assert "sympy" in found  # the measurement itself sees imports


def test_a_text_only_derivation_never_imports_jax():
    assert "jax" not in imported("derive", "log(1 + exp(-x))", "--steps")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("check", "softplus(x)", "sigmoid(x)"), 0),
        (("check", "softplus(x)", "2*sigmoid(x)"), 1),
        (("check", "x**2", "2*"), 2),
        (("check", "sqrt(-1 - x**2)", "-x/sqrt(-1 - x**2)"), 3),
        (("derive", "x**2"), 0),
        (("derive", "x**"), 2),
        (("verify", "sin(x)"), 0),
    ],
)
def test_the_exit_status_tells_the_four_outcomes_apart(words, status, capsys):
    assert main(words) == status
    said = capsys.readouterr()
    assert bool(said.out) == (status != 2)
    assert ("diffkit:" in said.err) == (status == 2)


@pytest.mark.parametrize("words", [(), ("frobnicate",), ("check", "x"), ("derive", "x", "--bogus")])
def test_wrong_usage_of_the_command_line_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("check", "-x**2", "-2*x"),
        ("check", "--wrt", "x", "-x**2", "-2*x"),
        ("check", "-(x + 1)", "-1"),
        ("check", "-sin(x)", "-cos(x)", "--wrt", "x"),
        ("check", "--", "-x**2", "-2*x"),
        ("check", "-2", "-2", "--kind", "value"),
    ],
)
def test_a_formula_may_begin_with_a_minus(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("PROVED")


def test_domain_convention_and_point_reach_the_judge(capsys):
    assert main(["check", "sqrt(x**2)", "x", "--kind", "value"]) == 1
    assert main(["check", "sqrt(x**2)", "x", "--kind", "value", "--domain", "x=positive"]) == 0
    assert main(["check", "sqrt(x**2)", "x", "--kind", "value", "--domain", "x=(0, 1/2]"]) == 0
    wanted = ["check", "relu(x)", "where(x >= 0, 1, 0)", "--convention"]
    assert main([*wanted, "relu0=1"]) == 0
    assert main([*wanted, "relu0=0"]) == 1
    capsys.readouterr()
    assert main(["check", "x**2", "x", "--arg", "x=7"]) == 1
    assert "at x = 7" in capsys.readouterr().out


def test_arguments_of_a_function_reach_the_judge(capsys):
    assert main(["verify", "jax.numpy:sqrt", "--arg", "x=4.0"]) == 0
    assert main(["verify", "jax.nn:relu", "--arg", "x=0.0"]) == 0
    assert "kink" in capsys.readouterr().out
    assert main(["check", "jax.numpy:tanh", "1-tanh(x)**2", "--arg", "x=[1, 2]"]) == 0
    assert main(["check", "jax.numpy:tanh", "1-tanh(x)", "--arg", "x=f64[3]"]) == 1


def test_json_goes_to_stdout_with_a_schema_and_the_same_keys_for_every_status(capsys):
    keys = set()
    for claim, status in (("sigmoid(x)", "proved"), ("2*sigmoid(x)", "refuted")):
        main(["check", "softplus(x)", claim, "--json"])
        data = json.loads(capsys.readouterr().out)
        assert data["schema"] == "diffkit.verdict/1"
        assert data["status"] == status
        keys.add(tuple(data))
    assert keys == {
        tuple(
            "schema status ok claim statement scope counterexample contradiction diagnosis repair "
            "findings assumptions evidence reproducer latex".split()
        )
    }


def test_json_goes_to_a_file_beside_the_text_when_one_is_named(sandbox, capsys):
    words = ["check", "x**2", "2*x", "--json=out/v.json"]
    assert main(words) == 2
    assert "there is no folder out; make it first" in capsys.readouterr().err
    assert not (sandbox / "out").exists()
    (sandbox / "out").mkdir()
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("PROVED")
    assert json.loads((sandbox / "out/v.json").read_text())["status"] == "proved"


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (["check", "x**2", "2*x"], "markdown"),
        (["atlas", "jax.numpy.abs"], "latex"),
        (["list"], "html"),
        (["run", "double_descent"], "markdown"),
        (["sweep", "double_descent", "--over", "noise=0.1,0.2"], "latex"),
    ],
)
def test_a_format_that_a_command_lacks_is_refused_before_it_runs(words, form, capsys, monkeypatch):
    monkeypatch.setattr("diffkit.cli.main.import_module", None)
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--format", form])
    assert stopped.value.code == 2
    assert f"invalid choice: '{form}'" in capsys.readouterr().err


def test_the_formats_of_a_derivation_differ(capsys):
    outputs = []
    for form in ("text", "latex", "markdown", "html", "json"):
        assert main(["derive", "x**2*exp(x)", "--format", form]) == 0
        outputs.append(capsys.readouterr().out)
    assert len(set(outputs)) == 5
    json.loads(outputs[-1])


def test_explain_adds_the_evidence_table(capsys):
    main(["check", "x**2", "3*x"])
    short = capsys.readouterr().out
    main(["check", "x**2", "3*x", "--explain"])
    long = capsys.readouterr().out
    assert "evidence" not in short
    assert long.startswith(short.rstrip("\n"))
    assert "germs of balls" in long


def test_output_holds_no_escape_codes_when_colour_is_unwanted_or_piped():
    for environment in ({"NO_COLOR": "1"}, {}):
        result = shell("check", "x**2", "3*x", **environment)
        assert result.returncode == 1
        assert "\x1b" not in result.stdout


def test_a_reader_that_leaves_early_causes_no_traceback():
    command = f'"{sys.executable}" -m diffkit derive "x**9*sin(x)*exp(x)" --steps | true'
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=100)
    assert result.stderr == ""


def test_a_module_of_right_claims_is_proved_claim_by_claim(sandbox, capsys):
    (sandbox / "all_right.py").write_text(MODULE + RIGHT + OBJECT)
    assert main(["verify", "all_right"]) == 0
    said = capsys.readouterr()
    assert said.out.count("PROVED") == 2
    assert "[1/2] all_right:right" in said.err
    assert "[2/2] all_right:CLAIM" in said.err


@pytest.mark.parametrize(
    ("name", "parts", "status", "words"),
    [
        ("mixed_refuted", (RIGHT, WRONG, OBJECT), 1, ("PROVED", "REFUTED")),
        ("mixed_undecided", (RIGHT, UNDECIDED), 3, ("PROVED", "UNDECIDED")),
        ("mixed_three", (UNDECIDED, WRONG, RIGHT), 1, ("PROVED", "REFUTED", "UNDECIDED")),
        ("mixed_usage", (RIGHT, UNUSABLE, WRONG), 2, ("PROVED", "REFUTED")),
    ],
)
def test_a_mixed_module_exits_by_precedence_and_judges_every_claim(
    name, parts, status, words, sandbox, capsys
):
    (sandbox / f"{name}.py").write_text(MODULE + "".join(parts))
    assert main(["verify", name]) == status
    said = capsys.readouterr()
    assert [word in said.out for word in words] == [True] * len(words)
    assert ("no symbol is called 'q'" in said.err) == (UNUSABLE in parts)


def test_a_package_is_collected_with_its_submodules(sandbox, capsys):
    package = sandbox / "claims_package" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text(MODULE + RIGHT)
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text(MODULE + WRONG)
    assert main(["verify", "claims_package", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "diffkit.verdicts/1"
    targets = [verdict["claim"]["target"] for verdict in data["verdicts"]]
    assert targets == ["claims_package:right", "claims_package.inner.deep:wrong"]


def test_a_module_without_claims_is_wrong_usage(sandbox, capsys):
    (sandbox / "no_claims.py").write_text("def f(x):\n    return x\n")
    assert main(["verify", "no_claims"]) == 2
    assert "@diffkit.claim" in capsys.readouterr().err


def test_findings_fail_only_when_asked_to(capsys):
    words = ["verify", "jax.nn:relu", "--arg", "x=0.0"]
    assert main(words) == 0
    assert main([*words, "--fail-on", "findings"]) == 1
    assert main(["verify", "sin(x)", "--fail-on", "findings"]) == 0
    capsys.readouterr()


def test_github_annotations_and_the_report_name_what_failed(sandbox, capsys):
    (sandbox / "annotated.py").write_text(MODULE + RIGHT + WRONG)
    assert main(["verify", "annotated", "--github", "--report", "report.html"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("::error")]
    assert len(lines) == 1
    assert lines[0].startswith(
        "::error file=annotated.py,line=6,title=diffkit%3A refuted::d wrong/dx = 3*x%0A"
    )
    page = (sandbox / "report.html").read_text()
    assert page.count("diffkit-verdict") == 2


@pytest.mark.parametrize("claim", ["sigmoid(x)", "2*sigmoid(x)"])
def test_a_saved_verdict_replays_to_the_same_verdict(claim, sandbox, capsys):
    status = main(["check", "softplus(x)", claim, "--save", "claim.json"])
    first = capsys.readouterr()
    assert "saved to claim.json" in first.err
    assert main(["replay", "claim.json"]) == status
    assert capsys.readouterr().out == first.out


def test_a_saved_function_replays_at_the_point_it_was_judged_at(sandbox, capsys):
    (sandbox / "tied.py").write_text(
        "import jax\ndef tied(x):\n    return jax.nn.relu(x) - jax.nn.relu(-x)\n"
    )
    assert main(["verify", "tied:tied", "--arg", "x=0.0", "--save", "tied.json"]) == 1
    first = capsys.readouterr().out
    assert main(["replay", "tied.json"]) == 1
    assert capsys.readouterr().out == first


def test_a_replay_that_turns_out_otherwise_says_so(sandbox, capsys):
    main(["check", "x**2", "2*x", "--save", "claim.json"])
    data = json.loads((sandbox / "claim.json").read_text())
    data["claim"]["claimed"] = "3*x"
    (sandbox / "claim.json").write_text(json.dumps(data))
    capsys.readouterr()
    assert main(["replay", "claim.json"]) == 1
    assert "was proved, the new one is refuted" in capsys.readouterr().err


def test_doctor_reports_versions_and_devices_as_json(capsys):
    assert main(["doctor", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "diffkit.doctor/1"
    assert data["broken"] == []
    assert data["packages"]["sympy"]
    assert data["devices"]


_OVERDUE = """
import sys
import jax, jax.numpy as jnp
from diffkit.bridge.batch import within
from diffkit.cli import main as command
from diffkit.core.errors import TimeLimitExceeded

def big(x):
    for k in range(2500):
        x = jnp.sin(x) * jnp.cos(x + k)
    return x

lowered = jax.jit(big).trace(1.0).lower()
try:
    within(0.2, lowered.compile)
except TimeLimitExceeded:
    print("given up")
command.main = lambda: 3
command.command_line()
"""


def test_the_exit_status_stands_beside_a_compilation_that_was_given_up():
    """Python aborted with status 134 and lost its output when the thread came back from XLA."""
    result = subprocess.run(
        [sys.executable, "-c", _OVERDUE], capture_output=True, text=True, timeout=100
    )
    assert (result.returncode, result.stdout) == (3, "given up\n"), result.stderr


def test_help_after_an_experiment_shows_its_fields_with_the_values_of_the_preset(capsys):
    assert main(["run", "double_descent", "--preset", "full", "--noise", "0.25", "-h"]) == 0
    page = capsys.readouterr().out
    assert "usage: diffkit run double_descent" in page
    assert re.search(r"--draws INT\s.*\(default:\s+40000\)", page, re.DOTALL)  # quick has 4000
    assert re.search(r"--noise FLOAT\s.*\(default:\s+0\.25\)", page, re.DOTALL)
    assert main(["sweep", "double_descent", "--help"]) == 0
    assert "usage: diffkit sweep double_descent" in capsys.readouterr().out


def test_help_before_an_experiment_is_that_of_the_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "--help"])
    assert ended.value.code == 0
    assert "--over AXIS" in capsys.readouterr().out
