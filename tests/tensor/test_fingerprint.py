"""A rewrite that changes the value is noticed."""

import pytest
import sympy as sp

from diffkit.core.errors import CertificateError
from diffkit.symbolic.vocabulary import FUNCTIONS
from diffkit.tensor import build, normal_form
from diffkit.tensor import views as v
from diffkit.tensor.fingerprint import check_unchanged
from diffkit.tensor.nodes import var
from diffkit.tensor.sweep import gradient

A, B = v.view(var("A", (3, 3))), v.view(var("B", (3, 3)))
PRODUCT = v.dense(v.matmul(A, v.add(A, B)))


def test_an_equal_formula_passes():
    opened = v.add(v.matmul(A, A), v.matmul(A, B))
    check_unchanged(PRODUCT, v.dense(opened))


@pytest.mark.parametrize(
    "changed",
    [
        build.scale(2, PRODUCT),
        build.permute(PRODUCT, (1, 0)),
        build.add([(sp.S.One, PRODUCT, (0, 1)), (sp.Rational(1, 1000), A.node, (0, 1))], (3, 3)),
    ],
)
def test_another_value_raises(changed):
    with pytest.raises(CertificateError, match="defect of diffkit"):
        check_unchanged(PRODUCT, changed)


def test_a_wrong_rule_of_the_normal_form_never_returns(monkeypatch):
    right = normal_form._normal

    def wrong(node, operands):
        return build.scale(3, right(node, operands)) if node is PRODUCT else right(node, operands)

    monkeypatch.setattr(normal_form, "_normal", wrong)
    normal_form._KNOWN.clear()
    with pytest.raises(CertificateError):
        normal_form.normal_form(PRODUCT)


def test_rounding_in_a_deep_net_is_no_change():
    """Terms that are multiplied out cancel in every layer; only exact arithmetic sees that."""
    weights = [var(f"W{k:02}", (6, 6)) for k in range(9)]
    root = v.view(var("x", (5, 6)))
    for weight in weights:
        root = v.elementwise(FUNCTIONS["silu"], v.matmul(root, v.view(weight)))
    (slope,) = gradient(v.dense(v.total(root)), weights[:1])
    assert normal_form.normal_form(slope).shape == (6, 6)
