"""The parts asked for run in the order of the table; an unknown one is refused before any runs."""

from dataclasses import dataclass

import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.outcome import Part
from diffkit.lab.parts import check_parts, of_field, run_parts


def table(ran: list[str]):
    def make(name: str):
        def run(config, store, progress) -> Part:
            ran.append(name)
            return Part(name, "supported", config, {})

        return run

    return {name: make(name) for name in ("depth", "recurrent", "training")}


def test_the_parts_asked_for_run_in_order():
    ran: list[str] = []
    found = run_parts(table(ran), ("training", "depth"), "agrees", None, None, dtype="float64")
    assert ran == ["depth", "training"]
    assert found.statement == "depth: agrees; training: agrees"


def test_an_unknown_part_is_refused_before_anything_runs():
    ran: list[str] = []
    with pytest.raises(UnknownNameError, match="did you mean depth"):
        run_parts(table(ran), ("training", "dept"), "", None, None)
    assert ran == []
    with pytest.raises(UsageError, match="no part is named; give one or more of depth"):
        run_parts(table(ran), (), "", None, None)
    with pytest.raises(UsageError, match="the part depth is named twice"):
        run_parts(table(ran), ("depth", "training", "depth"), "", None, None)
    assert ran == []


def test_only_the_parts_asked_for_are_checked():
    @dataclass(frozen=True)
    class Config:
        parts: tuple[str, ...]
        training: int = 3

    def refuse(value: object) -> None:
        raise UsageError(f"{value} is refused")

    checks = {"depth": lambda config: None, "training": of_field("training", refuse)}
    check_parts(table([]), checks, Config(("depth", "recurrent")))
    with pytest.raises(UsageError, match="3 is refused"):
        check_parts(table([]), checks, Config(("recurrent", "training")))
