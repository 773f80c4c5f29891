"""`dk.blame` names the equation, the line and the entry that make a gradient NaN, and mends it.

Expected gradients are worked out by hand or by the mended function written out here; that the
user's own program has the trap is asserted first, by `jax.grad`.
"""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import diffkit as dk
from diffkit.bridge import culprits
from diffkit.core.blame import Blame
from diffkit.core.errors import UsageError


def is_finite(tree) -> bool:
    return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))


def blamed(loss, *args, wrt=0, **options) -> Blame:
    """The answer about a program whose gradient is bad by `jax.grad` itself."""
    found = dk.blame(loss, *args, wrt=wrt, **options)
    value, gradient = jax.jit(jax.value_and_grad(loss, wrt))(*args)
    assert not (is_finite(value) and is_finite(gradient))
    assert not found.ok
    assert not found
    return found


def line_of(found: Blame) -> str:
    return found.cause.text


# --- where ---------------------------------------------------------------------------------------


def half_root(x):
    return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))


def test_a_root_in_the_branch_that_is_not_taken():
    x = jnp.array([4.0, -1.0])
    found = blamed(half_root, x)
    assert (found.cause.primitive, found.cause.entry) == ("sqrt", (1,))
    assert line_of(found) == "return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))"
    assert "does not take this value at entry [1]" in found.cause.branch
    assert found.mend.code == "jnp.sqrt(jnp.where(x > 0, x, 1.0))"
    assert found.mend.is_recommended
    by_hand = jax.grad(
        lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0))
    )(x)
    np.testing.assert_allclose(by_hand, [0.25, 0.0])  # 1 / (2 sqrt 4), and the constant's 0


def test_at_the_edge_the_one_sided_derivatives_are_told():
    found = blamed(half_root, jnp.array([4.0, 0.0]))
    assert "cotangent 0 * partial derivative inf = nan" in found.cause.message
    assert "left 0, right inf" in found.mend.message


def test_the_usual_guard_is_refused_where_the_constant_is_not_the_limit_of_the_derivative():
    def phi(x):
        return jnp.where(x == 0, 1.0, jnp.expm1(x) / x)  # phi'(0) = 1/2

    found = blamed(phi, 0.0)
    (guard,) = found.rejected
    assert guard.code == "jnp.expm1(x) / jnp.where(x != 0, x, 1.0)"
    assert guard.is_finite
    assert not guard.is_recommended
    assert "is 0, the derivative is 0.5" in guard.message
    assert found.mend.code.startswith("series for |x| < 0.5")


def test_a_large_program_is_held_against_differences_and_the_wrong_guard_is_refused_there_too():
    def total(x):
        return jnp.sum(jnp.where(x == 0, 1.0, jnp.expm1(x) / x))

    x = jnp.arange(-2000, 2001) / 2000.0  # entry 2000 is 0, where the derivative is 1/2
    found = blamed(total, x)
    assert found.cause.entry == (2000,)
    assert found.mend is None
    assert "along x[2000] is 0, the derivative is 0.5" in found.rejected[0].message
    assert "(differences)" in found.rejected[0].message
    harmless = blamed(lambda x: jnp.sum(jnp.where(x > 0, x * jnp.sqrt(x), 0.0)), x)
    assert "right along x[0] (0)" in harmless.mend.message
    assert "differences" in harmless.mend.message


def test_a_line_that_runs_once_per_layer_is_mended_in_every_layer():
    def layer(x):
        return jnp.where(x > 0, jnp.sqrt(x), 0.0)

    def deep(x):
        return jnp.sum(layer(layer(x) - 0.5) * layer(x))

    found = blamed(deep, jnp.array([4.0, -1.0]))
    assert len(found.causes) == 1
    assert found.mend.code == "jnp.sqrt(jnp.where(x > 0, x, 1.0))"
    # sqrt(sqrt(x) - 1/2) sqrt(x) at 4: by the product rule
    slope = 0.25 / (2 * np.sqrt(1.5)) * 2 + np.sqrt(1.5) / 4
    along = found.mend.message.partition("a random direction (")[2].partition(")")[0]
    direction = np.random.default_rng(0).standard_normal(2)
    np.testing.assert_allclose(
        float(along), slope * direction[0] / np.linalg.norm(direction), rtol=1e-5
    )


def test_a_cotangent_that_overflows_in_half_precision():
    def scaled(x):
        return 60000.0 * jnp.sum(x.astype(jnp.float16) * jnp.float16(8.0)).astype(jnp.float32)

    found = blamed(scaled, jnp.array([0.1, 0.2]))
    assert np.isfinite(found.value)
    assert found.cause.primitive == "mul"
    assert "60000 * 8 = inf at entry [0]" in found.cause.message  # the largest is 65504
    assert found.mend is None


def test_exponential_that_overflows_where_it_is_not_taken():
    x = jnp.array([1.0, 1000.0])
    found = blamed(lambda x: jnp.sum(jnp.where(x < 10, jnp.exp(x), x)), x)
    assert found.cause.primitive == "exp"
    assert "cotangent 0 * partial derivative inf = nan at entry [1]" in found.cause.message
    assert found.mend.code == "jnp.exp(jnp.where(x < 88.0, x, 0.0))"
    assert np.exp(88.0) < float(jnp.finfo("float32").max) < np.exp(89.0)


# --- norms, logarithms, softmax ------------------------------------------------------------------


def test_a_norm_at_zero_becomes_a_safe_norm():
    def length(x):
        return jnp.linalg.norm(x)

    found = blamed(length, jnp.zeros(3))
    assert found.leaves[0].nan == 3
    assert "cotangent 1 * partial derivative inf = inf" in found.cause.message
    root = "jnp.sqrt(jnp.where(squares > 0, squares, 1.0))"
    safe = f"jnp.where((squares := jnp.sum(x**2)) > 0, {root}, 0.0)"
    assert found.mend.code == safe
    assert "left -1, right 1" in found.mend.message  # |t| along an axis


def test_x_over_its_norm_needs_two_guards_and_has_no_derivative_to_compare_with():
    def direction(x):
        return jnp.sum(x / jnp.linalg.norm(x))

    found = blamed(direction, jnp.zeros(3))
    assert np.isnan(found.value)
    assert [cause.primitive for cause in found.causes] == ["div", "sqrt"]
    assert "0 / 0 = nan" in found.origins[0].message
    assert found.mend.code.startswith(
        "x / jnp.where((kept := jnp.where((squares := jnp.sum(x ** 2)) > 0"
    )
    assert "has no derivative there" in found.mend.message


def rows_over_their_norms(h):
    return jnp.sum(h / jnp.linalg.norm(h, axis=-1, keepdims=True))


def shifted_over_its_norm(h, n, s):
    return jnp.sum((h - s) / jnp.linalg.norm((h - s) * n))


@pytest.mark.parametrize(
    ("loss", "args"),
    [
        (rows_over_their_norms, (jnp.zeros((2, 3)).at[0].set(2.0),)),
        (shifted_over_its_norm, (jnp.ones(3), jnp.ones(3), jnp.ones(3))),
    ],
)
def test_guards_inside_of_each_other_are_one_expression_that_runs(loss, args):
    """The printed line replaces the user's, and gives what the mended program gave."""
    found = blamed(loss, *args)
    assert [cause.primitive for cause in found.causes] == ["div", "sqrt"]
    names = loss.__code__.co_varnames[: len(args)]
    line = eval(f"lambda {', '.join(names)}: jnp.sum({found.mend.code})", {"jnp": jnp})
    value, gradient = jax.value_and_grad(line)(*args)
    assert is_finite(value)
    assert is_finite(gradient)
    is_kept = np.isfinite(np.asarray(jax.grad(loss)(*args)))
    np.testing.assert_allclose(gradient[is_kept], jax.grad(loss)(*args)[is_kept], rtol=1e-6)


def test_a_mend_may_correct_an_entry_that_was_finite_and_wrong():
    # exp(90) overflows float32; exp(80) / inf = 0 is finite, the softmax is 1 / (1 + exp(10))
    found = blamed(lambda x: jnp.log(jnp.sum(jnp.exp(x))), jnp.array([90.0, 80.0]))
    assert found.mend.code.startswith("jax.nn.logsumexp(x, axis=-1)")
    assert "changes finite entries of the gradient, as x[1]" in found.mend.message
    right = float(found.mend.message.partition("right along x[1] (")[2].partition(")")[0])
    np.testing.assert_allclose(right, 1 / (1 + np.exp(10.0)), rtol=1e-5)


def test_a_mend_that_makes_a_right_entry_wrong_is_refused():
    def powers(x):
        return jnp.sum(jnp.where(jnp.array([False, True]), x ** jnp.array([0.5, 1.0]), 0.0))

    found = blamed(powers, jnp.zeros(2))
    assert jax.grad(powers)(jnp.zeros(2))[1] == 1.0  # the derivative of x, which x > 0 cuts off
    assert found.mend is None or "x > 0" not in found.mend.code
    assert any("along x[1] is 0, the derivative is 1" in each.message for each in found.rejected)


def test_a_quotient_whose_limit_exists_is_not_mended_by_a_guard():
    # x0 x1 x2 / x1 = x0 x2 has the gradient [3, 0, 2] at [2, 0, 3]; the guard gives another one
    found = blamed(lambda x: jnp.prod(x) / x[1], jnp.array([2.0, 0.0, 3.0]))
    assert found.mend is None
    assert "germs of balls" in found.rejected[-1].message


def cross_entropy(z, y):
    return -jnp.sum(y * jnp.log(jax.nn.softmax(z)))


@pytest.mark.parametrize("label", [0, 1])
def test_the_log_of_a_softmax_that_underflows(label: int):
    z, y = jnp.array([0.0, 200.0]), jnp.eye(2)[label]
    found = blamed(cross_entropy, z, y)
    assert found.cause.primitive == "log"
    assert any("log(0) = -inf" in each.message for each in found.origins)
    assert found.mend.code.startswith("jax.nn.log_softmax(z, axis=-1)")
    assert "right along z[0]" in found.mend.message
    by_hand = np.array([0.0, 1.0]) - np.asarray(y)  # softmax(z) - y to 80 digits
    np.testing.assert_allclose(
        jax.grad(lambda z: -jnp.sum(y * jax.nn.log_softmax(z)))(z), by_hand, atol=1e-7
    )


def test_a_zero_label_makes_the_loss_nan_and_leaves_the_gradient_alone():
    def divergence(z, y):
        return jnp.sum(y * (jnp.log(y) - jax.nn.log_softmax(z)))

    z, y = jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0])
    found = blamed(divergence, z, y)
    assert found.leaves == ()
    assert np.isnan(found.value)
    assert {each.primitive for each in found.origins} == {"mul", "log"}
    assert found.mend.code == "jnp.log(jnp.where(y > 0, y, 1.0))"
    mended = jnp.sum(y * (jnp.log(jnp.where(y > 0, y, 1.0)) - jax.nn.log_softmax(z)))
    np.testing.assert_allclose(mended, np.log1p(np.exp(1.0 - 2.0)), rtol=1e-6)  # KL of a one-hot


def test_a_sigmoid_by_hand_overflows_and_is_rewritten():
    found = blamed(lambda x: 1 / (1 + jnp.exp(-x)), -1000.0)
    assert found.cause.primitive == "exp"
    assert found.mend.code.startswith("jax.nn.sigmoid(x)")
    assert "right along x (0)" in found.mend.message


def masked_attention(q, k, v):
    m = jnp.ones((6, 6), bool).at[3].set(False)  # row 3 is padding
    s = q @ k.T
    p = jax.nn.softmax(jnp.where(m, s, -jnp.inf), axis=-1)
    o = p @ v
    return jnp.sum(jnp.where(m.any(-1, keepdims=True), o, 0.0) ** 2)


def queries(seed: int):
    return (jax.random.normal(each, (6, 4)) for each in jax.random.split(jax.random.key(seed), 3))


def test_a_padded_row_poisons_every_entry_of_dv():
    q, k, v = queries(0)
    found = blamed(jax.jit(masked_attention), q, k, v, wrt=(0, 1, 2))
    (leaf,) = found.leaves
    assert (leaf.name, leaf.nan, leaf.inf) == ("v", 24, 0)
    assert np.isfinite(found.value)
    assert (found.cause.primitive, line_of(found)) == ("dot_general", "o = p @ v")
    assert "operand 0 is nan at entry [3, 0]" in found.cause.message
    assert "0 * nan = nan" in found.cause.message
    (origin,) = found.origins
    assert "-inf - -inf = nan at entry [3, 0]; every entry of row 3 is -inf" in origin.message
    assert found.mend.code == "jax.nn.softmax(s, axis=-1, where=m)"
    assert "right along v[0, 0]" in found.mend.message

    def by_hand(v):  # without the padded row at all
        rows = jnp.array([0, 1, 2, 4, 5])
        return jnp.sum((jax.nn.softmax(q[rows] @ k.T, axis=-1) @ v) ** 2)

    mended = float(found.mend.message.partition("v[0, 0] (")[2].partition(")")[0])
    np.testing.assert_allclose(mended, jax.grad(by_hand)(v)[0, 0], rtol=1e-5)


# --- programs ------------------------------------------------------------------------------------


def rollout(w, xs):
    def step(h, x):
        h = w * h + x
        return h, jnp.sqrt(h**2)

    return jnp.sum(jax.lax.scan(step, 1.0, xs)[1])


def test_the_step_of_a_loop_is_named():
    # h: 1, then w h + x with w = 1 is 8 - 1 - 1 - ... = 0 at step 7
    xs = jnp.full(12, -1.0).at[0].set(6.0)
    found = blamed(jax.jit(rollout), 1.0, xs)
    assert (found.cause.primitive, found.cause.steps) == ("sqrt", (7,))
    assert found.mend.code.startswith("jnp.where((h ** 2) > 0, jnp.sqrt(jnp.where((h ** 2) > 0, h")


def test_the_step_at_which_a_carry_goes_bad_is_the_origin_and_not_the_steps_after_it():
    def decay(w, xs):
        return jax.lax.scan(lambda h, x: (h * w + jnp.log(x), None), 0.0, xs)[0]

    found = blamed(decay, 0.5, jnp.arange(1.0, 13.0).at[7].set(0.0))
    assert (found.cause.primitive, found.cause.steps) == ("mul", (11,))  # the last, backwards
    assert (found.origins[0].primitive, found.origins[0].steps) == ("log", (7,))


@jax.custom_vjp
def unit_gradient(x):
    return x


def unit_gradient_bwd(_, g):
    return (g / jnp.sqrt(jnp.sum(g * g)),)


unit_gradient.defvjp(lambda x: (x, None), unit_gradient_bwd)


def test_a_custom_backward_rule_that_makes_nan_is_named():
    found = blamed(lambda x: jnp.sum(jnp.where(x > 5, unit_gradient(x), 0.0)), jnp.arange(3.0))
    assert found.cause.primitive == "unit_gradient"
    place = unit_gradient_bwd.__code__.co_firstlineno
    assert f"unit_gradient_bwd (test_blame.py:{place}) computes 0 / 0 = nan" in found.cause.message
    assert found.mend.code == "unit_gradient without its custom_vjp rule"


def test_a_branch_of_cond_and_an_iteration_of_while():
    def chosen(x):
        return jax.lax.cond(x > 0, lambda z: jnp.sqrt(z * z - 4.0), lambda z: z, x)

    found = blamed(chosen, 2.0)
    assert found.cause.primitive == "sqrt"

    def squared(w, x):
        x = jax.lax.while_loop(lambda s: s[1] < 9, lambda s: (s[0] ** 2, s[1] + 1), (x, 0))[0]
        return w * x

    found = blamed(squared, 1.0, 10.0)
    # 10, 1e2, 1e4, 1e8, 1e16, 1e32 are below 3.4e38, the sixth square is not
    assert "5 steps of the loop are finite" in found.origins[0].message


def test_several_causes_come_in_the_order_of_the_backward_pass():
    def two(a, b):
        first = jnp.sum(jnp.where(a > 0, jnp.sqrt(a), 0.0))
        second = jnp.sum(jnp.where(b > 0, b * jnp.log(b), 0.0))
        return first + second

    found = blamed(two, jnp.array([0.0, 1.0]), jnp.array([0.0, 2.0]), wrt=(0, 1))
    assert [leaf.name for leaf in found.leaves] == ["a", "b"]
    assert [cause.text.partition(" =")[0] for cause in found.causes] == ["second", "first"]
    assert "also" in str(found)
    by_name = {"wrt": ("b", "a"), "mend": False}
    listed = dk.blame(two, jnp.array([0.0, 1.0]), jnp.array([0.0, 2.0]), **by_name)
    # unmended, the product hands its own 0 * inf on as well
    assert [cause.primitive for cause in listed.causes] == ["mul", "log", "sqrt"]
    assert listed.mend is None


def test_an_argument_that_is_not_finite_is_the_origin():
    params = {"w": jnp.ones(3), "count": jnp.arange(3)}
    x = jnp.array([1.0, jnp.nan, 2.0])
    found = dk.blame(lambda p, x: jnp.sum(p["w"] * x), params, x)
    assert [leaf.name for leaf in found.leaves] == ["p.w"]
    assert (found.origins[0].what, found.origins[0].message) == ("argument", "x[1] = nan")


def test_narrow_search_and_all_questions_at_once_find_the_same(monkeypatch):
    q, k, v = queries(1)
    plain = {"wrt": (0, 1, 2), "mend": False}
    monkeypatch.setattr(culprits, "AT_ONCE", 10_000)
    at_once = dk.blame(masked_attention, q, k, v, **plain)
    monkeypatch.setattr(culprits, "AT_ONCE", 0)
    narrowed = dk.blame(jax.checkpoint(masked_attention), q, k, v, **plain)
    assert [each.text for each in narrowed.causes] == ["o = p @ v"]
    assert narrowed.causes == at_once.causes
    assert narrowed.origins == at_once.origins


# --- controls ------------------------------------------------------------------------------------


def test_a_finite_gradient_is_ok():
    found = dk.blame(lambda x: jnp.sum(x**2), jnp.arange(3.0))
    assert found.ok
    assert found
    assert found.cause is None
    assert str(found) == "FINITE    f = 5 and its gradient by x"


def test_infinite_data_that_does_not_reach_the_gradient_is_ok_and_told():
    def clipped(w, x):
        return jnp.sum(jnp.where(x < 9, w, 0.0))

    found = dk.blame(clipped, jnp.ones(3), jnp.array([1.0, jnp.inf, 2.0]))
    assert found.ok
    assert found.notes == ("x[1] = inf, which does not reach the gradient",)


def test_what_is_not_on_the_way_to_the_gradient_is_not_blamed():
    def detached(x):
        noise = jax.lax.stop_gradient(jnp.where(x > 0, jnp.sqrt(x), 0.0))
        return jnp.sum(noise * x) + jnp.sqrt(jnp.sum(x[1:] ** 2))

    found = blamed(detached, jnp.array([-1.0, 0.0]))
    assert len(found.causes) == 1
    assert "cotangent 1 * partial derivative inf" in found.cause.message


def test_an_infinite_derivative_has_no_mend():
    found = blamed(lambda x: jnp.sqrt(x), 0.0)
    assert str(found).startswith("INF")
    assert found.mend is None
    assert "the derivative on the right is inf" in found.rejected[0].message


def test_a_mend_that_changes_the_loss_is_refused():
    found = blamed(lambda x: jnp.exp(-1.0 / x**2), 0.0)  # 0 at 0, and exp(-1) with the guard
    assert found.mend is None
    assert found.rejected[0].message == "changes the loss to 0.3678795"


def test_a_program_without_an_equation():
    found = dk.blame(lambda x: x, float("nan"))
    assert found.leaves == ()  # its derivative is 1
    assert found.origins[0].message == "x = nan"


def test_a_pole_of_the_loss_is_no_defect_of_the_program():
    found = blamed(lambda x: 1.0 / (2.0 * x), 0.0)
    assert found.mend is None
    assert "the loss is inf as written" in found.rejected[0].message


def test_the_users_settings_are_the_same_afterwards_and_debug_nans_does_not_interfere():
    with jax.debug_nans(True):
        found = dk.blame(half_root, jnp.array([4.0, -1.0]), mend=False)
        assert jax.config.jax_debug_nans
        with pytest.raises(FloatingPointError):
            jax.grad(half_root)(jnp.array([4.0, -1.0]))
    assert found.cause.primitive == "sqrt"
    assert not jax.config.jax_enable_x64


def test_the_answer_is_plain_data():
    found = blamed(half_root, jnp.array([4.0, -1.0]))
    read = json.loads(found.to_json())
    assert read["schema"] == 1
    assert read["ok"] is False
    assert read["causes"][0]["primitive"] == "sqrt"
    assert read["leaves"] == [{"name": "x", "shape": [2], "nan": 1, "inf": 0}]
    overflow = dk.blame(lambda x: jnp.exp(x), 1000.0, mend=False)
    assert json.loads(overflow.to_json())["value"] == "inf"


@pytest.mark.parametrize(
    ("loss", "args", "options", "said"),
    [
        (3, (), {}, "expected a JAX function"),
        (lambda x: x, (1,), {}, "write 1.0 for 1"),
        (lambda x: 2 * x, (np.ones(3),), {}, "a loss is one number"),
        (lambda x: (x, x), (1.0,), {}, "has_aux=True"),
        (lambda x: x, (1.0,), {"has_aux": True}, "returns no pair"),
        (lambda x: x, ("a",), {}, "no array"),
        (lambda x: x, (jax.ShapeDtypeStruct((), "float32"),), {}, "give the values"),
        (lambda x: x, (1.0,), {"wrt": "q"}, "names 0 of the arrays; known: x"),
        (lambda x: x, (1.0,), {"wrt": 5}, "no position"),
        (lambda x: x, (1.0,), {"wrt": ()}, "empty tuple"),
        (lambda x: x, (1.0,), {"seconds": -1}, "positive"),
        (lambda x: x, (1.0,), {"seed": "a"}, "whole number"),
        (lambda x: x * 1j, (1.0,), {}, "real number"),
        (lambda x: None, (1.0,), {}, "returns 0 arrays"),
        (lambda x: x.foo, (1.0,), {}, "has no attribute foo"),
        (lambda: 1.0, (), {}, "is given no array"),
        (
            lambda x: jax.lax.while_loop(lambda s: s < 9, lambda s: 2 * s, x),
            (1.0,),
            {},
            "Reverse-mode differentiation does not work",
        ),
    ],
)
def test_hostile_questions_end_in_one_sentence(loss, args, options, said):
    with pytest.raises(UsageError, match=said):
        dk.blame(loss, *args, **options)


def test_keys_counters_and_integers_are_arguments_like_any_other():
    def noisy(params, key, tokens, rate=0.5):
        h = params["table"][tokens]
        h = h * jax.random.bernoulli(key, rate, h.shape)
        return jnp.sum(jnp.where(h > 100, jnp.log(h - 200), h))

    params = {"table": jnp.ones((5, 3)), "steps": jnp.arange(4)}
    args = (params, jax.random.key(0), jnp.array([0, 2, 2]))
    found = dk.blame(noisy, *args, rate=0.5)
    assert found.ok  # log(-199) is NaN, its derivative is not: nothing reaches the gradient
    assert any("key (a random key) is fixed" in note for note in found.notes)

    def rooted(params, key, tokens):
        return jnp.sum(jnp.sqrt(noisy(params, key, tokens) - noisy(params, key, tokens)))

    found = dk.blame(rooted, *args, mend=False)
    assert found.cause.primitive == "sqrt"
    assert [leaf.name for leaf in found.leaves] == ["params.table"]


# --- real size -----------------------------------------------------------------------------------


class Network(nnx.Module):
    def __init__(self, width, rngs):
        self.first = nnx.Linear(512, width, rngs=rngs)
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.second = nnx.Linear(width, width, rngs=rngs)
        self.last = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, x):
        h = self.drop(nnx.gelu(self.norm(self.first(x))))
        return self.last(nnx.gelu(self.second(h)))


def step_of(width: int, rows: int):
    graph, state = nnx.split(Network(width, nnx.Rngs(0)))

    def loss(state, x, labels):
        z = nnx.merge(graph, state)(x)
        fit = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), labels[:, None], 1))
        gap = z[:, 0] - z[:, 0]
        return fit + 0.01 * jnp.mean(jnp.sqrt(gap**2))

    x = jax.random.normal(jax.random.key(1), (rows, 512))
    return loss, (state, x, jnp.arange(rows) % 10)


def assert_the_poisoned_term_is_found(width: int, rows: int) -> float:
    loss, args = step_of(width, rows)
    start = time.monotonic()
    found = dk.blame(jax.jit(loss), *args)
    seconds = time.monotonic() - start
    arrays = [leaf for leaf in jax.tree.leaves(args[0]) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    # the term reads one of the ten logits: the other columns of the last layer stay clean
    clean = 9 * (width + 1)
    assert sum(leaf.nan for leaf in found.leaves) == sum(leaf.size for leaf in arrays) - clean
    assert found.cause.primitive == "sqrt"
    assert found.cause.text == "return fit + 0.01 * jnp.mean(jnp.sqrt(gap**2))"
    assert found.mend.is_recommended
    assert "right along state." in found.mend.message
    assert any("drop.rngs.key" in note for note in found.notes)
    return seconds


@pytest.mark.slow
def test_a_model_of_a_million_parameters_takes_seconds():
    # 5 to 10 s on two quiet cores; the bound leaves room for a loaded machine
    assert assert_the_poisoned_term_is_found(width=1024, rows=256) < 100


def test_an_underflow_is_no_kink():
    """sqrt(sum of squares) at 1e-30: the squares are 0 in float32, the derivative is a number."""

    def norm(x):
        return jnp.sqrt(jnp.sum(x**2))

    found = dk.blame(norm, jnp.array([3e-30, 4e-30]))
    assert found.mend is None
    assert any("the derivative is 0.6" in str(each) for each in found.rejected), found


def test_a_wrong_guard_is_refused_in_half_precision_too():
    def share(x):
        return jnp.sum(x / jnp.sum(x))

    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        assert dk.blame(share, jnp.array([1.0, -1.0], dtype)).mend is None
