"""`diffkit atlas` on the command line: output, files, exit status, bad input."""

import json

import pytest

from diffkit.cli.main import main


@pytest.fixture
def ledger(tmp_path):
    return str(tmp_path / "atlas.sqlite")


def test_one_function_is_shown_in_full(capsys, ledger, tmp_path):
    report = tmp_path / "atlas.html"
    status = main(
        ["atlas", "jax.numpy.abs", "--jobs", "1", "--ledger", ledger, "--report", str(report)]
    )
    printed = capsys.readouterr()
    assert status == 0
    assert "kink" in printed.out
    assert "one-sided derivatives are -1 and 1" in printed.out
    assert "1 of 1" in printed.err
    assert "jax.numpy.abs-x" in report.read_text(encoding="utf-8")


def test_one_function_without_a_derivative_is_answered_with_the_reason(capsys, ledger):
    assert main(["atlas", "jax.numpy.floor", "--jobs", "1", "--ledger", ledger]) == 0
    said = capsys.readouterr().out
    assert said.startswith("jax.numpy.floor is not listed: the gradient is zero")


def test_json_goes_to_stdout_and_has_a_schema(capsys, ledger):
    assert main(["atlas", "jax.numpy.abs", "--jobs", "1", "--ledger", ledger, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "diffkit.atlas/1"
    assert [each["name"] for each in data["derivatives"]] == ["jax.numpy.abs"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jax.nothing"], "neither a module nor"),
        (["jax.numpy.abs", "--jobs", "0"], "--jobs"),
        (["jax.numpy.abs", "--seconds", "0"], "--seconds"),
        (["jax.numpy.abs", "--seconds", "nan"], "--seconds"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(capsys, ledger, words, said):
    assert main(["atlas", *words, "--ledger", ledger]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("diffkit: ")
    assert said in message


def test_a_ledger_that_is_none_is_refused_and_kept(capsys, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be read as one" * 40, encoding="utf-8")
    assert main(["atlas", "jax.numpy.abs", "--ledger", str(path)]) != 0
    assert "damaged" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8").startswith("not a database")
