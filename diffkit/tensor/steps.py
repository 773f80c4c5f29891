r"""A gradient of arrays in steps: names for what the program computes, then their adjoints.

The arguments of the nonlinear functions (pre-activations) get names; the reverse sweep is run
from one name to the next.  So back-propagation is what one reads:
$\delta_l = (W_{l+1}^\top \delta_{l+1}) \odot \varphi'(z_l)$.  Each adjoint is certified by
differences of the formula with respect to the named quantity, which share nothing with the rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_field
from html import escape
from typing import Any

import numpy as np
import sympy as sp

from diffkit.core.errors import CertificateError, DomainError, UnsupportedFunction
from diffkit.symbolic.derivation import Step
from diffkit.symbolic.steps import derive_steps
from diffkit.symbolic.symbols import symbol
from diffkit.tensor import build
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import (
    Add,
    Einsum,
    LinOp,
    Map,
    Node,
    Reduce,
    Var,
    is_truth,
    topological,
    var,
)
from diffkit.tensor.printing import layout
from diffkit.tensor.printing.layout_nodes import spelt
from diffkit.tensor.rewrite import replace
from diffkit.tensor.substitute import substitute
from diffkit.tensor.sweep import pullback
from diffkit.typeset import Name, Style, render

#: Central differences agree with an adjoint to this, relative, at one random direction.
BOUND = 1e-5
STEP = 2.0**-18


@dataclass(frozen=True)
class StepCertificate:
    """The numeric evidence for one step.

    Args:
        error: Relative disagreement with central differences along a random direction.
        bound: What it was allowed to be.
        route: How the other value was obtained.
    """

    error: float
    bound: float = BOUND
    route: str = "central differences of the formula"

    def __str__(self) -> str:
        return f"{self.route}: error {self.error:.0e} <= {self.bound:.0e}"


@dataclass(frozen=True)
class ArrayStep:
    """One line: a name, what it stands for, and what it equals.

    Args:
        rule: "name", "chain rule" or "gradient".
        name: The name that is introduced, or the gradient's own, "df/dW1".
        of: For an adjoint, the quantity it belongs to; "" for a name.
        after: What it equals, a formula in earlier names.
        certificate: Numeric evidence; None for a mere name.
        level: Depth of indentation.
    """

    rule: str
    name: str
    of: str
    after: Node
    certificate: StepCertificate | None = None
    level: int = 0

    @property
    def before(self) -> str:
        """The left side as text."""
        return self.sides()[0]

    def sides(self, style: Style = "text") -> tuple[str, str]:
        """Left and right side of the equation."""
        right = layout.show(self.after, style)
        if not self.of:
            return _named(self.name, style), right
        partial = _partial(self.of, style)
        if self.rule == "gradient":
            return partial, right
        return f"{_named(self.name, style)} = {partial}", right

    def heading(self, style: Style = "text") -> str:
        """The rule, "chain rule through Z2"."""
        return {"name": "let", "gradient": "chain rule at the variable"}.get(self.rule, self.rule)

    def equation(self, style: Style = "text") -> str:
        """Left = right."""
        left, right = self.sides(style)
        return f"{left} = {right}"

    @property
    def latex(self) -> str:
        """The equation in LaTeX."""
        return self.equation("latex")

    def html(self) -> str:
        """Heading and equation, its right side as MathML."""
        left = escape(self.sides()[0])
        return f"<p>{escape(self.heading())}: {left} =</p>{layout.show(self.after, 'mathml')}"

    def __str__(self) -> str:
        return f"{self.heading()}\n  {self.equation()}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


@dataclass(frozen=True)
class ArrayDerivation:
    """The steps that lead to a gradient.

    Args:
        steps: Names, adjoints from the last to the first, then the gradient.
        notes: What the result leaves out.
    """

    steps: tuple[ArrayStep | Step, ...]
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[ArrayStep | Step]:
        return iter(self.steps)

    def __getitem__(self, index: int) -> ArrayStep | Step:
        return self.steps[index]

    def text(self) -> str:
        """Numbered steps."""
        lines = []
        for number, step in enumerate(self.steps, start=1):
            indent = "   " * step.level
            lines += [f"{indent}{number}. {step.heading()}", f"{indent}   {step.equation()}"]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def markdown(self) -> str:
        """A list with formulas in dollar signs."""
        lines = []
        for step in self.steps:
            indent = "  " * step.level
            lines.append(f"{indent}- **{step.heading('latex')}**  ")
            lines.append(f"{indent}  $\\displaystyle {step.latex}$")
        return "\n".join([*lines, *(f"\n*{note}*" for note in self.notes)])

    def latex(self) -> str:
        """An `align*` environment, one line a step."""
        rows = []
        for step in self.steps:
            left, right = step.sides("latex")
            rows.append(rf"{left} &= {right} && \text{{{step.heading()}}}")
        body = " \\\\\n".join(rows)
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"

    def html(self) -> str:
        """An ordered list of steps with formulas as MathML."""
        items = "".join(f"<li>{step.html()}</li>" for step in self.steps)
        notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in self.notes)
        return f'<div class="diffkit-derivation"><ol>{items}</ol>{notes}</div>'

    def __str__(self) -> str:
        return self.text()


def gradient_steps(root: Node, variable: Var, notes: tuple[str, ...] = ()) -> ArrayDerivation:
    """The gradient of a number by one variable, in steps.

    Args:
        root: The formula, of shape ().
        variable: The input.
        notes: What a reader must know.

    Raises:
        CertificateError: a step disagrees with differences (a defect of diffkit).
    """
    marks = _marks(root, variable)
    judge = _Differences(root, marks)
    steps: list[ArrayStep | Step] = [
        ArrayStep("name", mark.own.name, "", mark.definition) for mark in marks
    ]
    slopes = _Slopes(root)
    outermost = _in_names(root, marks)
    parts: dict[Var, list[Node]] = {}
    found: list[Node] = []
    _send_back(outermost, build.const(1), marks, variable, parts, found)
    for mark in reversed(marks):
        own = mark.own
        if own not in parts:
            continue
        formula = _sum(parts[own], own.shape)
        adjoint = var(_adjoint_name(own), own.shape)
        certificate = judge.adjoint(mark, formula, adjoint)
        steps.append(ArrayStep("chain rule", adjoint.name, own.name, formula, certificate))
        steps += slopes.of(mark)
        _send_back(mark.definition, adjoint, marks, variable, parts, found)
    total = _sum(found, variable.shape)
    certificate = judge.adjoint(_Mark(variable, variable, variable, variable), total, None)
    steps.append(ArrayStep("gradient", "", variable.name, total, certificate))
    return ArrayDerivation(tuple(steps), notes)


@dataclass(frozen=True, eq=False)
class _Mark:
    """A quantity that gets a name.

    Args:
        node: The node of the formula.
        own: The variable that stands for it, in the orientation with fewest transposes.
        symbol: What replaces the node: the variable, transposed back where it was turned.
        definition: The variable's value in the names of what lies below.
    """

    node: Node
    own: Var
    symbol: Node
    definition: Node


class _Slopes:
    """The derivatives of the functions applied to named quantities, each written once."""

    def __init__(self, root: Node) -> None:
        self.users: dict[Node, list[sp.Lambda]] = {}
        self.shown: set[sp.Lambda] = set()
        for node in topological(root):
            if isinstance(node, Map) and len(node.operands) == 1 and not is_truth(node.kernel.expr):
                self.users.setdefault(node.operands[0], []).append(node.kernel)

    def of(self, mark: _Mark) -> list[Step]:
        """The scalar steps that give the slopes at a quantity, one level deeper."""
        found: list[Step] = []
        for kernel in self.users.get(mark.node, []):
            if kernel in self.shown:
                continue
            self.shown.add(kernel)
            (place,) = kernel.signature
            x = symbol(mark.own.name.lower())
            try:
                written = derive_steps(substitute(kernel.expr, {place: x}), x)
            except (DomainError, UnsupportedFunction):
                continue  # the array step is certified all the same
            found += [replace_field(step, level=step.level + 1) for step in written]
        return found


def _marks(root: Node, variable: Var) -> list[_Mark]:
    taken = {x.name for x in topological(root) if isinstance(x, Var)}
    nodes = _landmarks(root, variable)
    letter = next(
        (
            each
            for each in "zuvsa"
            if not {f"{c}{k}" for c in (each, each.upper()) for k in range(len(nodes) + 1)} & taken
        ),
        "z_",
    )
    marks: list[_Mark] = []
    for k, node in enumerate(nodes, start=1):
        definition = _in_names(node, marks)
        turned = build.permute(definition, (1, 0)) if len(node.shape) == 2 else definition
        is_turned = turned is not definition and _transposes(turned) < _transposes(definition)
        shape = turned.shape if is_turned else node.shape
        own = var(f"{letter.upper() if len(shape) > 1 else letter}{k}", shape)
        symbol = build.permute(own, (1, 0)) if is_turned else own
        marks.append(_Mark(node, own, symbol, turned if is_turned else definition))
    return marks


def _transposes(node: Node) -> int:
    return layout.show(node).count("ᵀ")


def _in_names(node: Node, marks: Sequence[_Mark]) -> Node:
    """A formula in the names of the quantities below it."""
    return replace(node, {mark.node: mark.symbol for mark in marks if mark.node is not node})


def _landmarks(root: Node, variable: Var) -> list[Node]:
    """Arguments of nonlinear functions that depend on the variable, in order of computation."""
    order = list(topological(root))
    depends: set[Node] = set()
    wanted: dict[Node, None] = {}
    for node in order:
        if node is variable or any(x in depends for x in node.operands):
            depends.add(node)
        is_curve = isinstance(node, Map) and not is_truth(node.kernel.expr)
        if is_curve or isinstance(node, Reduce | LinOp):
            for operand in node.operands:
                is_formula = isinstance(operand, Add | Einsum) and bool(operand.shape)
                if operand in depends and is_formula and operand is not root:
                    wanted[operand] = None
    return [node for node in order if node in wanted]


def _send_back(
    formula: Node,
    adjoint: Node,
    marks: Sequence[_Mark],
    variable: Var,
    parts: dict[Var, list[Node]],
    found: list[Node],
) -> None:
    """Send the adjoint of one formula back to the names it uses, and to the variable."""
    used = set(topological(formula))
    wanted = [mark.own for mark in marks if mark.own in used]
    *sent, last = pullback(formula, [*wanted, variable], adjoint, ())
    found.append(last)
    for own, part in zip(wanted, sent, strict=True):
        if not build.is_zero(part):
            parts.setdefault(own, []).append(part)


def _sum(parts: Sequence[Node], shape: Sequence[int]) -> Node:
    kept = [(build.ONE, part, build.all_axes(part)) for part in parts if not build.is_zero(part)]
    return build.add(kept, shape) if kept else build.zero(shape)


def _adjoint_name(own: Var) -> str:
    digits = "".join(c for c in own.name if c.isdigit())
    return f"{'Delta' if len(own.shape) > 1 else 'delta'}_{digits}"


class _Differences:
    """Differences of the formula with respect to named quantities at one random point."""

    def __init__(self, root: Node, marks: Sequence[_Mark]) -> None:
        self.root = root
        self.random = np.random.default_rng(0)
        self.values: dict[str, Any] = {}
        for node in topological(root):
            if isinstance(node, Var):
                self.values[node.name] = self.draw(node)
        for mark in marks:
            value = evaluate(mark.node, self.values)
            self.values[mark.own.name] = value if mark.symbol is mark.own else value.T

    def draw(self, node: Var) -> Any:
        """A random value of an input, within simple facts."""
        if node.dtype.startswith(("int", "uint", "bool")):
            return np.zeros(node.shape)
        drawn = self.random.normal(size=node.shape)
        if node.facts & {"symmetric", "spd"}:
            drawn = drawn @ np.swapaxes(drawn, -1, -2) / node.shape[-1] + np.eye(node.shape[-1])
        elif node.facts & {"positive", "simplex"}:
            drawn = np.abs(drawn) + 0.1
            drawn = drawn / drawn.sum(axis=-1, keepdims=True) if "simplex" in node.facts else drawn
        return drawn

    def adjoint(self, mark: _Mark, formula: Node, adjoint: Var | None) -> StepCertificate | None:
        """Compare an adjoint with differences along one random direction.

        Raises:
            CertificateError: they disagree.
        """
        value = np.asarray(evaluate(formula, self.values))
        if adjoint is not None:
            self.values[adjoint.name] = value
        own = mark.own
        root = replace(self.root, {mark.node: mark.symbol})
        base = self.values[own.name]
        direction = self.random.normal(size=base.shape)
        step = STEP * max(1.0, float(np.max(np.abs(base), initial=0.0)))
        ends = [
            float(evaluate(root, {**self.values, own.name: base + sign * step * direction}))
            for sign in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * step)
        if not np.isfinite(expected) or not np.all(np.isfinite(value)):
            return None
        scale = max(abs(expected), float(np.linalg.norm(value) * np.linalg.norm(direction)), 1e-12)
        error = abs(float(np.sum(value * direction)) - expected) / scale
        if error > BOUND:
            raise CertificateError(
                f"a step of the derivation is off by {error:.1e} at {own.name}; "
                "this is a defect of diffkit, please report it"
            )
        return StepCertificate(error)


def _named(name: str, style: Style) -> str:
    return render(Name(spelt(name)), style)


def _partial(name: str, style: Style) -> str:
    inner = _named(name, style)
    if style == "latex":
        return rf"\frac{{\partial f}}{{\partial {inner}}}"
    return f"∂f/∂{inner}"
