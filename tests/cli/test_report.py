"""`--report FILE` of check and verify."""

import pytest

from diffkit.cli.main import main


def test_check_and_verify_write_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "x**2", "3*x", "--report", "page.html"]) == 1
    assert main(["verify", "jax.nn:softplus", "--arg", "x=1.0", "--report", "deep/other.html"]) == 0
    first = (tmp_path / "page.html").read_text(encoding="utf-8")
    second = (tmp_path / "deep" / "other.html").read_text(encoding="utf-8")
    assert "refuted" in first
    assert "figure class='graph'" in second
    assert "Left out" not in second
    assert "report written to page.html" in capsys.readouterr().err


def test_the_verdict_is_printed_as_without_a_report(tmp_path, capsys):
    words = ["check", "x**2", "2*x"]
    main(words)
    plain = capsys.readouterr().out
    main([*words, "--report", str(tmp_path / "page.html")])
    assert capsys.readouterr().out == plain


def test_a_page_that_cannot_be_written_is_wrong_usage(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["check", "x**2", "2*x", "--report", str(tmp_path / "file" / "page.html")]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("claim", ["sigmoid(x)", "x"])
def test_nothing_is_left_beside_the_page(claim: str, tmp_path):
    main(["check", "softplus(x)", claim, "--report", str(tmp_path / "page.html")])
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
