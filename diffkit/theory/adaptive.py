r"""What adaptive step sizes do: bounds, drifts and stalls in closed form.

Adam moves by $a\,\hat m_t/\sqrt{\hat v_t}$ with exponential averages of the gradients and of their
squares.  Sources: Kingma and Ba (2015), arXiv:1412.6980; Reddi, Kale and Kumar (2018),
arXiv:1904.09237; Duchi, Hazan and Singer (2011); Zeiler (2012), arXiv:1212.5701.  No JAX here.
"""

import sympy as sp

from diffkit.theory.law import Law, Line

a = sp.Symbol("a", positive=True)  # learning rate
#: Decay rates, both below 1 and b1^2 < b2, which the sums need to converge.
b1, b2 = sp.symbols("b1 b2", positive=True)
C, g, c, eps, rho = sp.symbols("C g c eps rho", positive=True)
t = sp.Symbol("t", positive=True, integer=True)
T = sp.Symbol("T", positive=True)
_s = sp.Symbol("s", positive=True)
_step = sp.Symbol("Delta")

ADAM = "Adam with epsilon = 0, decay rates b1 and b2"
KINGMA = "Kingma and Ba (2015), arXiv:1412.6980"


def bias() -> Law:
    """What a constant gradient is multiplied by in an average that starts at 0, after t steps.

    >>> bias().at(b1=0.5, t=3)
    0.875
    """
    left = 1 - b1**t
    lines = (
        Line("next step: the average keeps b1 of itself", b1 * left + 1 - b1, 1 - b1 ** (t + 1)),
        Line("before the first step", left.subs(t, 0), sp.Integer(0)),
    )
    return Law(
        "weight of all gradients in m_t", sp.Symbol("B_t"), left, "b1 < 1", lines, ADAM, KINGMA
    )


def lone_step() -> Law:
    """Adam's step at a gradient that comes after t - 1 gradients of zero.

    It tends to a (1 - b1)/sqrt(1 - b2), which the paper gives as the largest step there is.

    >>> round(lone_step().at(a=1, b1=0.9, b2=0.999, t=1), 9)
    1.0
    """
    first = (1 - b1) * g / (1 - b1**t)
    second = (1 - b2) * g**2 / (1 - b2**t)
    form = a * (1 - b1) / sp.sqrt(1 - b2) * sp.sqrt(1 - b2**t) / (1 - b1**t)
    squared = Line("square of the step", a**2 * first**2 / second, form**2)
    once = Line("the first step of all", form.subs(t, 1), a)
    return Law(
        "Adam's step after t - 1 gradients of zero",
        _step,
        form,
        "b1 < 1, b2 < 1, t >= 1",
        (squared, once),
        ADAM,
        f"{KINGMA}, section 2.1",
    )


def printed_bound() -> Law:
    """The largest step as the paper prints it: the limit of the lone step.

    >>> round(printed_bound().at(a=1, b1=0.9, b2=0.999), 6)
    3.162278
    """
    form = a * (1 - b1) / sp.sqrt(1 - b2)
    gone = {b1**t: 0, b2**t: 0}
    line = Line("lone step with b1^t and b2^t gone", lone_step().formula.subs(gone), form)
    return Law(
        "Adam's largest step, as printed",
        _step,
        form,
        "b1 < 1, b2 < 1, 1 - b1 > sqrt(1 - b2)",
        (line,),
        ADAM,
        f"{KINGMA}, section 2.1",
    )


def largest_step() -> Law:
    r"""The largest step Adam can make, over all gradients: the printed bound is too small.

    By Cauchy and Schwarz $\sum b_1^j g_{t-j} \le
    (\sum (b_1^2/b_2)^j)^{1/2} (\sum b_2^j g_{t-j}^2)^{1/2}$, with equality for gradients that grow
    as $g_{t-j} = (b_1/b_2)^j$, j = 0 ... t - 1.

    >>> round(largest_step().at(a=1, b1=0.9, b2=0.999, t=1), 9)
    1.0
    >>> round(largest_step().at(a=1, b1=0.9, b2=0.999, t=100000), 4)
    7.2703
    """
    ratio = b1**2 / b2
    weight = (1 - ratio**t) / (1 - ratio)  # sum of ratio^j, j < t
    moment = (1 - b1) * weight / (1 - b1**t)
    square = (1 - b2) * weight / (1 - b2**t)
    form = lone_step().formula * sp.sqrt(weight)
    lines = (
        Line("the sum grows by ratio^t", weight + ratio**t, weight.subs(t, t + 1)),
        Line("b1^j g_{t-j} of the growing gradients", b1**t * (b1 / b2) ** t, ratio**t),
        Line("b2^j g_{t-j}^2 of the growing gradients", b2**t * (b1 / b2) ** (2 * t), ratio**t),
        Line("square of the step they make", a**2 * moment**2 / square, form**2),
    )
    return Law(
        "Adam's largest step", _step, form, "b1^2 < b2, b2 < 1", lines, f"{ADAM}, any t gradients"
    )


def second_moments() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """v after the gradients C, -1 and -1 of a period, once v repeats."""
    scale = 1 + b2 + b2**2
    return (
        (C**2 + b2 + b2**2) / scale,
        (1 + b2 * C**2 + b2**2) / scale,
        (1 + b2 + b2**2 * C**2) / scale,
    )


def adam_drift() -> Law:
    r"""Move of Adam without momentum over a period of the gradients C, -1, -1, per step size.

    The sum of the losses, (C - 2) x, wants x to fall; with $b_2 = 1/(1 + C^2)$ Adam lets it rise.

    >>> adam_drift().at(C=4, b2=1/17) > 0
    True
    """
    one, two, three = second_moments()
    form = -C / sp.sqrt(one) + 1 / sp.sqrt(two) + 1 / sp.sqrt(three)
    far = form.subs(b2, 1 / (1 + C**2))
    lines = (
        Line("v after the gradient C", b2 * three + (1 - b2) * C**2, one),
        Line("v after the first -1", b2 * one + 1 - b2, two),
        Line("v after the second -1", b2 * two + 1 - b2, three),
        Line("limit of large C at b2 = 1/(1 + C^2)", sp.Limit(far, C, sp.oo), 1 / sp.sqrt(2)),
    )
    return Law(
        "drift of Adam over a period",
        sp.Symbol("D"),
        form,
        "b1 = 0",
        lines,
        "gradients C, -1, -1 in turn",
        "Reddi, Kale and Kumar (2018), theorem 1",
    )


def amsgrad_drift() -> Law:
    """The same of AMSGrad, whose v stays at the largest value it has had.

    >>> round(amsgrad_drift().at(C=4, b2=1/17), 4)
    -0.5143
    """
    one, two, three = second_moments()
    form = (2 - C) / sp.sqrt(one)
    lines = (
        Line(
            "v after C is above that after -1", one - two, (1 - b2) * (C**2 - 1) / (1 + b2 + b2**2)
        ),
        Line(
            "and above that after the second -1",
            one - three,
            (1 - b2**2) * (C**2 - 1) / (1 + b2 + b2**2),
        ),
        Line("move over a period at that v", (-C + 1 + 1) / sp.sqrt(one), form),
    )
    return Law(
        "drift of AMSGrad over a period",
        sp.Symbol("D"),
        form,
        "b1 = 0, C > 1",
        lines,
        "gradients C, -1, -1 in turn",
        "Reddi, Kale and Kumar (2018), theorem 4",
    )


def corrected_drift() -> Law:
    """The same where the largest v is taken of bias-corrected values, as libraries do.

    The first corrected v is the square of the first gradient, and no later one is larger.

    >>> corrected_drift().at(C=4)
    -0.5
    """
    first = (1 - b2) * C**2 / (1 - b2)
    line = Line("v after the first gradient, corrected", first, C**2)
    return Law(
        "drift of AMSGrad over a period, largest corrected v",
        sp.Symbol("D"),
        (2 - C) / C,
        "b1 = 0, C > 1",
        (line,),
        "gradients C, -1, -1 in turn",
    )


def adagrad_distance() -> tuple[Law, Law]:
    r"""How far Adagrad can be after T steps along one gradient: between two square roots.

    Step s moves by $a g/\sqrt{s g^2} = a/\sqrt s$, and a sum lies between two integrals.

    >>> [round(law.at(a=1, T=100), 3) for law in adagrad_distance()]
    [18.1, 20.0]
    """
    below = Line(
        "least: the integral one step late",
        sp.Integral(1 / sp.sqrt(_s), (_s, 1, T + 1)),
        2 * sp.sqrt(T + 1) - 2,
    )
    above = Line(
        "greatest: the integral from 0", sp.Integral(1 / sp.sqrt(_s), (_s, 0, T)), 2 * sp.sqrt(T)
    )
    found = []
    for side, line in (("least", below), ("greatest", above)):
        found.append(
            Law(
                f"{side} distance of Adagrad after T steps",
                sp.Symbol("X_T"),
                a * line.right,
                "",
                (line,),
                "a constant gradient, epsilon = 0, the sum of squares starts at 0",
                "Duchi, Hazan and Singer (2011)",
            )
        )
    return found[0], found[1]


def adadelta_scale() -> Law:
    """Adadelta's step on c f with c^2 epsilon under the gradients' root: that on f.

    So it has units of the parameter; with one epsilon for both it has them but for epsilon.
    """
    u, v = sp.symbols("u v", positive=True)  # mean squares of steps and of gradients
    step = sp.sqrt(u + eps) / sp.sqrt(v + eps) * g
    scaled = sp.sqrt(u + eps) / sp.sqrt(c**2 * v + c**2 * eps) * (c * g)
    lines = (
        Line("mean square of the scaled gradients", rho * c**2 * v + (1 - rho) * (c * g) ** 2,
             c**2 * (rho * v + (1 - rho) * g**2)),
        Line("step on c f", scaled, step),
    )  # fmt: skip
    return Law(
        "Adadelta's step",
        _step,
        step,
        "",
        lines,
        "mean squares u of steps and v of gradients",
        "Zeiler (2012), arXiv:1212.5701",
    )
