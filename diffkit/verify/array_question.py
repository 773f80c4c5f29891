"""A claim about a function of arrays with both sides read, and random values for its inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from diffkit.bridge.array_claim import Claimed, read_claim, truth_of
from diffkit.bridge.formula import Formula
from diffkit.bridge.subject import Subject
from diffkit.core.claim import Claim, Kind
from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError, DomainError, UsageError
from diffkit.numeric import matrix_sets
from diffkit.tensor import symmetry
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import Node, Var, topological
from diffkit.verify.replay import arguments_as_data, can_be_given, reference


@dataclass(frozen=True)
class ArrayQuestion:
    """A claim about a function of arrays, with both sides read.

    Args:
        what: The function and its example arguments.
        kind: What is claimed.
        target: The function as a formula.
        truth: What the claim should say, as a formula.
        claimed: The claimed side.
        domains: Declared domains by name of the leaf.
        points: Further points of the user.
        claim: The question as text.
        asked: The claim as the user gave it.
        constants: Values of size symbols the user gave.
    """

    what: Subject
    kind: Kind
    target: Formula
    truth: Formula
    claimed: Claimed
    domains: Mapping[str, Domain]
    points: Sequence[Mapping[str, Any]]
    claim: Claim
    asked: Any
    constants: Mapping[str, int]

    @cached_property
    def inputs(self) -> tuple[Var, ...]:
        """Inputs of both sides: the leaves, and the tangent of a jvp."""
        return self.truth.inputs

    @property
    def variable(self) -> str:
        """Name of the differentiated input in the formulas."""
        return self.what.variable.replace(".", "_")


def read_question(
    what: Subject,
    claim: Any,
    kind: Kind,
    target: Formula,
    domains: Mapping[str, Domain],
    constants: Mapping[str, int] | None,
    points: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> ArrayQuestion:
    """Read the claimed side in the names of the target, and note the question as text."""
    variable = what.variable.replace(".", "_")
    if not what.values[what.wrt].size and kind != "value":
        raise UsageError(f"{what.variable} is empty, so nothing is claimed; give a longer example")
    truth = truth_of(target, variable, kind)
    node = truth.whole
    claimed = read_claim(
        what,
        claim,
        truth.inputs,
        truth.shape,
        node,
        constants or {},
        lambda candidate: agree_somewhere(node, candidate),
    )
    name = reference(what.function)
    record = Claim(
        target=name or what.name,
        claimed=claim if isinstance(claim, str) else claimed.shown,
        wrt=what.variable if kind != "value" else "",
        kind=kind,
        domain={key: str(where) for key, where in domains.items()},
        points=tuple(dict(point) for point in points),
        options={**options, "arguments": arguments_as_data(what)},
        is_replayable=bool(name) and can_be_given(what) and isinstance(claim, str),
    )
    question = ArrayQuestion(
        what, kind, target, truth, claimed, domains, points, record, claim, constants or {}
    )
    return _in_its_convention(question)


def _in_its_convention(question: ArrayQuestion) -> ArrayQuestion:
    """A claim by a symmetric matrix that counts its entries once is held against that."""
    node, truth = question.claimed.node, question.truth.whole
    variable = question.target.input(question.variable)
    is_asked = question.kind == "gradient" and symmetry.is_symmetric_variable(variable)
    if not is_asked or node is None or node.shape != truth.shape:
        return question
    other = symmetry.counted_once(truth)
    if agree_somewhere(truth, node) or not agree_somewhere(other, node):
        return question
    note = f"convention: {symmetry.COUNTED_ONCE} in {variable.name}"
    claimed = replace(question.claimed, notes=(*question.claimed.notes, note))
    return replace(question, truth=question.truth.with_node(other, truth.shape), claimed=claimed)


def read_domains(what: Subject, domain: Mapping[str, Any] | str | None) -> dict[str, Domain]:
    """Declared domains by name of the leaf.

    Raises:
        UsageError: an unknown name.
    """
    found = _named_domains(what, domain)
    given = zip(what.names, what.values, what.is_shape_only, strict=True)
    for name, value, is_shape in given:
        if name in found and not is_shape and not matrix_sets.belongs(value, found[name]):
            raise DomainError(
                f"{name} is not in its domain ({found[name]}); give an array that is, or only its "
                "shape: jax.ShapeDtypeStruct(shape, dtype)"
            )
    return found


def _named_domains(what: Subject, domain: Mapping[str, Any] | str | None) -> dict[str, Domain]:
    if domain is None:
        return {}
    if isinstance(domain, str | Domain):
        return {what.variable: Domain.parse(domain)}
    unknown = sorted(set(domain) - set(what.names))
    if unknown:
        raise UsageError(
            f"domain names {', '.join(unknown)}; the arguments are {', '.join(what.names)}"
        )
    return {name: Domain.parse(where) for name, where in domain.items()}


def agree_somewhere(left: Node, right: Node) -> bool:
    """Whether two nodes have one value at a random point (up to rounding)."""
    if left.shape != right.shape:
        return False
    values = random_values((left, right), 7)
    try:
        a, b = evaluate(left, values), evaluate(right, values)
    except DiffkitError:
        return False
    return bool(np.allclose(a, b, rtol=1e-7, atol=1e-9))


def random_values(nodes: Sequence[Node], seed: int) -> dict[str, Any]:
    """A value for every input below some nodes, within its declared facts."""
    random = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for node in topological(*nodes):
        if isinstance(node, Var) and node.name not in values:
            fact = next(iter(node.facts), "")
            if node.dtype.startswith(("int", "uint", "bool")):
                values[node.name] = np.zeros(node.shape)
            else:
                values[node.name] = matrix_sets.draw(
                    Domain.parse(fact) if fact else Domain(), node.shape, random
                )
    return values
