"""The run ledger: one SQLite file that holds every grid point of every run.

A run is addressed by the hash of (experiment, configuration, code version).  Its cells (grid
points) are stored one by one, each in one transaction, so that a killed process loses at most
the cell in flight.  Several processes may work on one run: a cell is claimed atomically, and a
claim whose owner is dead is taken over.  Arrays are `.npy` bytes; nothing is ever unpickled.

The write-ahead log needs a local disk, not a network file system.
"""

import contextlib
import io
import json
import sqlite3
import time
import tokenize
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from diffkit.core.errors import DiffkitError, UsageError
from diffkit.lab.config import canonical_json, config_hash
from diffkit.lab.owner import is_alive, this_process

State = Literal["pending", "running", "done", "failed"]
Key = Mapping[str, Any]
Arrays = dict[str, np.ndarray]

APPLICATION = 0x64666B6C  # "dfkl": tells our files from other programs' databases
SCHEMA = 1
SHORTEST_ADDRESS = 8  # digits that name a run: fewer name some run by chance
PATIENCE = 60.0  # seconds a writer waits for another one
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, experiment TEXT NOT NULL, config TEXT NOT NULL, code TEXT NOT NULL,
    state TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    seconds REAL NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
    record TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS cells (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id), key TEXT NOT NULL,
    state TEXT NOT NULL, owner TEXT NOT NULL, updated REAL NOT NULL,
    seconds REAL NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '', UNIQUE (run, key));
CREATE TABLE IF NOT EXISTS arrays (
    cell INTEGER NOT NULL REFERENCES cells (number), name TEXT NOT NULL, npy BLOB NOT NULL,
    PRIMARY KEY (cell, name)) WITHOUT ROWID;
"""


#: What NumPy may raise on bytes that are no array.
_NO_ARRAY = (
    ArithmeticError, EOFError, MemoryError, SyntaxError, TypeError, ValueError, tokenize.TokenError,
)  # fmt: skip


class LedgerError(DiffkitError):
    """The ledger file cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class RunInfo:
    """What the ledger knows of a run: address, configuration, state, seconds of work."""

    id: str
    experiment: str
    config: dict[str, Any]
    code: str
    state: State
    seconds: float
    message: str
    record: dict[str, Any] | None


class Ledger:
    """An open ledger file; use it in a `with` block.

    Args:
        path: The SQLite file; it and its folder are made when missing.

    Raises:
        LedgerError: the file is damaged, another program's, or of a newer diffkit.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.explained():
            self._connection = sqlite3.connect(
                self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def open_run(self, experiment: str, config: Any, code_version: str) -> "Run":
        """Return the run with this address, made when it is new."""
        address = config_hash(experiment, config, code_version)
        moment = time.time()
        row = (address, experiment, canonical_json(config), code_version, moment, moment)
        with self.transaction() as execute:
            execute(
                "INSERT OR IGNORE INTO runs (id, experiment, config, code, state, created, updated)"
                " VALUES (?, ?, ?, ?, 'pending', ?, ?)",
                row,
            )
        return Run(self, address)

    def runs(self, experiment: str | None = None, state: State | None = None) -> list[RunInfo]:
        """Every run, oldest first, of one experiment or in one state if asked."""
        rows = self.read(
            "SELECT id, experiment, config, code, state, seconds, message, record FROM runs"
            " WHERE (?1 IS NULL OR experiment = ?1) AND (?2 IS NULL OR state = ?2)"
            " ORDER BY created, id",
            (experiment, state),
        )
        return [self.info(row) for row in rows]

    def run(self, address: str) -> "Run":
        """Return the run whose address starts with `address`, 8 digits of it or more.

        Raises:
            UsageError: no run, or several, start like this, or the text is shorter.
        """
        if len(address) < SHORTEST_ADDRESS:
            raise UsageError(
                f"no run in {self.path.name} is named {address!r}; give an experiment that was "
                f"run, or {SHORTEST_ADDRESS} digits or more of an address"
            )
        rows = self.read("SELECT id FROM runs WHERE substr(id, 1, ?) = ?", (len(address), address))
        if len(rows) != 1:
            count = "no run" if not rows else f"{len(rows)} runs"
            raise UsageError(
                f"{count} in {self.path.name} with an address starting {address!r}; give an "
                "experiment that was run, or more digits of an address"
            )
        return Run(self, rows[0][0])

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self.explained():
            return self._connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Generator[Callable[..., sqlite3.Cursor], None, None]:
        """Hold the write lock; commit at the end, undo on any error."""
        with self.explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def explained(self) -> Generator[None, None, None]:
        """Turn SQLite's errors into one sentence that names the file and the remedy."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise LedgerError(
                    f"the run ledger {self.path} stayed locked for {PATIENCE:.0f} s; "
                    "end the process that holds it, or name another ledger"
                ) from error
            if "no such" in str(error) or "has no column" in str(error):
                raise self.damaged(str(error)) from error
            raise LedgerError(
                f"the run ledger {self.path} cannot be used ({error}); "
                "it needs a writable folder on a local disk with free space"
            ) from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(str(error)) from error

    def damaged(self, what: str) -> LedgerError:
        """The error for a ledger in which something is not as diffkit writes it."""
        return LedgerError(
            f"the run ledger {self.path} is damaged ({what}); move it away and run again, "
            "or save what is readable with `sqlite3 OLD .recover | sqlite3 NEW`"
        )

    def mapping(self, text: Any, what: str) -> dict[str, Any]:
        """A JSON object that a row holds.

        Raises:
            LedgerError: the row holds something else.
        """
        try:
            found = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self.damaged(f"{what} is no JSON object")
        return found

    def info(self, row: tuple[Any, ...]) -> RunInfo:
        """A row of runs; what is damaged is told here, before anybody computes with it."""
        address, experiment, config, code, state, seconds, message, record = row
        what = f"run {str(address)[:12]}"
        if state not in get_args(State):
            raise self.damaged(f"{what} has the state {state!r}")
        if not isinstance(seconds, int | float):
            raise self.damaged(f"{what} took {seconds!r} s")
        return RunInfo(
            id=address,
            experiment=experiment,
            config=self.mapping(config, f"the configuration of {what}"),
            code=code,
            state=state,
            seconds=seconds,
            message=message,
            record=self.mapping(record, f"the record of {what}") if record else None,
        )

    def _prepare(self) -> None:
        """Check whose file it is, switch the write-ahead log on, make the tables."""
        execute = self._connection.execute
        execute("PRAGMA foreign_keys = ON")
        ours = execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        schema = execute("PRAGMA user_version").fetchone()[0]
        if not ours and execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            # Two processes may create the file together: look again under the write lock.
            with self.transaction():
                ours = execute("PRAGMA application_id").fetchone()[0] == APPLICATION
            if not ours:
                raise LedgerError(
                    f"{self.path} is another program's database; name another file as run ledger"
                )
        if schema > SCHEMA:
            raise LedgerError(
                f"the run ledger {self.path} has schema {schema}, this diffkit knows {SCHEMA}; "
                "upgrade diffkit or name another ledger"
            )
        self._use_write_ahead_log()
        execute("PRAGMA synchronous = NORMAL")
        if not ours or schema < SCHEMA:
            with self.transaction():
                execute(f"PRAGMA application_id = {APPLICATION}")
                execute(f"PRAGMA user_version = {SCHEMA}")
                for statement in _TABLES.split(";"):
                    execute(statement)

    def _use_write_ahead_log(self) -> None:
        # SQLite does not wait for a lock when the journal mode changes, hence the loop.
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return


class Run:
    """One run of the ledger: the store an experiment writes its cells to.

    Args:
        ledger: The open file.
        address: SHA-256 of the run.
    """

    def __init__(self, ledger: Ledger, address: str):
        self.ledger, self.id = ledger, address
        self.owner = this_process()

    @property
    def info(self) -> RunInfo:
        """What the ledger knows of the run at this moment."""
        row = self.ledger.read(
            "SELECT id, experiment, config, code, state, seconds, message, record FROM runs"
            " WHERE id = ?",
            (self.id,),
        )[0]
        return self.ledger.info(row)

    def set_state(
        self, state: State, *, message: str = "", record: Mapping[str, Any] | None = None
    ) -> None:
        """Record the state of the whole run, with the finished record when it is done."""
        text = "" if record is None else json.dumps(record, ensure_ascii=False, allow_nan=False)
        with self.ledger.transaction() as execute:
            execute(
                "UPDATE runs SET state = ?, message = ?, record = ?, updated = ? WHERE id = ?",
                (state, message, text, time.time(), self.id),
            )

    def claim(self, key: Key) -> bool:
        """Take a cell to compute it; False when it is done or a living process holds it."""
        text, moment = canonical_json(key), time.time()
        with self.ledger.transaction() as execute:
            row = execute(
                "SELECT number, state, owner, updated FROM cells WHERE run = ? AND key = ?",
                (self.id, text),
            ).fetchone()
            if row is None:
                execute(
                    "INSERT INTO cells (run, key, state, owner, updated)"
                    " VALUES (?, ?, 'running', ?, ?)",
                    (self.id, text, self.owner, moment),
                )
                return True
            number, state, owner, updated = row
            # a finished cell that has lost its arrays is computed again
            kept = execute("SELECT 1 FROM arrays WHERE cell = ? LIMIT 1", (number,)).fetchone()
            if state == "done" and kept:
                return False
            if state == "running" and owner != self.owner and is_alive(owner, updated):
                return False
            execute(
                "UPDATE cells SET state = 'running', owner = ?, updated = ?, message = ''"
                " WHERE number = ?",
                (self.owner, moment, number),
            )
            return True

    def put(self, key: Key, arrays: Mapping[str, Any], *, seconds: float = 0.0) -> None:
        """Store the arrays of a cell and mark it done, in one transaction.

        Args:
            key: The grid point, JSON data.
            arrays: Name -> array or number, one or more; object arrays are refused.
            seconds: Time the cell took, >= 0; added to the run's.

        Raises:
            UsageError: an array of objects, or no array.
        """
        if not arrays:
            raise UsageError(f"the cell {dict(key)} has no array to store; give it one or more")
        blobs = {name: _to_npy(name, value) for name, value in arrays.items()}
        text, moment = canonical_json(key), time.time()
        with self.ledger.transaction() as execute:
            number = execute(
                "INSERT INTO cells (run, key, state, owner, updated, seconds)"
                " VALUES (?, ?, 'done', ?, ?, ?) ON CONFLICT (run, key) DO UPDATE SET"
                " state = 'done', owner = excluded.owner, updated = excluded.updated,"
                " seconds = excluded.seconds, message = '' RETURNING number",
                (self.id, text, self.owner, moment, seconds),
            ).fetchone()[0]
            execute("DELETE FROM arrays WHERE cell = ?", (number,))
            for name, blob in blobs.items():
                execute("INSERT INTO arrays VALUES (?, ?, ?)", (number, name, blob))
            execute(
                "UPDATE runs SET seconds = seconds + ?, updated = ? WHERE id = ?",
                (seconds, moment, self.id),
            )

    def release(self, key: Key, *, message: str = "") -> None:
        """Give a claimed cell back: "failed" with a message, else "pending"."""
        with self.ledger.transaction() as execute:
            execute(
                "UPDATE cells SET state = ?, message = ?, updated = ?"
                " WHERE run = ? AND key = ? AND state = 'running' AND owner = ?",
                (
                    "failed" if message else "pending",
                    message,
                    time.time(),
                    self.id,
                    canonical_json(key),
                    self.owner,
                ),
            )

    def get(self, key: Key) -> Arrays | None:
        """The arrays of a cell that is done and has not lost them, else None."""
        return self._load(canonical_json(key))

    def cells(self, state: State | None = "done") -> list[dict[str, Any]]:
        """Grid points in one state (None: in any), in the order they were first claimed."""
        rows = self.ledger.read(
            "SELECT key FROM cells WHERE run = ?1 AND (?2 IS NULL OR state = ?2) ORDER BY number",
            (self.id, state),
        )
        what = f"the key of a cell of run {self.id[:12]}"
        return [self.ledger.mapping(text, what) for (text,) in rows]

    def stack(self, name: str, **where: Any) -> tuple[list[dict[str, Any]], np.ndarray]:
        """Grid points and the array `name` of each, stacked along a new first axis.

        Args:
            name: Name of an array that every chosen cell has, of one shape.
            where: Only cells whose key has these values.

        Raises:
            UsageError: no cell is chosen, one lacks the array, or the shapes differ.
        """
        keys = [k for k in self.cells() if all(k.get(n) == v for n, v in where.items())]
        if not keys:
            raise UsageError(f"no finished cell with {where or 'any key'} in run {self.id[:8]}")
        return keys, _stacked(name, [self._array(key, name) for key in keys])

    def grid(self, name: str, axes: Mapping[str, Sequence[Any]], **fixed: Any) -> np.ndarray:
        """The array `name` over a full grid, one leading axis for each of `axes`.

        Args:
            name: Name of the array.
            axes: Key field -> its values, in the order of the axes wanted.
            fixed: The remaining key fields.

        Raises:
            UsageError: a cell of the grid is missing; a gap is never filled.
        """
        shape = tuple(len(values) for values in axes.values())
        cells = []
        for index in np.ndindex(*shape):
            point = {field: axes[field][i] for field, i in zip(axes, index, strict=True)}
            cells.append(self._array({**point, **fixed}, name))
        stacked = _stacked(name, cells)
        return stacked.reshape(shape + stacked.shape[1:])

    def _array(self, key: Key, name: str) -> np.ndarray:
        arrays = self.get(key)
        if arrays is None:
            raise UsageError(f"the cell {dict(key)} of run {self.id[:8]} is not finished")
        if name not in arrays:
            raise UsageError(f"the cell {dict(key)} has no array {name!r}; it has {sorted(arrays)}")
        return arrays[name]

    def _load(self, text: str) -> Arrays | None:
        rows = self.ledger.read(
            "SELECT number FROM cells WHERE run = ? AND key = ? AND state = 'done'", (self.id, text)
        )
        if not rows:
            return None
        blobs = self.ledger.read("SELECT name, npy FROM arrays WHERE cell = ?", rows[0])
        return {name: self._from_npy(blob, name, text) for name, blob in blobs} or None

    def _from_npy(self, blob: bytes, name: str, key: str) -> np.ndarray:
        try:
            return np.lib.format.read_array(io.BytesIO(blob), allow_pickle=False)
        except _NO_ARRAY as error:
            raise LedgerError(
                f"array {name!r} of cell {key} in {self.ledger.path} is damaged ({error}); "
                "move the ledger away and run again"
            ) from error


def _stacked(name: str, arrays: list[np.ndarray]) -> np.ndarray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise UsageError(f"the cells hold {name!r} in the shapes {sorted(shapes)}; choose fewer")
    return np.stack(arrays)


def _to_npy(name: str, value: Any) -> bytes:
    stream = io.BytesIO()
    try:
        np.save(stream, np.asarray(value), allow_pickle=False)
    except ValueError as error:
        raise UsageError(f"{name!r} is no array of numbers or text; store plain arrays") from error
    return stream.getvalue()
