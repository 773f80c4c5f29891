"""The three lines are run as a stranger would run them: without diffkit."""

import subprocess
import sys

import pytest

from diffkit.verify.check import check

CASES = {
    "sine": ("sin(x)", "-cos(x)", {}),
    "names of the vocabulary": ("softplus(x)", "softplus(x)", {}),
    "two symbols": ("x**2*sin(y)", "2*x*cos(y)", {"wrt": "x"}),
    "second order": ("x**4", "12*x", {"order": 2}),
    "third order": ("x**5", "60*x", {"order": 3}),
    "value": ("sqrt(x**2)", "x", {"kind": "value"}),
    "number": ("exp(-6)", "1/403", {"kind": "value"}),
    "extrema": ("max(x, 2*y)", "2", {"wrt": "x", "points": [{"x": 1, "y": 0}]}),
    "log gamma": ("lgamma(x)", "-digamma(x)", {"domain": "positive"}),
    "far away": ("sin(x)", "where(x > 1000, 0, cos(x))", {}),
}


@pytest.fixture(scope="module")
def verdicts():
    return {name: check(target, claim, **how) for name, (target, claim, how) in CASES.items()}


@pytest.fixture(scope="module")
def printed(verdicts) -> dict[str, list[float]]:
    """What each reproducer prints; one interpreter runs them all, one after the other."""
    program = "\n".join(verdict.reproducer for verdict in verdicts.values())
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=100
    )
    assert result.returncode == 0, f"{program}\n{result.stderr}"
    lines = [[float(word) for word in line.split()] for line in result.stdout.splitlines()]
    return dict(zip(verdicts, lines, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_reproducer_prints_the_two_numbers_of_the_verdict(name: str, verdicts, printed):
    verdict = verdicts[name]
    assert verdict.status == "refuted"
    assert len(verdict.reproducer.splitlines()) == 3
    assert "diffkit" not in verdict.reproducer
    true, claimed = printed[name]
    said = verdict.evidence[0]
    assert abs(true - claimed) > 1e-9
    assert true == pytest.approx(eval_fraction(said.value), rel=1e-5, abs=1e-9)
    assert claimed == pytest.approx(eval_fraction(said.claimed), rel=1e-5, abs=1e-9)


def eval_fraction(text: str) -> float:
    top, _, bottom = str(text).partition("/")
    return float(top) / float(bottom or 1)


def test_a_proved_claim_has_no_reproducer():
    assert check("sin(x)", "cos(x)").reproducer == ""
