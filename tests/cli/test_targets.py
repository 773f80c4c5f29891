"""Files and several targets on the command line of `diffkit verify`."""

import json
import sys

import pytest

from diffkit.cli.main import main

CLAIM = 'import diffkit as dk\nSTATED = dk.Claim("x**2", "{}", "x")\n'


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_file_of_a_package_is_imported_under_its_own_name(sandbox, capsys):
    package = sandbox / "lib" / "outer" / "inner"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("NUMBER = 2\n")
    (package.parent / "__init__.py").write_text("")
    (package / "leaf.py").write_text("from . import NUMBER\n" + CLAIM.format("2*x"))
    assert main(["verify", "lib/outer/inner/leaf.py", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["verdicts"]) == 1
    assert "outer.inner.leaf" in sys.modules


def test_an_init_file_is_judged_without_its_submodules(sandbox, capsys):
    package = sandbox / "whole"
    package.mkdir()
    (package / "__init__.py").write_text(CLAIM.format("2*x"))
    (package / "part.py").write_text(CLAIM.format("3*x"))
    assert main(["verify", "whole/__init__.py"]) == 0
    assert main(["verify", "whole"]) == 1
    capsys.readouterr()


def test_several_targets_are_judged_and_the_worst_decides(sandbox, capsys):
    (sandbox / "good_one.py").write_text(CLAIM.format("2*x"))
    (sandbox / "bad_one.py").write_text(CLAIM.format("3*x"))
    assert main(["verify", "good_one.py", "sin(x)", "jax.nn:softplus"]) == 0
    assert capsys.readouterr().out.count("PROVED") == 3
    assert main(["verify", "good_one.py", "bad_one"]) == 1
    assert main(["verify", "good_one.py", "no_such_file.py", "bad_one.py"]) == 2
    said = capsys.readouterr()
    assert said.out.count("REFUTED") == 2
    assert "there is no file no_such_file.py" in said.err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("missing.py", "there is no file missing.py"),
        ("two words.py", "cannot be imported under that name"),
        ("json.py", "hidden by another module json"),
        ("empty_file.py", "empty_file.py holds no claims"),
        ("failing.py", "importing failing fails (KeyError"),
    ],
)
def test_a_file_that_cannot_be_judged_is_refused_in_a_sentence(sandbox, capsys, word, said):
    for name, text in {
        "two words.py": "",
        "json.py": CLAIM.format("2*x"),
        "empty_file.py": "",
        "failing.py": "{}['key']",
    }.items():
        (sandbox / name).write_text(text)
    assert main(["verify", word]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_skipping_reads_the_file_and_refuses_what_it_cannot_read(sandbox, capsys):
    (sandbox / "latin.py").write_bytes(b"# caf\xe9 claim(\n")
    assert main(["verify", "--skip-unclaimed", "latin.py"]) == 2
    assert "is not UTF-8 text" in capsys.readouterr().err
    assert main(["verify", "--skip-unclaimed", "absent.py"]) == 2
    assert "cannot read absent.py" in capsys.readouterr().err


def test_a_package_with_a_broken_part_is_refused_and_not_refuted(sandbox, capsys):
    package = sandbox / "halfway"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text(CLAIM.format("2*x"))
    (package / "deep" / "__init__.py").write_text("import a_package_nobody_has\n")
    assert main(["verify", "halfway"]) == 2
    assert "no module named 'a_package_nobody_has'" in capsys.readouterr().err
    (package / "deep" / "__init__.py").write_text("1 / 0\n")
    sys.modules.pop("halfway.deep", None)
    assert main(["verify", "halfway"]) == 2
    assert "importing halfway.deep fails (ZeroDivisionError" in capsys.readouterr().err


def test_a_function_that_ends_the_program_is_no_success(tmp_path, monkeypatch, capsys):
    (tmp_path / "ending.py").write_text("import sys\n\ndef f(x):\n    sys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["verify", "ending:f", "--arg", "x=0.5"]) == 2
    assert "ended the program (0)" in capsys.readouterr().err
