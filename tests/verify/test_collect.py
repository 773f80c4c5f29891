import sys
from importlib import import_module, reload

import pytest

from diffkit.core.errors import UsageError
from diffkit.verify.collect import claim, collect, collect_own, judge, mentions_claims

ROOT = """\
import jax.numpy as jnp
import diffkit as dk


@dk.claim(df="2*x")
def right(x):
    return x * x


@dk.claim(df="3*x")
def wrong(x):
    return x * x


@dk.claim(df="1/(2*sqrt(y))", wrt="y", args=(1.0, 2.0), domain={"y": "positive"})
def second(x, y):
    return x + jnp.sqrt(y)


STATED = dk.Claim("softplus(x)", "sigmoid(x)", "x")
NOT_A_CLAIM = "softplus(x)"
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "collected_package"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text(ROOT)
    (folder / "__main__.py").write_text("raise SystemExit('must not be imported')\n")
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "deep" / "leaf.py").write_text(ROOT.replace("2*x", "x + x"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("collected_package")
    for name in [name for name in sys.modules if name.startswith("collected_package")]:
        del sys.modules[name]


def test_a_package_gives_its_claims_and_those_of_its_submodules_in_order(package):
    names = [found.name for found in collect(package)]
    own = ["right", "wrong", "second", "STATED"]
    assert names == [
        *(f"collected_package:{name}" for name in own),
        *(f"collected_package.deep.leaf:{name}" for name in own),
    ]


def test_each_collected_claim_is_judged_for_itself(package):
    statuses = {found.name.partition(":")[2]: judge(found).status for found in collect(package)}
    expected = {"right": "proved", "wrong": "refuted", "second": "proved", "STATED": "proved"}
    assert statuses == expected


def test_a_decorated_function_stays_what_it_was():
    def f(x):
        return x + 1

    assert claim(df="1")(f) is f


def test_only_functions_are_decorated():
    with pytest.raises(UsageError, match="decorates a function"):
        claim(df="1")(3)


def test_a_module_without_claims_gives_none():
    assert collect(import_module("json")) == []


def test_a_claim_knows_the_line_it_stands_on(package):
    lines = {found.name.partition(":")[2]: found.place for found in collect_own(package)}
    text = ROOT.splitlines()
    for name, begins in [("right", '@dk.claim(df="2*x")'), ("STATED", "STATED = ")]:
        file, line = lines[name]
        assert file == package.__file__
        assert text[line - 1].startswith(begins)


def test_a_module_alone_leaves_its_submodules_out(package):
    assert [found.label for found in collect_own(package)] == ["right", "wrong", "second", "STATED"]


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("import diffkit as dk\n@dk.claim(df='1')\ndef f(x): return x\n", True),
        ("from diffkit import claim\n@claim(df='1')\ndef f(x): return x\n", True),
        ("import diffkit\nC = diffkit.Claim('x', '1', 'x')\n", True),
        ("claim = 3\n", False),
        ("# @dk.claim(df='1')\n'''@dk.claim(df=1)'''\n", False),
        ("def f(:\n", False),
        ("\0", False),
        ("", False),
    ],
)
def test_claims_are_noticed_without_running_the_module(source, holds):
    assert mentions_claims(source) is holds


LAMBDAS = """\
import diffkit as dk

square = dk.claim(df="2*x")(lambda x: x * x)
cube = dk.claim(df="3*x")(lambda x: x * x * x)
first, second = dk.claim(df="1")(lambda x: x), dk.claim(df="2")(lambda x: x)


@dk.claim(df="y", wrt="x")
@dk.claim(df="y", wrt="y")
def product(x, y):
    return x * y
"""


def test_claims_of_one_name_are_all_kept_and_not_doubled_by_a_second_import(tmp_path, monkeypatch):
    (tmp_path / "collected_lambdas.py").write_text(LAMBDAS)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = import_module("collected_lambdas")
    expected = ["proved", "refuted", "proved", "refuted", "refuted", "proved"]
    for _ in range(2):
        found = collect_own(module)
        assert len({each.name for each in found}) == len(found) == len(expected)
        assert [judge(each).status for each in found] == expected
        module = reload(module)
    assert [each.label for each in found[:2]] == ["<lambda>", "<lambda> (line 4)"]
    del sys.modules["collected_lambdas"]
