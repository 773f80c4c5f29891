"""The command of the fuzzer: blocks of programs in processes, resumed where it was stopped.

Results go to stdout and to the file, progress to stderr.  The finished blocks stand in FILE.part
until all are done; a run that was killed goes on from there, unless the code or a library is
another by then.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.core.scheduler import guard_scheduler
from diffkit.core.verdict import write_atomically
from diffkit.lab import provenance
from diffkit.testing.fuzz import run, summary
from diffkit.testing.tally import Tally

SCHEMA = "diffkit.fuzz/1"
BLOCK = 50
#: The least share of planted bugs that must be refuted.
LEAST_SHARE = 0.99


@dataclass(frozen=True)
class Plan:
    """Which programs are judged, and how.

    Args:
        programs: How many, >= 1.
        seed: The first seed.
        processes: Worker processes, >= 1.
    """

    programs: int
    seed: int
    processes: int

    def __post_init__(self) -> None:
        for name in ("programs", "processes"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} {getattr(self, name)}: at least 1 is needed")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: seeds are whole numbers from 0 on")

    def blocks(self) -> list[tuple[int, int]]:
        """(first seed, seed after the last) of each block."""
        end = self.seed + self.programs
        return [(k, min(k + BLOCK, end)) for k in range(self.seed, end, BLOCK)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the programs; 0, or 1 on a false refutation, too few bugs refuted or another defect."""
    parser = argparse.ArgumentParser(
        prog="python -m diffkit.testing.fuzz",
        description="Put random programs before the judge, each as it is and with a planted bug.",
    )
    parser.add_argument("--programs", type=int, default=300, help="how many (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--processes", type=int, default=1, help="worker processes (default 1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the counts as JSON")
    parser.add_argument("--reports", action="store_true", help="print what went wrong in full")
    chosen = parser.parse_args(arguments)
    guard_scheduler()
    try:
        found = judge(Plan(chosen.programs, chosen.seed, chosen.processes), chosen.out)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        rest = f"; run it again to go on from {_part(chosen.out)}" if chosen.out else ""
        print(f"\nstopped{rest}", file=sys.stderr)
        return 130
    print(summary(found))
    if chosen.reports:
        for kind, reports in found["reports"].items():
            print(*(f"\n{kind}\n{report}" for report in reports), sep="\n")
    return 0 if is_good(found) else 1


def is_good(found: dict[str, Any]) -> bool:
    """No false refutation, no wrong enclosure, no failure, and enough of the bugs refuted."""
    wrong = sum(n for kind, n in found["defects"].items() if kind != "missed bug")
    return not wrong and found["share"] >= LEAST_SHARE


def judge(plan: Plan, out: Path | None) -> dict[str, Any]:
    """The counts of a plan as plain data, written to `out` when all blocks are done.

    Raises:
        UsageError: `out` cannot be written, or it holds a better result of as many programs.
    """
    before = _recorded(out)
    done = _finished(plan, out)
    started, cpu = time.perf_counter(), 0.0
    waiting = [block for block in plan.blocks() if _key(block) not in done]
    if out is not None:
        _save(plan, done, out)  # what cannot be written is told now
    if len(waiting) < len(plan.blocks()):
        print(f"going on: {len(done)} blocks are done", file=sys.stderr)
    for block, (counts, seconds) in _run_blocks(waiting, plan.processes):
        done[_key(block)] = {**counts, "cpu_seconds": seconds}
        cpu += seconds
        if out is not None:
            _save(plan, done, out)
        _tell(plan, done, time.perf_counter() - started, len(waiting))
    found = _result(plan, done, time.perf_counter() - started, len(waiting) * BLOCK)
    if out is not None:
        _refuse_worse(before, found, out)
        _write(out, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        _part(out).unlink(missing_ok=True)
    return found


def judge_block(block: tuple[int, int]) -> tuple[dict[str, Any], float]:
    """Counts and seconds of processor time of one block; runs in a process of its own."""
    start = time.process_time()
    counts = run(range(*block)).to_dict()
    return counts, time.process_time() - start


def _run_blocks(
    blocks: Sequence[tuple[int, int]], processes: int
) -> Iterator[tuple[tuple[int, int], tuple[dict[str, Any], float]]]:
    if processes == 1:
        yield from ((block, judge_block(block)) for block in blocks)
        return
    context = multiprocessing.get_context("spawn")  # JAX must not be forked
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        tasks: dict[Future[Any], tuple[int, int]] = {
            pool.submit(judge_block, block): block for block in blocks
        }
        try:
            for task in as_completed(tasks):
                yield tasks[task], task.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _result(plan: Plan, done: dict[str, Any], seconds: float, programs: int) -> dict[str, Any]:
    tally = Tally()
    for block in plan.blocks():
        tally.merge(Tally.from_dict(done[_key(block)]))
    machine = provenance.collect()
    return {
        "schema": SCHEMA,
        "seed": plan.seed,
        **tally.to_dict(),
        "processes": plan.processes,
        "cpu_seconds": round(sum(block["cpu_seconds"] for block in done.values()), 1),
        # of the part that ran now: a resumed run was partly timed before
        "wall_seconds": round(seconds, 1),
        "programs_timed": min(programs, plan.programs),
        "machine": {name: machine[name] for name in ("cpu", "cores", "platform", "python")},
        "versions": machine["versions"],
    }


def _refuse_worse(before: dict[str, Any], found: dict[str, Any], out: Path) -> None:
    """A record may only improve; a smaller run does not replace a larger one."""
    if not before:
        return
    if found["programs"] < before["programs"]:
        raise UsageError(
            f"{out} holds a run of {before['programs']} programs, this one has "
            f"{found['programs']}; write it to another file"
        )
    worse = [
        name
        for name, is_worse in (
            ("share of bugs refuted", found["share"] < before["share"]),
            ("share of false alarms", found["false_alarm_share"] > before["false_alarm_share"]),
        )
        if is_worse
    ]
    if worse:
        raise UsageError(
            f"the {' and the '.join(worse)} is worse than in {out}; find out why (--reports "
            "without --out), or delete the file to begin a new record"
        )


def _recorded(out: Path | None) -> dict[str, Any]:
    """The result on record, {} without one."""
    if out is None or not out.exists():
        return {}
    found = _read(out)
    if found.get("schema") != SCHEMA:
        raise UsageError(f"{out} is no result of the fuzzer; name another file")
    return found


def _finished(plan: Plan, out: Path | None) -> dict[str, Any]:
    """Blocks of the same plan that an earlier run has finished."""
    part = _part(out) if out is not None else None
    if part is None or not part.exists():
        return {}
    found = _read(part)
    return dict(found["blocks"]) if found.get("plan") == _identity(plan) else {}


def _save(plan: Plan, done: dict[str, Any], out: Path) -> None:
    """The finished blocks, for a run that goes on later."""
    _write(_part(out), json.dumps({"plan": _identity(plan), "blocks": done}))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}); delete it") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no result of the fuzzer; name another file")
    return found


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; name another file") from error


def _identity(plan: Plan) -> dict[str, Any]:
    """What must be the same for a block to be of use: not the number of processes."""
    return {
        "programs": plan.programs,
        "seed": plan.seed,
        "block": BLOCK,
        "versions": provenance.versions(),
        "code": _code(),
    }


@cache
def _code() -> str:
    """Digest of the sources, as they were when this run began.

    A commit would not do: files may differ from it, and an installed package has none.
    """
    return provenance.code_version(__name__, ("diffkit",))


def _part(out: Path) -> Path:
    return out.with_name(out.name + ".part")


def _key(block: tuple[int, int]) -> str:
    return f"{block[0]}-{block[1]}"


def _tell(plan: Plan, done: dict[str, Any], seconds: float, waiting: int) -> None:
    """One line of progress."""
    programs = sum(block["programs"] for block in done.values())
    alarms = sum(block["false_refutations"] for block in done.values())
    bugs = sum(block["bugs"] for block in done.values())
    refuted = sum(block["refuted"] for block in done.values())
    left = len(plan.blocks()) - len(done)
    rest = seconds / max(waiting - left, 1) * left
    print(
        f"{programs} of {plan.programs} programs, {alarms} false refutations, "
        f"{refuted} of {bugs} bugs refuted, {seconds:.0f} s, about {rest:.0f} s to go",
        file=sys.stderr,
        flush=True,
    )
