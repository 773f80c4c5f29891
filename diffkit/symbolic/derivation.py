"""A derivation as a value: its steps, and how it is written as text, LaTeX and Markdown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

import sympy as sp

from diffkit.symbolic.certificate import Certificate
from diffkit.symbolic.layout import show
from diffkit.typeset import Style

#: Rules as a heading says them; others are written as they are.
HEADINGS: Mapping[str, str] = {
    "constant": "constant rule",
    "constant multiple": "constant multiple rule",
    "sum": "sum rule",
    "product": "product rule",
    "quotient": "quotient rule",
    "power": "power rule",
    "chain": "chain rule",
    "exponential": "exponential function",
    "logarithm": "logarithm",
    "piecewise": "case by case",
    "substitution": "put together",
    "rewrite": "textbook form",
}


@dataclass(frozen=True)
class Step:
    """One line of a derivation: before = after, as values.

    Args:
        rule: Name of the rule ("chain", "power", "rewrite", ...).
        before: What is rewritten; unevaluated `Derivative` nodes are still to be done.
        after: What it equals.
        note: One clause, or "".
        certificate: Where both sides were compared numerically.
        level: Depth of indentation, 0 for the outermost function.
        where: Names introduced by the step, u -> 3x^2 - x + 1.
        round_number: Which differentiation it belongs to, from 1.
    """

    rule: str
    before: sp.Expr
    after: sp.Expr
    note: str
    certificate: Certificate
    level: int = 0
    where: Mapping[sp.Symbol, sp.Expr] = field(default_factory=dict)
    round_number: int = 1

    def heading(self, style: Style = "text") -> str:
        """The rule with its note, "chain rule: let u = 3x^2 - x + 1"."""
        name = HEADINGS.get(self.rule, self.rule)
        detail = self.note
        for u, inner in self.where.items():
            equation = _inline(sp.Eq(u, inner, evaluate=False), style)
            if self.rule == "chain":
                outer = self.before.args[0].xreplace({inner: u})
                detail = f"let {equation}, then f = {_inline(outer, style)}"
            elif self.rule == "substitution":
                return f"substitute {equation}"
        return f"{name}: {detail}" if detail else name

    def sides(self, style: Style = "text") -> tuple[str, str]:
        """Before and after as they are written."""
        return show(self.before, style), show(self.after, style)

    def equation(self, style: Style = "text") -> str:
        """Before = after."""
        return " = ".join(self.sides(style))

    @property
    def latex(self) -> str:
        """The equation in LaTeX."""
        return self.equation("latex")

    def __str__(self) -> str:
        return f"{self.heading()}\n  {self.equation()}"

    def html(self) -> str:
        """Heading and equation, the equation as MathML."""
        return f"<p>{escape(self.heading())}</p>{_mathml(self.before, self.after)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"

    def _repr_html_(self) -> str:
        return self.html()


@dataclass(frozen=True)
class Derivation:
    """A derivative with the steps that lead to it.

    Args:
        target: What is differentiated.
        x: The variable.
        result: The derivative in textbook form.
        steps: In the order a person writes them, outermost function first.
        certificate: The result against a difference quotient of the target.
        order: Order of the derivative.
        notes: What the result leaves out ("away from the kink x = 0").
    """

    target: sp.Expr
    x: sp.Symbol
    result: sp.Expr
    steps: tuple[Step, ...]
    certificate: Certificate
    order: int = 1
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, index: int) -> Step:
        return self.steps[index]

    @property
    def claim(self) -> sp.Expr:
        """The unevaluated derivative that `result` equals."""
        return sp.Derivative(self.target, (self.x, self.order), evaluate=False)

    def text(self) -> str:
        """Numbered steps, indented by depth, the result in the last line."""
        lines: list[str] = []
        for number, step in enumerate(self.steps, start=1):
            indent = "   " * step.level
            lines += [f"{indent}{number}. {step.heading()}", f"{indent}   {step.equation()}"]
        lines += [f"note: {note}" for note in self.notes]
        lines.append(self._conclusion("text"))
        return "\n".join(lines)

    def latex(self) -> str:
        """An `align*` environment, one line a step, with the rule in text beside it."""
        rows = [
            rf"{show(step.before, 'latex')} &= {show(step.after, 'latex')} "
            rf"&& \text{{{HEADINGS.get(step.rule, step.rule).replace('_', ' ')}}}"
            for step in self.steps
        ]
        last = rf"{show(self.claim, 'latex')} &= {show(self.result, 'latex')}"
        body = " \\\\\n".join([*rows, last])
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"

    def markdown(self) -> str:
        """A nested list with formulas in dollar signs."""
        lines = []
        for step in self.steps:
            indent = "  " * step.level
            lines.append(f"{indent}- **{step.heading('latex')}**  ")
            lines.append(f"{indent}  $\\displaystyle {step.latex}$")
        lines += [f"\n*{note}*" for note in self.notes]
        lines.append(f"\n$\\displaystyle {self._conclusion('latex')}$")
        return "\n".join(lines)

    def html(self) -> str:
        """An ordered list of steps with formulas as MathML, the result below it."""
        items = "".join(f"<li>{step.html()}</li>" for step in self.steps)
        notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in self.notes)
        result = _mathml(self.claim, self.result)
        return f'<div class="diffkit-derivation"><ol>{items}</ol>{notes}{result}</div>'

    def _conclusion(self, style: Style) -> str:
        return f"{show(self.claim, style)} = {show(self.result, style)}"

    def __str__(self) -> str:
        return self.text()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self._conclusion('latex')}$"

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str:
        return self.html()


def _mathml(left: sp.Expr, right: sp.Expr) -> str:
    return show(sp.Eq(left, right, evaluate=False), "mathml")


def _inline(expr: sp.Expr, style: Style) -> str:
    shown = show(expr, style)
    return f"${shown}$" if style == "latex" else shown
