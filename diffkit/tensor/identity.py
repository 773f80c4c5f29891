r"""Are two nodes equal?  Equal normal forms, or identity testing with a stated error.

Identity testing evaluates both sides at random points modulo random primes (Schwartz 1980; Zippel
1979).  What is no polynomial is an atom: a pseudo-random residue that depends only on the
function and its argument, so equal arguments give equal atoms.  Laws that hold between atoms are
built in (exp(u + v) = exp u exp v, sqrt(u)^2 = u, sin^2 + cos^2 = 1, sign and step); others are
not, so two equal formulas may be told apart here, never two different ones taken for equal,
except with the probability that is stated: two different rational functions of degree d in
the atoms agree at a random point with probability at most d/p.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

import numpy as np
import sympy as sp

from diffkit.numeric import modular
from diffkit.numeric.modular import SMALLEST, NotASquare, Singular
from diffkit.tensor.degrees import degree
from diffkit.tensor.designed import designed, orthogonal
from diffkit.tensor.evaluate import indicator_array
from diffkit.tensor.limits import UNLIMITED, Inconclusive, Limit, moderate
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Const,
    Einsum,
    LinOp,
    Map,
    Node,
    Opaque,
    Reduce,
    Select,
    Var,
    topological,
)
from diffkit.tensor.normal_form import normal_form
from diffkit.tensor.regions import fused_choice, fused_factors
from diffkit.tensor.residue_rules import RULES, elementary
from diffkit.tensor.rewrite import replace, with_sizes

Array = Any

#: Points at which two sides must agree; each is another draw of inputs and atoms.
TRIALS = 3
#: The same where roots are taken: sqrt(t^2) = t holds where t is a square, at every second point,
#: as it holds for positive t.  A law that needs such a sign passes all of these by chance of 2^-32.
ROOT_TRIALS = 32
#: Draws in search of a first point where all roots and inverses exist, and of all the points.
MOST_DRAWS, MOST_ROOT_DRAWS = 60, 600
#: Beyond this many entries of all nodes together identity testing is not attempted.
MOST_ENTRIES = 4_000_000
#: exp(c u) is a whole power of the atom exp(u / PARTS) for c a multiple of 1/PARTS.
PARTS = 24


@dataclass(frozen=True)
class Equality:
    """Whether two nodes were found equal.

    Args:
        is_equal: True: proved. False: not shown (it may hold all the same).
        method: How, for reports.
        error: Probability that a proof is wrong; 0 for normal forms.
        differs: Whether the sides are different functions (where no function but rational ones
            and roots occurs, so that no law between functions can be missing), for some sign of
            the roots: it forbids a verdict by values and refutes nothing.
    """

    is_equal: bool
    method: str
    error: float = 0.0
    differs: bool = False


def prove_equal_nodes(
    left: Node,
    right: Node,
    sizes: Mapping[str, int] | None = None,
    *,
    seconds: float = inf,
) -> Equality:
    """Compare two nodes of one shape.

    Args:
        left: A node.
        right: Another over inputs of the same names.
        sizes: Value of size symbols in coefficients.
        seconds: After this time the identity test is given up; it is asked between nodes.
    """
    limit = Limit(seconds, monotonic() + seconds)
    if left.shape != right.shape:
        return Equality(False, f"shapes {left.shape} and {right.shape} differ", differs=True)
    if sizes:
        left, right = with_sizes(left, sizes), with_sizes(right, sizes)
    left, right = _under_its_laws(left), _under_its_laws(right)
    if normal_form(left) is normal_form(right):
        return Equality(True, "equal normal forms")
    try:
        found = _test(left, right, sizes or {}, limit)
        if found.is_equal or found.differs:
            return found
        return _test(normal_form(left), normal_form(right), sizes or {}, limit)
    except Inconclusive as reason:
        return Equality(False, f"the normal forms differ; no identity test: {reason}")


def tests_equality(*roots: Node) -> bool:
    """Whether a case depends on numbers being equal: identity testing looks beside such points."""
    return any(
        isinstance(node, Map)
        and node.kernel.has(sp.Eq, sp.Ne)
        and any(isinstance(below, Var) for below in topological(node))
        for node in topological(*roots)
    )


def _under_its_laws(root: Node) -> Node:
    """The formula with z for g(z) wherever a fixed point z = g(z) stands in it."""
    changes: dict[Node, Node] = {}
    for node in topological(root):
        image = getattr(node.payload, "image", None) if isinstance(node, Opaque) else None
        if image is not None:
            changes[normal_form(image(node))] = normal_form(node)
    return replace(normal_form(root), changes) if changes else root


def agree_exactly(left: Node, right: Node, sizes: Mapping[str, int]) -> bool:
    """Whether identity testing finds two nodes equal as they stand."""
    try:
        return _test(left, right, sizes).is_equal
    except Inconclusive:
        return False


def _test(left: Node, right: Node, sizes: Mapping[str, int], limit: Limit = UNLIMITED) -> Equality:
    """Test with roots as atoms, and then with the roots that exist modulo the prime."""
    order = list(topological(left, right))
    if sum(int(np.prod(n.shape, dtype=np.int64)) for n in order) > MOST_ENTRIES:
        raise Inconclusive("the arrays are too large")
    trials = _Trials(order, left, right, sizes, limit)
    try:
        found = trials.run(keeps_roots=False)
        if found.is_equal or not trials.has_roots:
            return found
    except Inconclusive:
        if not trials.has_roots:
            raise
    return trials.run(keeps_roots=True)


class _Trials:
    """Random points at which two sides are compared."""

    def __init__(
        self,
        order: Sequence[Node],
        left: Node,
        right: Node,
        sizes: Mapping[str, int],
        limit: Limit,
    ) -> None:
        self.order, self.left, self.right, self.sizes = order, left, right, sizes
        self.limit = limit
        self.has_roots = False

    def run(self, keeps_roots: bool) -> Equality:
        """Compare at points until enough agree or one tells the sides apart.

        Raises:
            Inconclusive: no point was found where all roots and inverses exist, or time is up.
        """
        passed = 0
        for seed in range(MOST_ROOT_DRAWS):
            if seed >= MOST_DRAWS and not passed:
                break
            draw = _Draw(seed, self.sizes, keeps_roots, self.limit)
            try:
                a, b = draw.values(self.order, self.left, self.right)
            except (NotASquare, Singular):
                continue
            finally:
                self.has_roots |= draw.met_roots
            if np.any(a != b):
                if draw.has_atoms:
                    return Equality(
                        False, "identity testing knows no law that makes the sides equal"
                    )
                return Equality(False, "identity testing tells the sides apart", differs=True)
            passed += 1
            if passed == (ROOT_TRIALS if draw.takes_roots else TRIALS):
                return self.proved(passed, draw.takes_roots)
        raise Inconclusive("too few random points were found where all roots and inverses exist")

    def proved(self, passed: int, takes_roots: bool) -> Equality:
        """The sides agreed at so many points."""
        bound = min(degree(self.left) + degree(self.right), 10**8)
        error = (bound / SMALLEST) ** TRIALS + (2.0**-passed if takes_roots else 0.0)
        method = f"identity testing at {passed} points, each modulo another prime near 2^31"
        return Equality(True, f"{method}, wrong with probability < {error:.0e}", error)


def _stable_hash(text: str) -> int:
    value = 1469598103934665603
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 & (2**64 - 1)
    return value


class _Draw:
    """One random point: values of inputs, and an atom for every function and argument."""

    def __init__(
        self, seed: int, sizes: Mapping[str, int], keeps_roots: bool, limit: Limit
    ) -> None:
        self.seed = seed
        self.limit = limit
        self.sizes = sizes
        self.keeps_roots = keeps_roots
        self.random = np.random.default_rng(seed)
        #: Another prime for each point: what holds modulo one of them by chance fails elsewhere.
        self.field = modular.drawn(seed)
        self.programs: dict[Any, int] = {}
        self.known: dict[Node, Array] = {}
        self.has_atoms = False
        #: Whether a root occurs, and whether the values rest on signs drawn at random.
        self.met_roots = self.takes_roots = False

    def values(self, order: Sequence[Node], *roots: Node) -> list[Array]:
        """The values of the roots."""
        self.known.update(designed(order, self))
        for node in order:
            if node not in self.known:
                self.limit.check()
                self.known[node] = self.value(node)
        return [self.known[root] for root in roots]

    # inputs ---------------------------------------------------------------------------------------

    def uniform(self, shape: Sequence[int]) -> Array:
        """Random residues, none 0."""
        return self.random.integers(1, self.field.prime, size=tuple(shape), dtype=np.int64)

    def input(self, node: Var) -> Array:
        """A random value within the declared facts."""
        if node.dtype.startswith(("int", "uint", "bool")):
            raise Inconclusive(f"{node.name} takes whole numbers only")
        drawn = self.uniform(node.shape)
        facts = node.facts
        if facts & {"symmetric", "spd"}:
            lower = np.tril(drawn)
            return (lower + np.swapaxes(np.tril(drawn, -1), -1, -2)) % self.field.prime
        if "orthogonal" in facts:
            # reflections too: det = 1 holds for rotations alone
            self.takes_roots = True
            sign = int(self.random.integers(2))
            drawn = orthogonal(node.shape[-1], self)
            drawn[..., 0, :] = (
                drawn[..., 0, :] * (self.field.prime - 1 if sign else 1) % self.field.prime
            )
            return drawn
        if "triangular" in facts:
            return np.tril(drawn)
        if "simplex" in facts:
            drawn[..., -1] = (1 - drawn[..., :-1].sum(axis=-1)) % self.field.prime
            return drawn
        if "one_hot" in facts:
            raise Inconclusive(f"{node.name} takes finitely many values")
        return drawn

    # nodes ----------------------------------------------------------------------------------------

    def value(self, node: Node) -> Array:
        """The residues of one node whose operands are known."""
        operands = [self.known[x] for x in node.operands]
        match node:
            case Var():
                return self.input(node)
            case Const():
                entries = [self.constant(v) for v in node.values]
                return np.asarray(entries, dtype=np.int64).reshape(node.shape)
            case Affine():
                return indicator_array(node).astype(np.int64)
            case Add():
                return self.total(node)
            case Einsum():
                return self.product(node)
            case Map():
                return self.map(node)
            case Select():
                return self.choice(node, operands)
            case Reduce():
                return self.reduction(node, operands[0])
            case LinOp():
                return self.matrix(node, operands[0])
            case Opaque():
                # equal programs have one number; their text alone may leave something out
                number = self.programs.setdefault(node.payload, len(self.programs))
                name = f"{node.payload}|{number}|{node.index}"
                return self.array_atom(name, operands, node.shape)
        raise Inconclusive(f"{type(node).__name__} has no value modulo a prime")

    def constant(self, value: sp.Basic) -> int:
        """An exact number as a residue; what is not rational is an atom."""
        if value in (sp.true, sp.false):
            return int(bool(value))
        return int(self.scalar(value, {}))

    def total(self, node: Add) -> Array:
        """A linear combination."""
        total = np.zeros(node.shape, dtype=np.int64)
        for c, x, axes in node.terms:
            named = {s: self.sizes[s.name] for s in c.free_symbols if s.name in self.sizes}
            factor = self.constant(c.subs(named) if named else c)
            total = (total + factor * self.lay(self.known[x], axes, node.shape)) % self.field.prime
        return total

    @staticmethod
    def lay(x: Array, axes: Sequence[int], shape: Sequence[int]) -> Array:
        """An operand with its axes at their places, length 1 elsewhere."""
        order = sorted(range(len(axes)), key=axes.__getitem__)
        wide = [1] * len(shape)
        for k, axis in enumerate(axes):
            wide[axis] = np.shape(x)[k]
        return np.transpose(x, order).reshape(wide)

    def map(self, node: Map) -> Array:
        """A kernel, entry by entry."""
        scope = {}
        for place, operand, axes in zip(
            node.kernel.signature, node.operands, node.axes, strict=True
        ):
            scope[place] = _Argument(
                self.lay(self.known[operand], axes, node.shape), operand, axes, node.shape
            )
        found = self.scalar(elementary(node.kernel.expr), scope)
        return np.broadcast_to(np.asarray(found, dtype=np.int64), node.shape)

    def product(self, node: Einsum) -> Array:
        """A product; kernels with kinks in one array are one kernel."""
        pairs = []
        for x, labels in fused_factors(node):
            if x not in self.known:
                self.known[x] = self.value(x)
            pairs.append((self.known[x], labels))
        return self.field.contract(pairs, node.out, node.sizes)

    def choice(self, node: Select, operands: Sequence[Array]) -> Array:
        """A choice, as one kernel where everything in it depends on one array."""
        fused = fused_choice(node)
        if fused is not None:
            return self.map(fused)
        which, yes, no = (
            self.lay(x, a, node.shape) for x, a in zip(operands, node.axes, strict=True)
        )
        return np.broadcast_to((which * yes + (1 - which) * no) % self.field.prime, node.shape)

    def reduction(self, node: Reduce, x: Array) -> Array:
        """A product is computed; a maximum and a logsumexp are atoms of their entries."""
        if node.kind == "prod":
            result = np.ones(node.shape, dtype=np.int64)
            moved = np.moveaxis(x, node.axes, range(len(node.axes)))
            for part in moved.reshape(-1, *node.shape):
                result = result * part % self.field.prime
            return result
        if node.kind == "logsumexp":
            return self.logarithm(self.sum_of_exponentials(node))
        moved = np.moveaxis(x, node.axes, range(len(node.axes))).reshape(-1, *node.shape)
        ordered = np.sort(moved, axis=0)
        return self.atom(node.kind, *ordered)

    def sum_of_exponentials(self, node: Reduce) -> Array:
        """sum exp(u) over the axes of a logsumexp."""
        (operand,) = node.operands
        everything = tuple(range(len(operand.shape)))
        value = self.exponential_of(operand, sp.S.One, everything, operand.shape)
        return value.sum(axis=node.axes) % self.field.prime

    def matrix(self, node: LinOp, x: Array) -> Array:
        """A function of matrices: rational ones are computed, others are atoms."""
        rows, columns = x.shape[-2:] if x.ndim > 1 else (0, 0)
        transposed = np.swapaxes(x, -1, -2) if x.ndim > 1 else x
        match node.kind:
            case "inv":
                return self.field.inverse(x)
            case "det":
                return self.field.determinant(x)
            case "logabsdet":
                return self.logarithm(self.field.determinant(x))
            case "power":
                result = x
                for _ in range(node.params[0] - 1):
                    result = self.field.matmul(result, x)
                return result
            case "pinv":
                if rows >= columns:
                    gram = self.field.inverse(self.field.matmul(transposed, x))
                    return self.field.matmul(gram, transposed)
                gram = self.field.inverse(self.field.matmul(x, transposed))
                return self.field.matmul(transposed, gram)
            case "cholesky":
                self.met_roots = self.takes_roots = True
                half = (self.field.prime + 1) // 2
                return self.field.cholesky(
                    (x + transposed) % self.field.prime * half % self.field.prime
                )
            case "inverse_gaps":
                return self.field.inverse_gaps(x)
        return self.array_atom(f"{node.kind}{node.params}", [x], node.shape)

    def array_atom(self, name: str, operands: Sequence[Array], shape: Sequence[int]) -> Array:
        """A random array that depends on a function's name and its whole arguments."""
        self.has_atoms = True
        key = _stable_hash(name) ^ self.seed
        for x in operands:
            key = _stable_hash(f"{key}|{x.shape}|{x.tobytes().hex()}")
        return np.random.default_rng(key).integers(
            1, self.field.prime, size=tuple(shape), dtype=np.int64
        )

    # scalars --------------------------------------------------------------------------------------

    def atom(self, name: str, *arguments: Array) -> Array:
        """A random residue per entry that depends on a function and its arguments."""
        self.has_atoms = True
        return self.field.hashed(_stable_hash(f"{self.seed}|{name}"), *arguments)

    def scalar(self, expr: sp.Basic, scope: Mapping[sp.Symbol, "_Argument"]) -> Array:
        """A scalar expression at residues of its symbols."""
        if isinstance(expr, sp.Symbol):
            if expr in scope:
                return scope[expr].value
            if expr.name in self.sizes:
                return np.int64(self.sizes[expr.name] % self.field.prime)
            raise Inconclusive(f"the size {expr} has no value")
        if isinstance(expr, sp.Rational):
            return np.int64(self.field.rational(int(expr.p), int(expr.q)))
        if isinstance(expr, sp.Add):
            total: Array = np.int64(0)
            for arg in expr.args:
                total = (total + self.scalar(arg, scope)) % self.field.prime
            return total
        if isinstance(expr, sp.Mul):
            result: Array = np.int64(1)
            for arg in expr.args:
                result = result * self.scalar(arg, scope) % self.field.prime
            return result
        if isinstance(expr, sp.exp):
            return self.exponential(expr.args[0], scope)
        if isinstance(expr, sp.Pow):
            return self.power(expr, scope)
        for kind, rule in RULES.items():
            if isinstance(expr, kind):
                return rule(self, expr, scope)
        if expr in (sp.true, sp.false):
            return np.int64(expr == sp.true)
        if isinstance(expr, sp.Function | sp.NumberSymbol):
            arguments = [self.scalar(arg, scope) for arg in expr.args]
            if not arguments:
                arguments = [np.int64(0)]
            return self.atom(type(expr).__name__, *arguments)
        raise Inconclusive(f"{type(expr).__name__} has no value modulo a prime")

    def power(self, expr: sp.Pow, scope: Mapping[sp.Symbol, "_Argument"]) -> Array:
        """A whole power, a root, or an atom."""
        base = self.scalar(expr.base, scope)
        if expr.exp.is_Integer:
            return self.field.power(base, moderate(int(expr.exp)))
        if expr.exp.is_Rational:
            p, q = int(expr.exp.p), int(expr.exp.q)
            return self.field.power(self.root(base, q), moderate(p))
        exponent = self.scalar(expr.exp, scope)
        return self.atom("pow", base, exponent)

    def root(self, base: Array, q: int) -> Array:
        """The q-th root: exact for q a power of two while that is possible, else an atom."""
        self.met_roots = True
        if self.keeps_roots and q & (q - 1) == 0:
            self.takes_roots = True
            while q > 1:
                base, q = self.field.root(base), q // 2
            return base
        return self.atom(f"root{q}", base)

    def exponential(self, argument: sp.Expr, scope: Mapping[sp.Symbol, "_Argument"]) -> Array:
        """exp of a sum as a product; a rational multiple as a power."""
        result: Array = np.int64(1)
        for term in sp.Add.make_args(sp.expand(argument)):
            c, rest = term.as_coeff_Mul()
            number, symbol = term.as_independent(*scope, as_Add=False)
            if isinstance(symbol, sp.Symbol) and symbol in scope:
                held = scope[symbol]
                part = self.exponential_of(held.node, number, held.axes, held.shape)
            elif isinstance(rest, sp.log):
                part = self.raised(self.scalar(rest.args[0], scope), c)
            else:
                part = self.exponential_atom(self.scalar(rest, scope), c)
            result = result * part % self.field.prime
        return result

    def raised(self, base: Array, c: sp.Expr) -> Array:
        if c.is_Integer:
            return self.field.power(base, moderate(int(c)))
        if c.is_Rational:
            return self.field.power(self.root(base, int(c.q)), moderate(int(c.p)))
        return self.atom("pow", base, np.int64(self.constant(c)))

    def exponential_of(
        self, node: Node, c: sp.Expr, axes: Sequence[int], shape: Sequence[int]
    ) -> Array:
        """exp(c * node) laid into a shape, following the terms of the node."""
        if isinstance(node, Add):
            result: Array = np.ones((1,) * len(shape), dtype=np.int64)
            for inner, x, places in node.terms:
                where = tuple(axes[k] for k in places)
                result = result * self.exponential_of(x, c * inner, where, shape) % self.field.prime
            return np.broadcast_to(result, shape) if not node.operands else result
        if isinstance(node, Const) and not node.shape:
            (value,) = node.values
            return self.exponential(c * value, {})
        if isinstance(node, Reduce) and node.kind == "logsumexp":
            return self.raised(self.lay(self.sum_of_exponentials(node), axes, shape), c)
        if isinstance(node, Map) and isinstance(node.kernel.expr, sp.log):
            inside = node.kernel.expr.args[0]
            scope = {
                place: _Argument(self.lay(self.known[x], a, node.shape), x, a, node.shape)
                for place, x, a in zip(node.kernel.signature, node.operands, node.axes, strict=True)
            }
            value = np.broadcast_to(self.scalar(elementary(inside), scope), node.shape)
            return self.raised(self.lay(value, axes, shape), c)
        return self.exponential_atom(self.lay(self.known[node], axes, shape), c)

    def exponential_atom(self, value: Array, c: sp.Expr) -> Array:
        """exp(c u) as a power of one atom per |u|."""
        count = c * PARTS
        if not count.is_Integer:
            value = value * self.constant(c) % self.field.prime
            count = sp.Integer(PARTS)
        moderate(int(count))
        value = np.asarray(value, dtype=np.int64) % self.field.prime
        is_low = value <= self.field.prime // 2
        base = self.atom("exp", np.where(is_low, value, self.field.prime - value))
        base = np.where(value == 0, 1, base)
        up = self.field.power(base, int(count))
        down = self.field.power(base, -int(count))
        return np.where(is_low, up, down)

    def logarithm(self, value: Array) -> Array:
        """log|u|: log(1/u) = -log u and log|-u| = log|u|."""
        value = np.asarray(value, dtype=np.int64) % self.field.prime
        if np.any(value == 0):
            raise Singular("log 0")
        inverse = self.field.power(value, -1)
        plain = np.minimum(value, self.field.prime - value)
        turned = np.minimum(inverse, self.field.prime - inverse)
        found = self.atom("log", np.minimum(plain, turned))
        found = np.where(plain == 1, 0, found)
        return np.where(plain <= turned, found, self.field.prime - found) % self.field.prime

    def step(self, gap: Array) -> Array:
        """Return the truth of gap > 0: one atom per |gap|, and that of -gap its complement."""
        gap = np.asarray(gap, dtype=np.int64) % self.field.prime
        is_low = gap <= self.field.prime // 2
        found = self.atom("step", np.where(is_low, gap, self.field.prime - gap))
        return np.where(is_low, found, (1 - found) % self.field.prime)

    def odd(self, name: str, value: Array) -> Array:
        """An atom with f(-u) = -f(u)."""
        value = np.asarray(value, dtype=np.int64) % self.field.prime
        is_low = value <= self.field.prime // 2
        found = self.atom(name, np.where(is_low, value, self.field.prime - value))
        found = np.where(value == 0, 0, found)
        return np.where(is_low, found, self.field.prime - found) % self.field.prime

    def circle(self, value: Array) -> tuple[Array, Array]:
        """cos and sin as a rational point of the circle."""
        t = self.odd("tan of the half", value)
        below = self.field.power((1 + t * t) % self.field.prime, -1)
        return (
            (1 - t * t) % self.field.prime * below % self.field.prime,
            2 * t % self.field.prime * below % self.field.prime,
        )


@dataclass(frozen=True, eq=False)
class _Argument:
    """A symbol of a kernel: its residues, the node they are of, and where its axes lie."""

    value: Array
    node: Node
    axes: Sequence[int]
    shape: Sequence[int]
