from diffkit.verify.check import check
from diffkit.verify.question import read
from diffkit.verify.repair import find


def test_a_repair_of_a_claim_at_a_kink_holds_at_the_kink_too():
    verdict = check("relu(x)", "where(x > 0, 1, where(x < 0, 0, 2))")
    assert verdict.status == "refuted"
    if verdict.repair is not None:
        again = check("relu(x)", verdict.repair.text.split(" = ")[0])
        assert again.status == "proved", again.explain()


def test_the_repair_of_a_convention_is_judged_under_that_convention():
    verdict = check("relu(x)", "step(x)", conventions={"relu0": 1})
    assert verdict.status == "refuted"
    repaired = verdict.repair.text.split(" = ")[0]
    assert check("relu(x)", repaired, conventions={"relu0": 1}).status == "proved"


def test_a_term_is_named_by_its_place_in_the_claim_as_it_was_written():
    # SymPy sorts the terms; the person who wrote them did not
    verdict = check("sin(x) + x**3 + exp(x)", "exp(x) - 3*x**2 + cos(x)")
    assert verdict.diagnosis == "sign of the second term"


def test_a_search_can_be_left_out():
    question = read("cos(x)", "sin(x)")
    assert find(question, question.quantity).edit == "sign"
    from diffkit.verify.check import judge_question

    verdict = judge_question(question, with_repair=False)
    assert verdict.status == "refuted"
    assert verdict.repair is None


def test_no_search_is_made_where_the_truth_is_nowhere_finite():
    question = read("sqrt(-1 - x**2)", "x")
    assert find(question, question.quantity) is None
