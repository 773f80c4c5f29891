"""`diffkit verify TARGET...`: does AD compute the derivative, do the claims hold?

A target is a function, a formula, or a module or file with claims; several are judged in turn,
and one that cannot be judged keeps no other from it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from diffkit.cli import annotations, output, targets
from diffkit.cli.annotations import NOWHERE, Place
from diffkit.core.errors import DiffkitError, UsageError
from diffkit.core.verdict import Verdict, plain
from diffkit.verify.collect import Collected, collect, collect_own, judge, load_module, place_of

#: A mixed result exits by the first of these that occurs.
PRECEDENCE = (2, 1, 3, 0)


@dataclass(frozen=True)
class Task:
    """One thing to judge: how reports call it, where it stands, and how it is judged."""

    name: str
    place: Place
    judge: Callable[[], Verdict]


@dataclass(frozen=True)
class Result:
    """What became of a task: a verdict, or the reason why there is none."""

    task: Task
    verdict: Verdict | None = None
    error: DiffkitError | None = None

    @property
    def exit_status(self) -> int:
        """That of the verdict or of the error."""
        if self.error is not None:
            return self.error.exit_status
        return self.verdict.exit_status if self.verdict is not None else 0


def run(options: argparse.Namespace) -> int:
    """Verify functions, formulas, and every claim of modules and files."""
    words = [word.strip() for word in options.target]
    if len(words) == 1:
        tasks = list(_tasks(words[0], options))
        if not targets.holds_claims(words[0]):
            return _finish_one(options, tasks[0])
        return _finish(options, [*_judged(tasks)])
    tasks = []
    refused = []
    for word in words:
        try:
            tasks += _tasks(word, options)
        except DiffkitError as error:
            refused.append(_refused(Task(word, NOWHERE, _nothing), error))
    return _finish(options, [*_judged(tasks), *refused])


def _tasks(word: str, options: argparse.Namespace) -> Iterator[Task]:
    """What one target asks to be judged."""
    if targets.is_file(word):
        yield from _of_file(word, options)
    elif targets.is_reference(word):
        function = targets.load(word)
        yield Task(word, Place(*place_of(function)), lambda: _verify(function, options))
    elif targets.is_module(word):
        module = load_module(word)
        yield from _of_module(word, module, collect(module), options)
    elif word.isidentifier():
        raise UsageError(
            f"no module named {word!r}; name one of this folder, package.module:function, or a "
            "formula such as x**2"
        )
    else:
        yield Task(word, NOWHERE, lambda: _verify(word, options))


def _of_file(word: str, options: argparse.Namespace) -> Iterator[Task]:
    if options.skip_unclaimed and not targets.may_hold_claims(word):
        return
    module = targets.load_file(word)
    yield from _of_module(word, module, collect_own(module), options)


def _of_module(
    word: str, module: ModuleType, claims: Sequence[Collected], options: argparse.Namespace
) -> Iterator[Task]:
    if not claims and not options.skip_unclaimed:
        raise UsageError(
            f"{word} holds no claims; decorate a function with @diffkit.claim(df=...), "
            f"or name one function: diffkit verify {module.__name__}:function"
        )
    for found in claims:
        yield Task(
            found.name,
            Place(*found.place),
            lambda found=found: judge(found, seed=options.seed, budget=options.budget),
        )


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


def _judged(tasks: Sequence[Task]) -> Iterator[Result]:
    for number, task in enumerate(tasks, start=1):
        output.progress(f"[{number}/{len(tasks)}] {task.name}")
        try:
            yield Result(task, task.judge())
        except DiffkitError as error:
            yield _refused(task, error)


def _refused(task: Task, error: DiffkitError) -> Result:
    print(f"diffkit: {task.name}: {error}", file=sys.stderr)
    return Result(task, error=error)


def _nothing() -> Verdict:
    raise UsageError("there is nothing to judge")


def _finish_one(options: argparse.Namespace, task: Task) -> int:
    """One function or formula: its verdict is printed as that of `check` is."""
    try:
        verdict = task.judge()
    except DiffkitError as error:
        _annotate(options, Result(task, error=error))
        raise
    _report(options, [Result(task, verdict)])
    status = output.emit_verdict(options, verdict)
    return _with_findings(options, status, [verdict])


def _finish(options: argparse.Namespace, results: Sequence[Result]) -> int:
    verdicts = [result.verdict for result in results if result.verdict is not None]
    if not results:
        output.progress("no claims to judge")
    _report(options, results)
    _emit_many(options, results)
    status = min((r.exit_status for r in results), key=PRECEDENCE.index, default=0)
    return _with_findings(options, status, verdicts)


def _with_findings(options: argparse.Namespace, status: int, verdicts: Sequence[Verdict]) -> int:
    if options.fail_on == "findings" and any(verdict.findings for verdict in verdicts):
        return min(status, 1, key=PRECEDENCE.index)
    return status


def _report(options: argparse.Namespace, results: Sequence[Result]) -> None:
    """The HTML page and the annotations, where they are asked for."""
    if options.report:
        verdicts = [r.verdict for r in results if r.verdict is not None]
        output.save_report(options.report, verdicts, f"verify {' '.join(options.target)}")
    for result in results:
        _annotate(options, result)


def _annotate(options: argparse.Namespace, result: Result) -> None:
    if not options.github:
        return
    if result.verdict is not None:
        annotations.show([*annotations.of_verdict(result.verdict, result.task.place)])
    elif result.error is not None:
        place = result.task.place
        annotations.show([annotations.of_refusal(result.task.name, result.error, place)])


def _emit_many(options: argparse.Namespace, results: Sequence[Result]) -> None:
    verdicts = [result.verdict for result in results if result.verdict is not None]
    data = {
        "schema": "diffkit.verdicts/1",
        "verdicts": [verdict.to_dict() for verdict in verdicts],
        "refused": {r.task.name: str(r.error) for r in results if r.error is not None},
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
