"""The parts asked for run in the order of the table; an unknown one is refused before any runs."""

import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.outcome import Part
from diffkit.lab.parts import run_parts


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
    with pytest.raises(UsageError, match="one or more"):
        run_parts(table(ran), (), "", None, None)
