"""`diffkit verify TARGET|MODULE`: does AD compute the derivative, do the claims hold?"""

import argparse
import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diffkit.cli import output, targets
from diffkit.core.errors import DiffkitError, UsageError
from diffkit.core.verdict import Verdict, plain

#: A mixed result exits by the first of these that occurs.
PRECEDENCE = (2, 1, 3, 0)


def run(options: argparse.Namespace) -> int:
    """Verify one function, one formula, or every claim of a module."""
    target = options.target.strip()
    if targets.is_reference(target):
        return _finish(options, [_verify(targets.load(target), options)])
    if targets.is_module(target):
        return _finish(options, *_verify_module(target, options))
    if target.isidentifier():
        raise UsageError(
            f"no module named {target!r}; name one of this folder, package.module:function, or a "
            "formula such as x**2"
        )
    return _finish(options, [_verify(target, options)])


def _verify(target: Any, options: argparse.Namespace) -> Verdict:
    from diffkit.verify.verify import verify

    return verify(
        target,
        wrt=options.wrt,
        order=options.order,
        domain=targets.domains(options.domain),
        conventions=targets.conventions(options.convention),
        seed=options.seed,
        budget=options.budget,
        **targets.arguments(options.arg),
    )


def _verify_module(
    name: str, options: argparse.Namespace
) -> tuple[list[Verdict], dict[str, DiffkitError]]:
    from diffkit.verify.collect import collect, judge

    claims = collect(targets.load_module(name))
    if not claims:
        raise UsageError(
            f"{name} holds no claims; decorate a function with @diffkit.claim(df=...), "
            f"or name one function: diffkit verify {name}:function"
        )
    verdicts: list[Verdict] = []
    refused: dict[str, DiffkitError] = {}
    for number, found in enumerate(claims, start=1):
        output.progress(f"[{number}/{len(claims)}] {found.name}")
        try:
            verdicts.append(judge(found, seed=options.seed, budget=options.budget))
        except DiffkitError as error:
            print(f"diffkit: {found.name}: {error}", file=sys.stderr)
            refused[found.name] = error
    return verdicts, refused


def _finish(
    options: argparse.Namespace,
    verdicts: list[Verdict],
    refused: Mapping[str, DiffkitError] = MappingProxyType({}),
) -> int:
    if options.report:
        page = "\n".join(verdict.to_html() for verdict in verdicts)
        output.save(options.report, f"<!doctype html>\n<meta charset=utf-8>\n{page}\n")
    if options.github:
        for verdict in verdicts:
            if not verdict.ok:
                print(f"::error::{verdict.statement}", file=sys.stderr)
    if len(verdicts) == 1 and not targets.is_module(options.target):
        status = output.emit_verdict(options, verdicts[0])
    else:
        _emit_many(options, verdicts, refused)
        found = [error.exit_status for error in refused.values()]
        found += [verdict.exit_status for verdict in verdicts]
        status = min(found, key=PRECEDENCE.index)
    has_findings = any(verdict.findings for verdict in verdicts)
    if options.fail_on == "findings" and has_findings:
        status = min(status, 1, key=PRECEDENCE.index)
    return status


def _emit_many(
    options: argparse.Namespace, verdicts: list[Verdict], refused: Mapping[str, DiffkitError]
) -> None:
    data = {
        "schema": "diffkit.verdicts/1",
        "verdicts": [v.to_dict() for v in verdicts],
        "refused": {name: str(error) for name, error in refused.items()},
    }
    output.emit(
        options,
        data,
        {
            "text": lambda: "\n\n".join(str(verdict) for verdict in verdicts),
            "html": lambda: "\n".join(verdict.to_html() for verdict in verdicts),
        },
    )
    if options.save:
        output.save(options.save, json.dumps(plain(data), indent=2) + "\n")
