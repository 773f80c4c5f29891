"""The likeliest refusals, word for word: one sentence with the remedy, status 2, no traceback.

`DIFFKIT_REGENERATE=1 pytest tests/cli/test_refusals.py` writes the golden file anew.
"""

import os
import shlex
from pathlib import Path

import pytest

from diffkit.cli.main import main

GOLDEN = Path(__file__).with_name("refusals.golden")
SANDBOX = {
    "sandbox_claims.py": (
        "import jax.numpy as jnp\n"
        "def raises(x):\n    raise KeyError('beta')\n"
        "def needs_value(x):\n    return x if x > 0 else -x\n"
        "def words(x):\n    return 'words'\n"
        "def two(x, y):\n    return x * y\n"
        "def whole(x):\n    return jnp.round(x).astype(int)\n"
        "RATE = 3\n"
    ),
    "sandbox_broken.py": "1 / 0\n",
    "damaged.json": '{"schema": "diffkit.verdict/1", "claim": 3}',
    "text.json": "not json",
    "other.json": '{"schema": "somebody/else"}',
}
COMMANDS = """\
derive "fooo(x)"
derive ""
derive "sin(x, y)"
derive "sin(x"
derive "2x"
derive "A @ B"
derive "x > 0"
derive "x = 3"
derive "x*y"
derive "x*y" --wrt q
derive "floor(x)"
derive "__import__('os')"
derive "9**9**9**9"
check "softplus(x)" "sigmoid(y)*z"
check "x**2" ""
check "x**2" "2*x" --domain "x=(1"
check "x**2" "2*x" --domain "positive"
check "x**2" "2*x" --domain "y=positive"
check "x**2" "2*x" --domain "x=(1, 0)"
check "log(x)" "1/x" --domain "x=positive" --arg x=-1
check "x**2" "2*x" --arg x=NaN
check "x**2" "2*x" --arg "x=[1, [2]]"
check "x**2" "2*x" --arg x=one
check "relu(x)" "step(x)" --convention relu0=half
check "relu(x)" "step(x)" --convention relu7=1
check "x**2" "2*x" --kind jacobian
verify nosuchmodule
verify nosuchmodule:f
verify sandbox_broken:f
verify sandbox_claims
verify sandbox_claims:rais
verify sandbox_claims:RATE
verify sandbox_claims:raises
verify sandbox_claims:needs_value
verify sandbox_claims:words
verify sandbox_claims:whole
verify sandbox_claims:two --arg x=1.0
verify sandbox_claims:two --arg x=1.0 --arg y=2.0 --wrt z
verify jax.numpy:sin --arg x=3
verify jax.numpy:sin --arg x=NaN
verify jax.numpy:log --arg x=-1.0 --domain x=positive
verify "x*y"
replay damaged.json
replay text.json
replay other.json
replay absent.json
run nosuch
run vanishing_gradients --preset huge
"""


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SANDBOX.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def golden() -> dict[str, str]:
    """Command -> what it says."""
    blocks = GOLDEN.read_text(encoding="utf-8").split("$ diffkit ")[1:]
    return {head: said.strip("\n") for head, _, said in (b.partition("\n") for b in blocks)}


def refused(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(shlex.split(command))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("command", COMMANDS.splitlines())
def test_a_refusal_is_one_sentence_with_the_remedy_and_status_2(command, sandbox, capsys):
    status, out, err = refused(command, capsys)
    assert status == 2, out + err
    assert out == ""
    assert err.startswith("diffkit: ")
    assert "Traceback" not in err
    sentence, *excerpt = err.rstrip("\n").splitlines()
    assert not excerpt or excerpt[-1].strip() == "^" or "Rows exist" in err, err
    assert 30 < len(sentence) < 1000
    if os.environ.get("DIFFKIT_REGENERATE") != "1":
        assert err.strip("\n") == golden()[command]


def test_the_golden_file_holds_exactly_these_refusals(sandbox, capsys):
    if os.environ.get("DIFFKIT_REGENERATE") == "1":
        said = [
            f"$ diffkit {command}\n{refused(command, capsys)[2].strip(chr(10))}\n"
            for command in COMMANDS.splitlines()
        ]
        GOLDEN.write_text("\n".join(said), encoding="utf-8")
    assert list(golden()) == COMMANDS.splitlines()
    assert len(golden()) >= 20


def test_no_refusal_names_a_folder_of_this_machine():
    assert str(Path.home()) not in GOLDEN.read_text(encoding="utf-8")
    assert "/site-packages/" not in GOLDEN.read_text(encoding="utf-8")
