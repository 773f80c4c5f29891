"""`diffkit verify TARGET|MODULE`: does AD compute the derivative, do the claims hold?"""

import argparse
import json
from typing import Any

from diffkit.cli import output, targets
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict, plain

#: A mixed result exits by the first of these that occurs.
PRECEDENCE = (2, 1, 3, 0)


def run(options: argparse.Namespace) -> int:
    """Verify one function, one formula, or every claim of a module."""
    target = options.target.strip()
    if targets.is_reference(target):
        return _finish(options, [_verify(targets.load(target), options)])
    if targets.is_module(target):
        return _finish(options, _verify_module(target, options))
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


def _verify_module(name: str, options: argparse.Namespace) -> list[Verdict]:
    from diffkit.verify.collect import collect, judge

    claims = collect(targets.load_module(name))
    if not claims:
        raise UsageError(
            f"{name} holds no claims; decorate a function with @diffkit.claim(df=...), "
            f"or name one function: diffkit verify {name}:function"
        )
    verdicts = []
    for number, found in enumerate(claims, start=1):
        output.progress(f"[{number}/{len(claims)}] {found.name}")
        verdicts.append(judge(found, seed=options.seed, budget=options.budget))
    return verdicts


def _finish(options: argparse.Namespace, verdicts: list[Verdict]) -> int:
    if options.report:
        page = "\n".join(verdict.to_html() for verdict in verdicts)
        output.save(options.report, f"<!doctype html>\n<meta charset=utf-8>\n{page}\n")
    if options.github:
        for verdict in verdicts:
            if not verdict.ok:
                print(f"::error::{verdict.statement}")
    if len(verdicts) == 1:
        status = output.emit_verdict(options, verdicts[0])
    else:
        _emit_many(options, verdicts)
        status = min((v.exit_status for v in verdicts), key=PRECEDENCE.index)
    if options.fail_on == "findings" and any(verdict.findings for verdict in verdicts):
        return 1
    return status


def _emit_many(options: argparse.Namespace, verdicts: list[Verdict]) -> None:
    data = {"schema": "diffkit.verdicts/1", "verdicts": [v.to_dict() for v in verdicts]}
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
