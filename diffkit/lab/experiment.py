"""What an experiment is, how it is found by name, run to its end and recorded.

An experiment lives in `experiments/<name>/run.py` as the value `EXPERIMENT`.  `execute` opens
its run in the ledger, lets it fill its cells, and returns the record from which figures and the
paper are made.
"""

import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, get_args, get_origin

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.verdict import plain, write_atomically
from diffkit.lab.bounds import check_seeds
from diffkit.lab.config import PRESETS, Preset, as_dict, hints, require_config_type
from diffkit.lab.ledger import Ledger, Run
from diffkit.lab.outcome import Outcome, OutcomeStatus
from diffkit.lab.overrides import with_overrides
from diffkit.lab.progress import Progress
from diffkit.lab.provenance import code_version, collect
from diffkit.lab.sweep import Store

SCHEMA = "diffkit.run/1"
PACKAGE = "experiments"


@dataclass(frozen=True)
class Experiment:
    """A question that is answered by running code.

    Args:
        name: Name of its folder.
        question: One sentence, with what would refute the prediction.
        config: The frozen dataclass of its configuration.
        presets: "quick", "full" or "gpu" -> configuration and time budget.
        run: Fills the store and judges what it holds.
        module: Module whose reachable sources are the code version; the folder's run.py if "".
        check: Raises a UsageError for a configuration without an answer, before anything runs.
    """

    name: str
    question: str
    config: type
    presets: Mapping[str, Preset]
    run: Callable[[Any, Store, Progress], Outcome] = field(repr=False)
    module: str = ""
    check: Callable[[Any], object] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_config_type(self.config)
        for name, preset in self.presets.items():
            if name not in PRESETS:
                raise UsageError(f"{self.name}: preset {name!r} is none of {', '.join(PRESETS)}")
            if not isinstance(preset.config, self.config) or not preset.budget > 0:
                raise UsageError(
                    f"{self.name}: preset {name!r} needs a {self.config.__name__} and a budget > 0"
                )

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            UnknownNameError: there is none; the message lists the presets.
        """
        if name not in self.presets:
            known = ", ".join(self.presets)
            raise UnknownNameError(f"{self.name} has no preset {name!r}; it has {known}")
        return self.presets[name]

    def configured(self, preset: str, overrides: Sequence[str] = ()) -> Any:
        """The configuration of a preset with command-line words such as `--width 256`.

        Raises:
            UnknownNameError: no such preset or field.
            UsageError: a value that is not of the field's type, or without an answer.
        """
        config = with_overrides(self.preset(preset).config, overrides)
        check_seeds(config)
        if self.check is not None:
            self.check(config)
        return config

    @property
    def code(self) -> str:
        """Digest of the source files it reaches."""
        return code_version(self.module or f"{PACKAGE}.{self.name}.run")


@dataclass(frozen=True)
class Record:
    """A finished run as it is committed: `run.json`.

    Args:
        experiment: Name of the experiment.
        question: Its question.
        preset: Name of the preset it started from.
        config: The configuration after overrides.
        address: Hash of experiment, configuration and code version.
        code: Digest of the source files the experiment reaches.
        status: What was found.
        statement: The finding in one sentence.
        results: The numbers.
        seconds: Work done in all sessions and processes.
        budget: Seconds the preset allows.
        cells: Number of grid points.
        provenance: Where it comes from.
    """

    experiment: str
    question: str
    preset: str
    config: Mapping[str, Any]
    address: str
    code: str
    status: OutcomeStatus
    statement: str
    results: Mapping[str, Any]
    seconds: float
    budget: float
    cells: int
    provenance: Mapping[str, Any]

    @property
    def is_over_budget(self) -> bool:
        """Whether the run took longer than its preset allows."""
        return self.seconds > self.budget

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON data with a schema version."""
        return {"schema": SCHEMA, **plain(asdict(self))}

    def save(self, path: str | Path) -> None:
        """Write `run.json` so that a reader sees the old record or the new one."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(Path(path), text + "\n")

    @classmethod
    def from_dict(cls, data: Any) -> "Record":
        """Read what `to_dict` wrote.

        Raises:
            UsageError: another schema, or a field is missing or of another type.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise UsageError(f"not a run record of schema {SCHEMA}; run the experiment again")
        flaw = _flaw(data)
        if flaw:
            raise UsageError(f"the run record is damaged ({flaw}); make it again")
        return cls(**{name: value for name, value in data.items() if name != "schema"})

    @classmethod
    def load(cls, path: str | Path) -> "Record":
        """Read a saved record.

        Raises:
            UsageError: no such file, or not a record.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(f"no run record {path}; `diffkit run` makes it") from None
        except ValueError as error:
            raise UsageError(f"{path} is no JSON ({error}); make the record again") from error
        return cls.from_dict(data)


def _flaw(given: Mapping[str, Any]) -> str:
    """What is wrong with the fields of a record, or ""."""
    kinds = hints(Record)
    differing = sorted(kinds.keys() ^ given.keys() - {"schema"})
    if differing:
        return f"{differing[0]} is {'missing' if differing[0] in kinds else 'no field of it'}"
    for name, kind in kinds.items():
        value, origin = given[name], get_origin(kind)
        if origin is Literal:
            is_right = value in get_args(kind)
        elif kind is float:
            is_right = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            is_right = isinstance(value, origin or kind)
        if not is_right:
            return f"{name} is {value!r:.40}"
    return ""


def recorded(run: Run) -> Record | None:
    """The record of a run of the ledger, None where it is not finished.

    Raises:
        LedgerError: what the ledger holds is no record.
    """
    info = run.info
    if info.state != "done" or info.record is None:
        return None
    is_ours = info.record.get("schema") == SCHEMA
    flaw = _flaw(info.record) if is_ours else f"it is not of schema {SCHEMA}"
    if flaw:
        raise run.ledger.damaged(f"the record of run {run.id[:12]}: {flaw}")
    return Record.from_dict(info.record)


def known_experiments() -> list[str]:
    """Names of the experiments of this checkout, none where they are not installed."""
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except ModuleNotFoundError:
        spec = None
    folders = spec.submodule_search_locations if spec is not None else None
    return sorted(
        path.parent.name for folder in folders or () for path in Path(folder).glob("*/run.py")
    )


def load(name: str) -> Experiment:
    """Return the experiment of that name.

    Raises:
        UnknownNameError: no folder of that name; the message lists the known ones.
        UsageError: its run.py holds no EXPERIMENT of that name.
    """
    known = known_experiments()
    if name not in known:
        listing = (
            ", ".join(known)
            or "none here; experiments are part of a checkout, say it in its folder"
        )
        raise UnknownNameError(f"no experiment {name!r}; known: {listing}")
    module = importlib.import_module(f"{PACKAGE}.{name}.run")
    experiment = getattr(module, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment) or experiment.name != name:
        raise UsageError(
            f"experiments/{name}/run.py must hold EXPERIMENT = Experiment({name!r}, ...)"
        )
    return experiment


def execute(
    experiment: str | Experiment,
    preset: str = "quick",
    overrides: Sequence[str] = (),
    *,
    ledger_path: str | Path,
    stream: TextIO | None = sys.stderr,
) -> Record:
    """Run an experiment to its end and return its record; continue where an earlier call stopped.

    A run that is done is not run again: its record is returned as stored.

    Args:
        experiment: The experiment or its name.
        preset: "quick", "full" or "gpu".
        overrides: Command-line words such as `--width 256`.
        ledger_path: The ledger file.
        stream: Where progress goes; None for silence.

    Raises:
        UnknownNameError: no such experiment, preset or field.
        LedgerError: the ledger cannot be used.
    """
    chosen = load(experiment) if isinstance(experiment, str) else experiment
    config = chosen.configured(preset, overrides)
    progress = Progress(f"{chosen.name} ({preset})", stream)
    with Ledger(ledger_path) as ledger:
        store = Store(ledger, ledger.open_run(chosen.name, config, chosen.code).id)
        earlier = recorded(store)
        if earlier is not None:
            progress.say("done in an earlier run")
            return earlier
        record = _finish(chosen, preset, config, store, progress)
    if record.is_over_budget:
        progress.say(f"took {record.seconds:.0f} s, over its budget of {record.budget:.0f} s")
    return record


def _finish(
    experiment: Experiment, preset: str, config: Any, store: Store, progress: Progress
) -> Record:
    """Let the experiment fill its cells and judge them; record the run."""
    store.cells(None)  # a damaged key is told before anything is computed
    before, start = store.info.seconds, time.perf_counter()
    store.set_state("running")
    try:
        outcome = experiment.run(config, store, progress)
    except BaseException as error:
        is_fault = isinstance(error, Exception)
        message = f"{type(error).__name__}: {error}" if is_fault else ""
        store.set_state("failed" if is_fault else "pending", message=message)
        raise
    info = store.info
    # Cells of earlier sessions, and this session's whole time if that is more than its cells.
    seconds = max(info.seconds, before + time.perf_counter() - start)
    record = Record(
        experiment=experiment.name,
        question=experiment.question,
        preset=preset,
        config=as_dict(config),
        address=store.id,
        code=info.code,
        status=outcome.status,
        statement=outcome.statement,
        results=plain(outcome.results),
        seconds=round(seconds, 3),
        budget=experiment.presets[preset].budget,
        cells=len(store.cells()),
        provenance=collect(dtype=outcome.dtype, seeds=outcome.seeds),
    )
    store.set_state("done", record=record.to_dict())
    return record
