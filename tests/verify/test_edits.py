"""Each edit of the closed list repairs a claim that was made wrong on purpose."""

import pytest

from diffkit.symbolic.parse import parse
from diffkit.symbolic.prove import prove_equal
from diffkit.symbolic.symbols import symbol
from diffkit.verify import edits
from diffkit.verify.check import check
from diffkit.verify.edits import Subject

# edit -> target, wrong claim, right derivative
WRONG = {
    "sign": ("cos(x)", "sin(x)", "-sin(x)"),
    "sign_of_term": ("x**2*sin(x)", "2*x*sin(x) - x**2*cos(x)", "2*x*sin(x) + x**2*cos(x)"),
    "factor": ("x**2", "x", "2*x"),
    "chain_factor": ("exp(x**2)", "exp(x**2)", "2*x*exp(x**2)"),
    "complement": ("sigmoid(x)", "sigmoid(x)**2", "sigmoid(x)*(1 - sigmoid(x))"),
    "operator": ("x*y - x**2/2", "y*x", "y - x"),
    "dropped_factor": ("sin(x*y) + x", "cos(x*y) + 1", "y*cos(x*y) + 1"),
    "dropped_term": ("x**3 + sin(x)", "3*x**2", "3*x**2 + cos(x)"),
    "power": ("x**5", "5*x**5", "5*x**4"),
    "number": ("x**5", "4*x**4", "5*x**4"),
    "exchange": ("x*y*z", "x*z", "y*z"),
    "function": ("exp(sin(x))", "exp(x)*cos(x)", "exp(sin(x))*cos(x)"),
}


def subject(target: str, claim: str) -> Subject:
    expr, wrong = parse(target), parse(claim)
    symbols = sorted(expr.free_symbols | wrong.free_symbols, key=str)
    return Subject(wrong, expr, symbol("x"), tuple(symbols))


@pytest.mark.parametrize("name", WRONG)
def test_an_edit_proposes_the_right_formula(name: str):
    target, claim, right = WRONG[name]
    edit = getattr(edits, name)
    assert edit in edits.EDITS
    found = [candidate.expr for candidate in edit(subject(target, claim))]
    truth = parse(right)
    assert any(prove_equal(truth, each).status == "equal" for each in found), found


@pytest.mark.parametrize("name", WRONG)
def test_a_claim_an_edit_repairs_comes_back_repaired_and_proved(name: str):
    target, claim, right = WRONG[name]
    verdict = check(target, claim, wrt="x")
    assert verdict.status == "refuted"
    assert verdict.repair is not None
    assert verdict.repair.status == "proved"
    assert verdict.diagnosis
    repaired = verdict.repair.text.split(" = ")[0]
    assert check(right, repaired, kind="value").status == "proved"


def test_a_claim_no_edit_reaches_gets_no_repair():
    # four edits away from 4 x**3 + 3 x**2
    verdict = check("x**4 + x**3", "atan(x) - log(2 + x**2)/7 + 11*cosh(x)")
    assert verdict.status == "refuted"
    assert verdict.repair is None
    assert verdict.diagnosis is None or "holds for" in verdict.diagnosis


def test_a_proposal_is_never_the_claim_itself_nor_made_twice():
    found = [c.expr for c in edits.candidates(subject("x**2*sin(x)", "2*x*sin(x) - x**2*cos(x)"))]
    assert parse("2*x*sin(x) - x**2*cos(x)") not in found
    assert len(found) == len(set(found)) > 50


def test_the_cheapest_edit_comes_first():
    first = next(edits.candidates(subject("cos(x)", "sin(x)")))
    assert (first.edit, first.expr) == ("sign", parse("-sin(x)"))


def test_the_edits_of_a_claim_about_a_value_never_see_the_right_side(monkeypatch):
    # log(1 + x**2) stands in the target only: an edit that looked there could simply copy it
    seen = []

    def spy(subject: Subject):
        seen.append(subject.target)
        return iter(())

    monkeypatch.setattr(edits, "EDITS", (spy,))
    verdict = check("log(1 + x**2)", "log(1 - x**2)", kind="value")
    assert verdict.status == "refuted"
    assert seen == [parse("log(1 - x**2)")]
    assert verdict.repair is None


def test_a_number_of_edits_bounds_the_search():
    long = " + ".join(f"sin({k}*x)**{k}*y" for k in range(2, 14))
    count = sum(1 for _ in edits.candidates(subject(long, long)))
    assert count <= edits.MOST_CANDIDATES + 1


def test_replacing_a_subexpression_leaves_the_rest_alone():
    expr = parse("x*sin(y + 1) + exp(x)")
    for path, node in edits.nodes(expr):
        assert edits.replace_at(expr, path, node) == expr
    paths = {node: path for path, node in edits.nodes(expr)}
    changed = edits.replace_at(expr, paths[parse("sin(y + 1)")], parse("z"))
    assert changed == parse("x*z + exp(x)")
