"""`dk.check`: is the claimed derivative right?"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

from diffkit.core.claim import Kind
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict
from diffkit.tensor.notation.scalar_latex import latex_or_text
from diffkit.verify.expression import judge
from diffkit.verify.question import Question, read

BUDGETS = ("fast", "full")


def check(
    f: Any,
    claim: Any,
    *args: Any,
    wrt: Any = None,
    kind: Kind = "gradient",
    order: int = 1,
    assume: Mapping[str, Any] | None = None,
    domain: Mapping[str, Any] | str | None = None,
    conventions: Mapping[str, float] | None = None,
    points: Sequence[Mapping[str, Any]] = (),
    under: Sequence[str] = (),
    seed: int = 0,
    budget: str = "fast",
    constants: Mapping[str, int] | None = None,
    **kwargs: Any,
) -> Verdict:
    r"""Judge a claimed derivative (or value) of a formula or of a JAX function.

    Args:
        f: Formula text, LaTeX of numbers, SymPy expression, or JAX function.
        claim: Formula text, SymPy expression or JAX function; also a relation of the
            derivative (">= 0"), or "~0.002" for a value rounded as printed.  About a function of
            arrays: text in matrix notation ("2*X.T@(X@w-y)/n") or LaTeX.
        *args: Example arguments of a JAX function: the first judged point.
        wrt: Name (for a function also the position) of the variable.
        kind: "gradient", "hessian" (order 2 of a scalar), "value" or "function" (value and
            derivative of two implementations); of arrays also "jacobian" and "jvp".
        order: Order of the derivative, >= 1.
        assume: Declared facts, name -> domain; the same as `domain`.
        domain: Name -> "real", "positive", "(0, 1)", ...; where the claim is made.
        conventions: Values at kinks, such as {"relu0": 1}.
        points: Points judged before all others.
        under: Transformations ("jit", "vmap", "remat", "scan") applied to a JAX function first.
        seed: Seed of the random points; the same seed gives the same verdict.
        budget: "fast" (48 points) or "full" (400); for arrays 12 or 64.
        constants: Values of size symbols in a claim about arrays, such as {"n": 7}.
        **kwargs: Arguments of a JAX function by name.

    Returns:
        A `Verdict`; `v.status` is "proved", "supported", "refuted" or "undecided".

    Raises:
        UsageError: the question cannot be asked this way; says how it can.

    >>> print(check("softplus(x)", "sigmoid(x)"))
    PROVED    d/dx [softplus(x)] = sigmoid(x)
    """
    if budget not in BUDGETS:
        raise UsageError(f"budget={budget!r}; write one of: {', '.join(BUDGETS)}")
    where = _domains(domain, assume)
    _check_constants(constants)
    if callable(f) and not hasattr(f, "free_symbols"):
        from diffkit.verify.function import check_function
        from diffkit.verify.pytrees import check_pytree

        def ask(asked: Any, variable: Any) -> Verdict:
            return check_function(
                f,
                asked,
                *args,
                judge=lambda question: judge_question(question, seed=seed, budget=budget),
                wrt=variable,
                kind=kind,
                order=order,
                domain=where,
                conventions=conventions,
                points=points,
                under=under,
                options={"seed": seed, "budget": budget, **_kept(under, constants)},
                constants=constants,
                **kwargs,
            )

        return check_pytree(ask, f, claim, args, kwargs, wrt) if args or kwargs else ask(claim, wrt)
    if under:
        raise UsageError("under= transforms JAX functions; a formula has no program to transform")
    if args or kwargs:
        raise UsageError("a formula takes no example arguments; give points=[{...}] instead")
    if callable(claim) and not hasattr(claim, "free_symbols"):
        raise UsageError("a formula is claimed about by a formula; pass f as a JAX function too")
    options = {"seed": seed, "budget": budget}
    question = read(
        _formula(f),
        _formula(claim),
        wrt=wrt,
        kind=kind,
        order=order,
        domain=where,
        conventions=conventions,
        points=points,
        options=options,
    )
    return judge_question(question, seed=seed, budget=budget)


def _kept(under: Sequence[str], constants: Mapping[str, int] | None) -> dict[str, Any]:
    """What else the claim of a function is judged with again."""
    kept: dict[str, Any] = {"under": list(under)} if under else {}
    return {**kept, "constants": dict(constants)} if constants else kept


def judge_question(
    question: Question, *, seed: int = 0, budget: str = "fast", with_repair: bool = True
) -> Verdict:
    """Judge a question that was read: an equality, a relation or a rounding.

    Args:
        question: The question.
        seed: Seed of the random points.
        budget: "fast" or "full": how many points.
        with_repair: Whether to search a repair of a refuted claim.
    """
    if question.form == "value":
        return judge(question, seed=seed, budget=budget, with_repair=with_repair)
    from diffkit.verify.relation import judge_relation, judge_rounding

    if question.form == "relation":
        return judge_relation(question, with_repair=with_repair)
    return judge_rounding(question, with_repair=with_repair)


def _formula(side: Any) -> Any:
    """A `Formula` counts as the SymPy expression it stands for, LaTeX as what it says."""
    if isinstance(side, str):
        return latex_or_text(side)
    expression: Callable[[], Any] | None = getattr(side, "sympy", None)
    return expression() if callable(expression) else side


def _check_constants(constants: Any) -> None:
    is_read = constants is None or (
        isinstance(constants, Mapping)
        and all(isinstance(n, Integral) and not isinstance(n, bool) for n in constants.values())
    )
    if not is_read:
        raise UsageError(
            f'constants= maps size letters to whole numbers, as {{"n": 7}}; not {constants!r}'
        )


def _domains(
    domain: Mapping[str, Any] | str | None, assume: Mapping[str, Any] | None
) -> Mapping[str, Any] | str | None:
    for name, given in (("assume", assume), ("domain", domain)):
        is_text = name == "domain" and isinstance(given, str | Domain)
        if given is not None and not is_text and not isinstance(given, Mapping):
            raise UsageError(
                f'{name}= maps names to domains, as {{"x": "positive"}}; not {given!r}'
            )
    if not assume:
        return domain
    if isinstance(domain, str):
        raise UsageError("give the domain by name when assume= is used too")
    clash = set(domain or {}) & set(assume)
    if clash:
        raise UsageError(f"{', '.join(sorted(clash))} stands in both domain= and assume=")
    return {**(domain or {}), **assume}
