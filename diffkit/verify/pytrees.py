"""Claims about functions whose arguments are pytrees: one verdict per leaf, the worst one told."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax

from diffkit.bridge.arguments import leaf_names
from diffkit.bridge.formula import Formula
from diffkit.bridge.selection import claim_of_leaves, named_leaves
from diffkit.core.errors import UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.core.verdict import SEVERITY, Verdict


def check_pytree(
    ask: Callable[[Any, Any], Verdict],
    f: Callable[..., Any],
    claim: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    wrt: Any,
) -> Verdict:
    """Judge a claim leaf by leaf where an argument is a pytree, else as it stands.

    Args:
        ask: Judges a claim by one array; takes the claim and the path of the array.
        f: The function.
        claim: The claim; about a whole pytree, a function that returns the same pytree.
        args: Example arguments.
        kwargs: Those given by name.
        wrt: Name or position of an argument, or path of a leaf.

    Raises:
        UsageError: a written claim about a whole pytree, or `wrt` names nothing.
    """
    known = leaf_names(f, args, kwargs)
    if all(isinstance(each, str | None) for each in known.values()) or isinstance(wrt, tuple):
        return ask(claim, wrt)
    paths = jax.tree.leaves(named_leaves(f, args, kwargs, wrt))
    siblings = _argument_of(paths, known)
    if not callable(claim) or isinstance(claim, Formula) or hasattr(claim, "free_symbols"):
        if len(paths) != 1:
            raise UsageError(
                f"a written claim is about one array; give wrt=, one of: {', '.join(paths)}"
            )
        return ask(claim, paths[0])
    found = {
        path: ask(claim_of_leaves(claim, args, kwargs, siblings.index(path), len(siblings)), path)
        for path in paths
    }
    worst = min(found.values(), key=lambda verdict: SEVERITY.index(verdict.status))
    if len(found) == 1:
        return worst
    told = ", ".join(f"{path} {verdict.status}" for path, verdict in found.items())
    return replace(worst, assumptions=(*worst.assumptions, f"leaf by leaf: {told}"))


def _argument_of(paths: list[str], known: Mapping[str, Any]) -> list[str]:
    """The leaves of the argument that holds the asked ones."""
    for tree in known.values():
        leaves = jax.tree.leaves(tree)
        if paths and set(paths) <= set(leaves):
            return leaves
    every = [path for tree in known.values() for path in jax.tree.leaves(tree)]
    hint = did_you_mean(paths[0], every) if paths else ""
    raise UsageError(f"wrt names none of the arrays; {hint}known: {', '.join(every)}")
