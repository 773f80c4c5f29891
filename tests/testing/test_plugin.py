"""The plugin as a project uses it: pytest in a fresh process, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """\
import pytest
import jax
import jax.numpy as jnp
import diffkit as dk


@dk.claim(df="2*x")
def right(x):
    return x * x


@dk.claim(df="3*x")
def wrong(x):
    return x * x


@pytest.mark.xfail(reason="the factor is known to be wrong")
@dk.claim(df="4*x")
def expected_to_fail(x):
    return x * x


@pytest.mark.skip(reason="needs a cluster")
@dk.claim(df="5*x")
def skipped(x):
    return x * x


@dk.claim(df="2*q + x")
def unusable(x):
    return x * x


STATED = dk.Claim("softplus(x)", "sigmoid(x)", "x")


def test_verified(check_gradient):
    assert check_gradient(jnp.tanh, 1.0).status == "proved"


def test_refuted(check_gradient):
    check_gradient(jnp.tanh, 1.0, claim="1 - tanh(x)")


def test_undecided(check_gradient):
    check_gradient(lambda x: jnp.sqrt(-1 - x * x), 1.0)


def test_undecided_but_allowed(check_gradient):
    assert not check_gradient(lambda x: jnp.sqrt(-1 - x * x), 1.0, allow_undecided=True).ok


def test_unusable(check_gradient):
    check_gradient(jnp.tanh, 1.0, claim="1 - tanhh(x)**2")


def test_without_diffkit():
    assert True
"""
#: Claims about formulas: no worker imports JAX for them.
TEXTS = """\
import pytest
import diffkit as dk

RIGHT = dk.Claim("softplus(x)", "sigmoid(x)", "x")
WRONG = dk.Claim("x**2", "3*x", "x")
OPEN = dk.Claim("sqrt(-1 - x**2)", "-x/sqrt(-1 - x**2)", "x")


@pytest.mark.skip(reason="elsewhere")
def test_skipped(check_gradient):
    pass
"""
SUMMARY = (
    "diffkit: 3 proved, 0 supported, 3 refuted, 2 undecided (1 skipped, 1 xfailed, 2 not judged)"
)


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Pytest on a folder, with no plugin but ours and those of `options`."""
    command = [sys.executable, "-m", "pytest", "-p", "diffkit.testing.plugin", "-q", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """One run of the module above, with its report."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "test_losses.py").write_text(MODULE)
    return run(folder, "-rA", "--diffkit-report", "report.json"), folder


def outcomes(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Test -> outcome, as the short summary says."""
    found = {}
    for line in result.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("PASSED", "FAILED", "XFAIL", "ERROR"):
            found[rest.partition("::")[2].partition(" - ")[0].strip()] = word
    return found


def test_every_claim_is_a_test_and_fails_when_it_is_wrong(session):
    result, _ = session
    assert outcomes(result) == {
        "claim[right]": "PASSED",
        "claim[wrong]": "FAILED",
        "claim[expected_to_fail]": "XFAIL",
        "claim[unusable]": "FAILED",
        "claim[STATED]": "PASSED",
        "test_verified": "PASSED",
        "test_refuted": "FAILED",
        "test_undecided": "FAILED",
        "test_undecided_but_allowed": "PASSED",
        "test_unusable": "FAILED",
        "test_without_diffkit": "PASSED",
    }
    assert "SKIPPED [1]" in result.stdout
    assert result.returncode == 1


def test_a_failure_shows_the_verdict_and_no_line_of_diffkit(session):
    result, _ = session
    assert "REFUTED   d wrong/dx = 3*x" in result.stdout
    assert "at x = 1: claimed 3, true 2" in result.stdout
    assert "ClaimRefuted: REFUTED   d tanh/dx = 1 - tanh(x)" in result.stdout
    assert "ClaimUndecided: UNDECIDED" in result.stdout
    assert "no symbol is called 'q'" in result.stdout
    assert "raise ClaimRefuted" not in result.stdout
    assert "diffkit/verify" not in result.stdout
    assert "diffkit/symbolic" not in result.stdout


def test_the_last_lines_count_the_verdicts(session):
    result, _ = session
    assert SUMMARY in result.stdout


def test_the_report_holds_every_verdict_and_the_reasons_for_what_was_not_judged(session):
    _, folder = session
    data = report(folder)
    assert data["schema"] == "diffkit.pytest/1"
    assert data["counts"] == {"proved": 3, "supported": 0, "refuted": 3, "undecided": 2}
    entries = {entry["test"].partition("::")[2]: entry for entry in data["tests"]}
    assert "test_without_diffkit" not in entries
    assert entries["claim[skipped]"]["outcome"] == "skipped"
    assert entries["claim[skipped]"]["reason"] == "needs a cluster"
    assert entries["claim[skipped]"]["verdicts"] == []
    assert entries["claim[expected_to_fail]"]["outcome"] == "xfailed"
    assert entries["claim[expected_to_fail]"]["reason"] == "the factor is known to be wrong"
    assert entries["claim[unusable]"]["refused"].startswith("no symbol is called 'q'")
    wrong = entries["claim[wrong]"]
    assert wrong["outcome"] == "failed"
    assert [v["status"] for v in wrong["verdicts"]] == ["refuted"]
    assert wrong["verdicts"][0]["repair"]["text"] == "2*x"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".report")] == []


def test_workers_send_their_verdicts_to_the_one_report(tmp_path):
    (tmp_path / "test_texts.py").write_text(TEXTS)
    reports = []
    for workers in ((), ("-p", "xdist", "-n", "2")):
        result = run(tmp_path, *workers, "--diffkit-report", "report.json")
        said = "diffkit: 1 proved, 0 supported, 1 refuted, 1 undecided (1 skipped)\n"
        assert said in result.stdout, result.stdout
        reports.append(report(tmp_path))
    assert reports[0] == reports[1]
    assert len(reports[0]["tests"]) == 4


def test_a_package_is_judged_claim_by_claim(tmp_path):
    package = tmp_path / "project" / "deep"
    package.mkdir(parents=True)
    (tmp_path / "project" / "__init__.py").write_text("")
    source = 'import diffkit as dk\nCLAIM = dk.Claim("x**2", "{}", "x")\n'
    (tmp_path / "project" / "one.py").write_text(source.format("2*x"))
    (package / "__init__.py").write_text(source.format("3*x"))
    result = run(tmp_path, "-rA", "--diffkit-claims", "project")
    assert outcomes(result) == {
        "claim[project.one:CLAIM]": "PASSED",
        "claim[project.deep:CLAIM]": "FAILED",
    }
    assert "diffkit: 1 proved, 0 supported, 1 refuted, 0 undecided\n" in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--diffkit-claims", "nowhere"), "--diffkit-claims nowhere: no module named 'nowhere'"),
        (("--diffkit-claims", "empty"), "--diffkit-claims empty: it holds no claims"),
        (("--diffkit-claims", "broken"), "importing broken fails (ZeroDivisionError"),
        (("--diffkit-report", "."), "--diffkit-report '.' is no file"),
        (("--diffkit-report", " "), "is no file"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(tmp_path, options, said):
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    result = run(tmp_path, *options)
    assert result.returncode == 4
    assert f"ERROR: {said}" in result.stderr or said in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("pytest.mark.diffkit(bugdet='full')", "does not know bugdet; it takes budget, seed"),
        ("pytest.mark.diffkit('full')", "does not know 'full'"),
        ("pytest.mark.diffkit(seed='one')", "has seed='one'; write a value of type int"),
        ("pytest.mark.diffkit(seed=True)", "has seed=True"),
        ("pytest.mark.diffkit(seed=False)", "has seed=False"),
    ],
)
def test_a_marker_nobody_understands_stops_the_session(tmp_path, marker, said):
    (tmp_path / "test_one.py").write_text(f"import pytest\n\n@{marker}\ndef test_one(): pass\n")
    result = run(tmp_path)
    assert result.returncode == 4
    assert said in result.stderr


def test_a_text_with_doctests_is_no_module_with_claims(tmp_path):
    (tmp_path / "page.md").write_text(">>> 1 + 1\n2\n")
    result = run(tmp_path, "--doctest-glob", "*.md", "page.md")
    assert result.returncode == 0, result.stdout + result.stderr


def test_markers_give_defaults_and_the_nearest_wins(tmp_path):
    (tmp_path / "test_marks.py").write_text(
        "import pytest, jax.numpy as jnp\n"
        "import diffkit as dk\n"
        "pytestmark = pytest.mark.diffkit(dtypes=('float32',), seed=5)\n"
        "STATED = dk.Claim('x**2', '2*x', 'x')\n"
        "@pytest.mark.diffkit(seed=7)\n"
        "def test_seed(check_gradient):\n"
        "    claim = check_gradient(jnp.sin, 1.0).claim\n"
        "    assert claim.options['seed'] == 7\n"
        "    assert claim.options['dtypes'] == ['float32']\n"
        "def test_claim_has_no_dtypes(check_gradient):\n"
        "    claim = check_gradient(jnp.sin, 1.0, claim='cos(x)', seed=9).claim\n"
        "    assert claim.options['seed'] == 9\n"
        "@pytest.mark.diffkit(allow_undecided=True)\n"
        "@dk.claim(df='-x/sqrt(-1 - x**2)')\n"
        "def nowhere(x):\n    return jnp.sqrt(-1 - x * x)\n"
        "def test_dtypes_of_a_claim_are_refused(check_gradient):\n"
        "    with pytest.raises(ValueError, match='dtypes= belongs'):\n"
        "        check_gradient(jnp.sin, 1.0, claim='cos(x)', dtypes=('float32',))\n"
    )
    result = run(tmp_path)
    assert result.returncode == 0, result.stdout
    assert "5 passed" in result.stdout


def test_claims_are_selected_like_tests(tmp_path):
    (tmp_path / "test_texts.py").write_text(TEXTS)
    by_name = run(tmp_path, "-rA", "test_texts.py::claim[RIGHT]")
    assert outcomes(by_name) == {"claim[RIGHT]": "PASSED"}
    all_claims = run(tmp_path, "--collect-only", "test_texts.py::claim")
    assert all_claims.stdout.count("test_texts.py::claim[") == 3
    by_word = run(tmp_path, "--collect-only", "-k", "claim and wrong")
    assert "test_texts.py::claim[WRONG]" in by_word.stdout
    assert "claim[RIGHT]" not in by_word.stdout


def test_doctests_of_a_module_do_not_judge_its_claims_twice(tmp_path):
    (tmp_path / "test_one.py").write_text(
        "import diffkit as dk\nCLAIM = dk.Claim('x**2', '2*x', 'x')\n"
    )
    result = run(tmp_path, "--doctest-modules")
    assert "diffkit: 1 proved" in result.stdout


def test_a_session_without_claims_says_nothing(tmp_path):
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    result = run(tmp_path)
    assert "diffkit" not in result.stdout
    assert result.returncode == 0


def test_an_unwritable_report_is_an_error_of_usage(tmp_path):
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    (tmp_path / "file").write_text("")
    result = run(tmp_path, "--diffkit-report", "file/report.json")
    assert result.returncode == 4
    assert "cannot write file/report.json" in result.stderr


def test_loading_the_plugin_imports_neither_jax_nor_sympy(tmp_path):
    (tmp_path / "test_imports.py").write_text(
        "import sys\n"
        "HEAVY = {'jax', 'sympy', 'numpy', 'flint', 'mpmath', 'hypothesis'}\n"
        "def test_nothing_heavy():\n"
        "    assert 'diffkit.testing.plugin' in sys.modules\n"
        "    assert HEAVY.isdisjoint(sys.modules)\n"
    )
    result = run(tmp_path)
    assert result.returncode == 0, result.stdout


def test_the_environment_is_as_before_when_the_session_is_over(tmp_path):
    (tmp_path / "test_one.py").write_text(
        "import diffkit as dk\nCLAIM = dk.Claim('x**2', '2*x', 'x')\n"
    )
    program = (
        "import os, pytest\n"
        "for before in (None, '--xla_cpu_enable_fast_math=false'):\n"
        "    os.environ.pop('XLA_FLAGS', None)\n"
        "    if before: os.environ['XLA_FLAGS'] = before\n"
        "    assert pytest.main(['-q', '-p', 'diffkit.testing.plugin']) == 0\n"
        "    assert os.environ.get('XLA_FLAGS') == before\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_installed_package_brings_the_plugin():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"diffkit": "diffkit.testing.plugin"}
