"""The catalogue: one SQLite file that is the truth about a library; everything else follows it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DiskError, LibraryError, LockedError
from sterna.library._drives import is_network_drive, is_writable
from sterna.library._schema import LATER, SCHEMA, TABLES
from sterna.library._words import add_functions
from sterna.words import printable

__all__ = ["CATALOG", "Catalog"]

CATALOG = "catalog.sqlite"
_PATIENCE = 30.0  # seconds a reader or writer waits for another's short transaction
_MANY = 500  # values in one statement
_AFRESH = "move it away and run `sterna index DIR` with your folders again"


class Catalog:
    """A connection to a library's catalogue; may be shared by threads, which then take turns.

    Arguments:
        folder: the library.
        write: make the catalogue where it is missing, and allow changes; the caller holds the library's lock.

    Raises `LibraryError` where it is damaged, no file, or newer than this Sterna, `DiskError` where the disk
    is full or refuses.
    """

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        self.folder = folder
        self.path = folder / CATALOG
        self.lock = threading.RLock()
        if write and self.path.is_dir():
            with contextlib.suppress(OSError):  # nothing is lost with an empty folder
                self.path.rmdir()
        if self.path.exists() and not self.path.is_file():
            raise LibraryError(f"{self.path}: not a file, and so no catalogue; {_AFRESH}")
        with self.errors():
            self._connection = self._connect(write)
            try:
                self._connection.execute("PRAGMA foreign_keys = ON")
                add_functions(self._connection)
                self._prepare(write)
            except BaseException:
                self._connection.close()
                raise
        self._file = self._file_now()

    def _connect(self, write: bool) -> sqlite3.Connection:
        how = "mode=rwc" if write else "mode=rw"
        if not write and not is_writable(self.folder):
            # without a log nobody is writing, and nothing has to be locked, which would need to write
            how = "mode=ro" if self.path.with_name(f"{CATALOG}-wal").exists() else "immutable=1"
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{how}",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self, write: bool) -> None:
        version = self._check_schema()
        if not write:
            return
        journal = "delete" if is_network_drive(self.folder) else "wal"
        with contextlib.suppress(sqlite3.OperationalError):  # a drive without shared memory
            self._connection.execute(f"PRAGMA journal_mode = {journal}")
        # a killed process loses nothing either way; without WAL a power cut could leave half a transaction
        self._connection.execute(f"PRAGMA synchronous = {'NORMAL' if self.journal == 'wal' else 'FULL'}")
        if version == 0:
            with self.transaction():
                for statement in TABLES.split(";\n"):
                    self._connection.execute(statement)
                self.run("INSERT INTO facts VALUES ('generation', 0), ('losses', 0), ('orphans', 0)")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")
        for statement in LATER.split(";\n"):
            self._connection.execute(statement)

    def _check_schema(self) -> int:
        version = int(self.value("PRAGMA user_version"))
        if version > SCHEMA:
            raise LibraryError(
                f"{self.path}: made by a newer Sterna (its version is {version}, this one reads {SCHEMA}); "
                "upgrade Sterna to use this library"
            )
        return version

    def _file_now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 (asked before every search)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @property
    def replaced(self) -> bool:
        """Whether another file, or none, lies now where this one was opened."""
        return self._file_now() != self._file

    @property
    def journal(self) -> str:
        """How SQLite keeps transactions: "wal", or "delete" where the drive does not allow that."""
        return str(self.value("PRAGMA journal_mode"))

    @property
    def ready(self) -> bool:
        """Whether its tables are there: not yet while another process makes the library."""
        return int(self.value("PRAGMA user_version")) > 0

    def has_table(self, name: str) -> bool:
        """Whether it has a table that came later than the first libraries."""
        return self.value("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)) is not None

    def flaws(self) -> list[str]:
        """What SQLite itself finds wrong with the file, a sentence each; all of it is read."""
        found = [str(line) for (line,) in self.rows("PRAGMA quick_check(10)") if line != "ok"]
        if not found:
            rows = self.rows('SELECT DISTINCT "table", parent FROM pragma_foreign_key_check')
            found = [f"its {table} name {parent} that are not there" for table, parent in rows]
        return [f"{self.path}: the catalogue is damaged ({one}); {_AFRESH}" for one in found]

    @contextlib.contextmanager
    def errors(self, *, written: Path | None = None) -> Iterator[None]:
        """Turn SQLite's errors into one sentence of ours; `written` is the file, where it is another one."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._translated(error, written or self.path) from error

    def _translated(self, error: sqlite3.DatabaseError, written: Path) -> Exception:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return DiskError(f"{written}: the disk is full; free some space and run the command again")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return DiskError(f"{written}: cannot be opened or written ({error}); see who may write there")
        if code == sqlite3.SQLITE_IOERR:
            return DiskError(f"{written}: the disk fails or is full ({error}); what was committed is kept")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return LockedError(f"{self.path} is being written by another process; wait for it or stop it")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or any(
            words in str(error) for words in ("no such", "Could not decode")
        ):
            return LibraryError(f"{self.path}: the catalogue is damaged ({printable(error)}); {_AFRESH}")
        return LibraryError(f"{self.path}: the catalogue cannot be used ({error})")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed together or not at all."""
        with self._together("BEGIN IMMEDIATE"):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Everything read inside is of one moment."""
        with self._together("BEGIN"):
            yield

    @contextlib.contextmanager
    def _together(self, begin: str) -> Iterator[None]:
        with self.lock, self.errors():
            if self._connection.in_transaction:  # inside another one: that one decides
                yield
                return
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement; returns the row id of what it inserted."""
        with self.lock, self.errors():
            return int(self._connection.execute(statement, values).lastrowid or 0)

    def run_many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for each row of values."""
        with self.lock, self.errors():
            self._connection.executemany(statement, values)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.lock, self.errors():
            return self._connection.execute(query, values).fetchall()

    def rows_for(
        self, query: str, keys: Sequence[Any], *, values: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """All rows of a query whose `{keys}`, behind its `values`, stands for a list of any length."""
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(keys), _MANY):
            part = keys[start : start + _MANY]
            marks = ",".join("?" * len(part))
            found.extend(self.rows(query.replace("{keys}", marks), [*values, *part]))
        return found

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first column of a query's first row, `None` where there is none."""
        with self.lock, self.errors():
            row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None

    def numbers(self, query: str, values: Sequence[Any] = ()) -> list[NDArray[np.int64]]:
        """The columns of a query of whole numbers as int64 arrays, without a Python object for each row.

        SQLite joins a column's numbers into one text, which NumPy reads: five times faster than 100,000 rows.
        The query names its columns `a`, `b`, ... in this order.
        """
        with self.lock, self.errors():
            names = [column[0] for column in self._connection.execute(f"{query} LIMIT 0", values).description]
            columns = ", ".join(f"group_concat({name})" for name in names)
            row = self._connection.execute(f"SELECT {columns} FROM ({query})", values).fetchone()  # noqa: S608  # nosec B608
        return [np.fromstring(text or "", dtype=np.int64, sep=",") for text in row]

    def fact(self, name: str) -> int | None:
        """A number of the library's own.

        Known are: "model", the id of its default model; "generation", which grows with every change of what
        can be found; "losses", which grows where that is more than new vectors behind the old ones;
        "orphans", 1 while there may be photographs without a path; "compacted", what "losses" was when
        segments were last compacted; "roots", the greatest id of a root that was taken out.
        """
        value = self.value("SELECT value FROM facts WHERE name = ?", (name,))
        return None if value is None else int(value)

    def set_fact(self, name: str, value: int) -> None:
        """Remember a number of the library's own."""
        self.run(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value)
        )

    def touch(self, *, losses: bool = False) -> None:
        """Say, inside a transaction, that what can be found changes."""
        names = "('generation', 'losses')" if losses else "('generation')"
        self.run(f"UPDATE facts SET value = value + 1 WHERE name IN {names}")  # noqa: S608  # nosec B608

    def copy_to(self, path: Path) -> None:
        """Write what is committed at one moment to a new file, which needs no log beside it.

        Others may read and write meanwhile.
        """
        with self.lock, self.errors(written=path):
            copy = sqlite3.connect(path, isolation_level=None)
            try:
                self._connection.backup(copy)
                copy.execute("PRAGMA journal_mode = delete")
            finally:
                copy.close()

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self._connection.close()
