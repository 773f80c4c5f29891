"""Array text to arrays, without eval: what `diffkit check` reads as NumPy-like claims.

`text_grammar.read` makes a tree, this module computes its array: `*` acts entry by entry with
NumPy's broadcasting, `@` is the matrix product, decimals are exact rationals.  Names given by the
caller win over functions and constants; n, m, d, N, K are lengths when nothing is called so.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, NoReturn

import sympy as sp

from diffkit.core.errors import ParseError, UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.symbolic.names import CALLEES, CONSTANTS
from diffkit.symbolic.tokens import visible
from diffkit.tensor import views
from diffkit.tensor.notation import open_array as oa
from diffkit.tensor.notation import open_matrices as om
from diffkit.tensor.notation.array_functions import (
    ARRAY_FUNCTIONS,
    OPTIONS,
    SPELLINGS,
    ArrayFunction,
    function_named,
)
from diffkit.tensor.notation.lengths import Length, shape_of
from diffkit.tensor.notation.open_array import OpenArray
from diffkit.tensor.notation.reading import Reading, Sizes, settle, size_symbol
from diffkit.tensor.notation.syntax import RELATIONS, SIZE_NAMES, Tree, not_too_deep, unknown_name
from diffkit.tensor.notation.text_forms import FORMS, METHODS, check_einsum, place_of, take_entries
from diffkit.tensor.notation.text_grammar import read
from diffkit.tensor.views import View


def read_text(
    text: str,
    names: Mapping[str, View],
    *,
    constants: Mapping[str, int] | None = None,
    shape: Sequence[int] | None = None,
) -> Reading:
    """Read an array formula written as NumPy code.

    Args:
        text: At most 10 000 characters, such as "2*X.T @ (X @ w - y) / n".
        names: The arrays it may name.
        constants: Values of size symbols.
        shape: Shape that is asked for; it settles the size of a bare `I`.

    Returns:
        The array, and the size symbols that have no value yet.

    Raises:
        ParseError: the text is no formula, or shapes do not fit; a caret shows where.
        UnknownNameError: a name stands for nothing.

    >>> from diffkit.tensor.nodes import var
    >>> names = {"X": views.view(var("X", (5, 3))), "w": views.view(var("w", (3,)))}
    >>> reading = read_text("X.T @ (X @ w) / n", names)
    >>> reading.view.shape, reading.sizes
    ((3,), frozenset({n}))
    """
    reader = _TextReader(text, names, Sizes(constants or {}))
    view = not_too_deep(text, lambda: reader.view(read(text, names), shape))
    return Reading(
        view=view,
        sizes=reader.sizes.open_symbols(),
        fixed=reader.sizes.fixed(),
        indices=(),
        notes=(),
        again=lambda values: read_text(
            text, names, constants={**(constants or {}), **values}, shape=shape
        ),
    )


class _TextReader:
    """Computes the array of a tree."""

    def __init__(self, text: str, names: Mapping[str, View], sizes: Sizes) -> None:
        self.text = text
        self.names = names
        self.sizes = sizes
        self.open: list[Length] = []

    def error(self, reason: str, tree: Tree) -> ParseError:
        return ParseError(reason, visible(self.text), tree.position)

    def fail(self, reason: str, tree: Tree) -> NoReturn:
        raise self.error(reason, tree)

    def view(self, tree: Tree, shape: Sequence[int] | None) -> View:
        """The view of the whole formula, once the size of every `I` is known."""
        result = settle(self.value(tree), shape)
        for length in self.open:
            if length.value is None:
                remedy = "write eye(4)" if length.name == "I" else f"give a value of {length.name}"
                raise ParseError(
                    f"the size of {length.name} does not follow from the formula; {remedy}",
                    visible(self.text),
                    length.position,
                )
        return oa.numeric(result).make()

    def build(self, tree: Tree) -> OpenArray:
        """The array of a tree; errors of arrays point at it, also when its view is made later."""
        return self.located(tree, lambda: getattr(self, f"build_{tree.kind}")(tree))

    def located(self, tree: Tree, compute: Callable[[], OpenArray]) -> OpenArray:
        try:
            result = compute()
        except UsageError as error:
            if isinstance(error, ParseError) or "\n" in str(error):
                raise
            self.fail(str(error), tree)
        make = result.make

        def located_make() -> View:
            try:
                return make()
            except ParseError:
                raise
            except UsageError as error:
                self.fail(str(error), tree)

        return oa.array(result.shape, located_make, result.indices, is_truth=result.is_truth)

    def value(self, tree: Tree) -> OpenArray:
        """The array of a tree that must be one value; truth values count as 0 and 1."""
        return self.build(tree)

    # operands -------------------------------------------------------------------------------------

    def build_number(self, tree: Tree) -> OpenArray:
        return oa.number(sp.Rational(tree.value.numerator, tree.value.denominator))

    def build_name(self, tree: Tree) -> OpenArray:
        name = tree.name
        if name in self.names:
            return oa.given(self.names[name])
        if name in self.sizes.values or name in SIZE_NAMES:
            self.sizes.used.add(name)
            return oa.size(self.sizes.length(name), size_symbol(name))
        if name == "I":
            length = Length(name="I", position=tree.position)
            self.open.append(length)
            return oa.identity(length)
        if name in CONSTANTS and name != "EulerGamma":
            return oa.number(CONSTANTS[name])
        if name in ("True", "False"):
            self.fail(f"{name} is a condition; write 1 or 0", tree)
        if name in ("newaxis", "None"):
            self.fail("None only stands in an index: x[:, None]", tree)
        if function_named(name) or name in FORMS or name in CALLEES:
            self.fail(f"{name} is a function: write {name}(...)", tree)
        raise unknown_name(name, list(self.names), self.text, tree.position)

    def build_tuple(self, tree: Tree) -> NoReturn:
        self.fail("a comma only separates the arguments of a function; write one value", tree)

    def build_list(self, tree: Tree) -> NoReturn:
        self.fail("a list only stands in array, block, concatenate or stack", tree)

    def build_quoted(self, tree: Tree) -> NoReturn:
        self.fail("quoted text only stands in einsum('ij,jk->ik', A, B) and as a norm's name", tree)

    # operators ------------------------------------------------------------------------------------

    def build_sum(self, tree: Tree) -> OpenArray:
        signs = [1, *(-1 if op == "-" else 1 for op in tree.operators)]
        terms = [self.value(arg) for arg in tree.args]
        return oa.total(list(zip(signs, terms, strict=True)))

    def build_product(self, tree: Tree) -> OpenArray:
        result = self.value(tree.args[0])
        rules = {"*": oa.multiply, "/": oa.divide, "@": om.matmul}
        for operator, arg in zip(tree.operators, tree.args[1:], strict=True):
            other = self.value(arg)
            compute = partial(rules[operator], result, other)
            result = self.located(tree if operator == "@" else arg, compute)
        return result

    def build_negate(self, tree: Tree) -> OpenArray:
        return oa.total([(-1, self.value(tree.args[0]))])

    def build_power(self, tree: Tree) -> OpenArray:
        return oa.power(*(self.value(arg) for arg in tree.args))

    def build_compare(self, tree: Tree) -> OpenArray:
        sides = [self.value(arg) for arg in tree.args]
        pairs = zip(sides, tree.operators, sides[1:], strict=False)
        return reduce(oa.both, (oa.compare(RELATIONS[op], a, b) for a, op, b in pairs))

    def condition(self, tree: Tree) -> OpenArray:
        """A condition, such as X > 0."""
        result = self.build(tree)
        if not result.is_truth:
            self.fail("a condition such as x > 0 is needed here; put it in parentheses", tree)
        return result

    def build_and(self, tree: Tree) -> OpenArray:
        return reduce(oa.both, map(self.condition, tree.args))

    def build_or(self, tree: Tree) -> OpenArray:
        return oa.negation(reduce(oa.both, (oa.negation(self.condition(a)) for a in tree.args)))

    def build_not(self, tree: Tree) -> OpenArray:
        return oa.negation(self.condition(tree.args[0]))

    # parts of arrays ------------------------------------------------------------------------------

    def build_attribute(self, tree: Tree) -> OpenArray:
        (inner,) = tree.args
        if tree.name == "T":
            return oa.apply(views.matrix_transpose, self.value(inner), own=self.transposed(inner))
        if tree.name == "mT":
            return om.transpose(self.value(inner))
        if tree.name == "size":
            lengths = self.value(inner).own
            return oa.number(sp.prod(shape_of(lengths)))
        if tree.name == "shape":
            self.fail("take one length: X.shape[0]", tree)
        raise self.error(
            f"an array has no attribute {tree.name!r}; known: T, mT, shape, size, and the methods "
            f"{', '.join(sorted(METHODS))}",
            tree,
        )

    def transposed(self, inner: Tree) -> tuple[Length, ...]:
        own = self.value(inner).own
        if len(own) > 2:
            self.fail("write transpose(X, (0, 2, 1)) for more than two axes", inner)
        return own[::-1]

    def build_index(self, tree: Tree) -> OpenArray:
        inner, *entries = tree.args
        if inner.kind == "attribute" and inner.name == "shape" and len(entries) == 1:
            return self.length_of(inner.args[0], entries[0])
        if inner.kind == "call" and inner.name == "slogdet" and len(entries) == 1:
            kind = {0: "detsign", 1: "logdet"}.get(place_of(entries[0]) or 0)
            return self.call(tree, function_named(kind or ""), list(inner.args), {})
        return take_entries(self, self.value(inner), entries)

    def length_of(self, array: Tree, entry: Tree) -> OpenArray:
        own = self.value(array).own
        place = place_of(entry)
        if place is None or not -len(own) <= place < len(own):
            self.fail(f"an array of {len(own)} axes has no such length", entry)
        return oa.size(own[place])

    # calls ----------------------------------------------------------------------------------------

    def build_call(self, tree: Tree) -> OpenArray:
        name = tree.name
        if name in self.names and not tree.extra[0]:
            self.fail(f"{name} is an array: write {name}*(...) for a product", tree)
        if name in FORMS:
            return FORMS[name](self, tree)
        if self.is_scalar_call(tree):
            callee = CALLEES[name]
            self.check_count(tree, callee.least, callee.most)
            args = [self.value(arg) for arg in tree.args]
            if callee.make is sp.Pow:
                return oa.power(*args)
            return oa.scalar_function(callee.make, getattr(callee.make, "__name__", name), *args)
        function = function_named(name)
        if function is None:
            raise self.unknown_function(tree)
        return self.call(tree, function, list(tree.args), dict(tree.keywords))

    def is_scalar_call(self, tree: Tree) -> bool:
        """Whether a name of both kinds means the scalar function: max(x, 0), but not jnp.max."""
        if tree.name not in CALLEES:
            return False
        if function_named(tree.name) is None:
            return True
        return len(tree.args) > 1 and not tree.keywords and not tree.extra[0]

    def unknown_function(self, tree: Tree) -> UsageError:
        known = {*ARRAY_FUNCTIONS, *SPELLINGS, *CALLEES, *FORMS}
        hint = did_you_mean(tree.name, known)
        functions = ", ".join(sorted({*ARRAY_FUNCTIONS, *FORMS}))
        reason = (
            f"no function is called {tree.name!r}; {hint}for a product write {tree.name}*(...); "
            f"known besides the scalar functions: {functions}"
        )
        error = unknown_name(tree.name, [], self.text, tree.position)
        return type(error)(str(ParseError(reason, visible(self.text), tree.position)))

    def check_count(self, tree: Tree, least: int, most: float) -> None:
        count = len(tree.args)
        if tree.keywords:
            self.fail(f"{tree.name} takes no argument called {tree.keywords[0][0]}", tree)
        if not least <= count <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            plural = "s" if wanted != "1" else ""
            self.fail(f"{tree.name} takes {wanted} argument{plural}, not {count}", tree)

    def build_method(self, tree: Tree) -> OpenArray:
        inner, *args = tree.args
        name = METHODS.get(tree.name)
        function = function_named(name or "")
        if function is None or name is None:
            self.fail(
                f"an array has no method {tree.name!r}; known: {', '.join(sorted(METHODS))}", tree
            )
        if name in ("reshape", "transpose") and len(args) > 1:
            args = [Tree("tuple", args[0].position, args=tuple(args))]
        return self.call(tree, function, [inner, *args], dict(tree.keywords))

    def call(
        self,
        tree: Tree,
        function: ArrayFunction | None,
        args: list[Tree],
        keywords: dict[str, Tree],
    ) -> OpenArray:
        """A function of arrays with its options."""
        if function is None:
            self.fail("slogdet(X)[1] is the logarithm, slogdet(X)[0] the sign", tree)
        keywords = {("axes" if k == "axis" and "axes" in function.options else k): v
                    for k, v in keywords.items()}  # fmt: skip
        for k, name in enumerate(function.options, start=function.most):
            if k < len(args):
                keywords.setdefault(name, args[k])
        arrays, extra = args[: function.most], args[function.most + len(function.options) :]
        wrong = [name for name in keywords if name not in function.options]
        is_short = any(name not in keywords for name in function.options[: function.needed])
        if len(arrays) < function.least or extra or wrong or is_short:
            options = f" and the options {', '.join(function.options)}" if function.options else ""
            plural = "s" if function.most > 1 else ""
            self.fail(f"{tree.name or 'it'} takes {function.most} array{plural}{options}", tree)
        options = {name: self.option(name, value) for name, value in keywords.items()}
        operands = [self.value(arg) for arg in arrays]
        return oa.apply(lambda *parts: function.run(*parts, **options), *operands)

    def option(self, name: str, tree: Tree) -> Any:
        """The value of an option."""
        return getattr(self, f"option_{OPTIONS[name]}")(tree)

    def option_whole(self, tree: Tree) -> int:
        place = place_of(tree)
        if place is None:
            return shape_of([self.length(tree)])[0]
        return place

    def option_axis(self, tree: Tree) -> Any:
        if tree.kind == "name" and tree.name == "None":
            return None
        if tree.kind in ("tuple", "list"):
            return tuple(self.option_whole(arg) for arg in tree.args)
        return self.option_whole(tree)

    def option_flag(self, tree: Tree) -> bool:
        if tree.kind != "name" or tree.name not in ("True", "False"):
            self.fail("True or False is needed here", tree)
        return tree.name == "True"

    def option_shape(self, tree: Tree) -> Any:
        if tree.kind in ("tuple", "list"):
            return tuple(self.option_whole(arg) for arg in tree.args)
        return self.option_whole(tree)

    def option_order(self, tree: Tree) -> Any:
        if tree.kind == "quoted":
            return tree.name
        if tree.kind == "name" and tree.name in ("inf", "oo"):
            return sp.oo
        if tree.kind == "negate":
            return -self.option_order(tree.args[0])
        if tree.kind == "name" and tree.name == "None":
            return None
        literal = oa.literal_of(self.value(tree).make())
        if literal is None:
            self.fail("the order of a norm is a number, inf, 'fro' or 'nuc'", tree)
        return literal

    def length(self, tree: Tree) -> Length:
        """A length: a whole number, a size symbol or X.shape[0]."""
        place = place_of(tree)
        if place is not None:
            if place < 0:
                self.fail("a length is not negative", tree)
            return Length(place)
        if tree.kind == "name" and tree.name not in self.names:
            if tree.name in self.sizes.values or tree.name in SIZE_NAMES:
                self.sizes.used.add(tree.name)
                length = self.sizes.length(tree.name)
                length.position = tree.position
                self.open.append(length)
                return length
            raise unknown_name(tree.name, list(self.names), self.text, tree.position)
        literal = oa.literal_of(self.value(tree).make())
        if literal is None or not literal.is_Integer or literal < 0:
            self.fail("a length is a whole number, such as 4 or X.shape[0]", tree)
        return Length(int(literal))

    def einsum(self, tree: Tree) -> OpenArray:
        """Products over labelled axes, as numpy.einsum."""
        inputs, out = check_einsum(self, tree)
        arrays = [oa.numeric(self.value(arg)) for arg in tree.args[1:]]
        for letters, x, arg in zip(inputs, arrays, tree.args[1:], strict=True):
            if len(letters) != x.rank:
                self.fail(f"{letters!r} has {len(letters)} letters for {x.rank} axes", arg)
        return oa.labelled(list(zip(arrays, inputs, strict=True)), out, ())
