"""The jobs of a service, in SQLite: what was taken on stays known, whatever happens.

A job library was looked for first. huey, the smallest with SQLite storage, takes a task out of its
queue when it begins it, so a task is lost with the process that ran it; the others need a server.
"""

import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vmatte.errors import OptionError, WriteError, writing

State = Literal["queued", "running", "done", "failed", "cancelled"]

ENDED = ("done", "failed", "cancelled")


@dataclass(slots=True, kw_only=True)
class Job:
    """A video to be matted.

    name: what the client calls it. key: equal for equal work. wanted: what the client wants, see
    server.jobs. error: a problem document. results: by kind, name and bytes. stats: of the run.
    """

    id: str
    state: State
    created: float
    updated: float
    name: str
    key: str
    wanted: dict[str, Any]
    error: dict[str, Any] | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    stats: dict[str, Any] | None = None


_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    name TEXT NOT NULL, key TEXT NOT NULL, wanted TEXT NOT NULL, error TEXT, results TEXT NOT NULL,
    stats TEXT
) STRICT
"""

_JSON = ("wanted", "error", "results", "stats")


class Store:
    """Jobs and their folders. Used from one thread; one service at a time has the folder."""

    def __init__(self, folder: Path) -> None:
        """Open ``folder``; jobs that were under way wait again. Raises WriteError, OptionError."""
        self._folder = folder / "jobs"
        with writing(str(folder)):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(
            folder / "jobs.sqlite", timeout=0, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        try:
            # Held until this process ends, so that no two services run one job.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(_TABLE)
            self._db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
        except sqlite3.OperationalError as e:
            self._db.close()
            if "locked" in str(e):
                raise OptionError(
                    f"{folder}: another vmatte serve has this folder; give it its own (--folder)"
                ) from e
            raise WriteError(f"{folder}: its database cannot be used: {e}") from e
        except sqlite3.DatabaseError as e:
            self._db.close()
            raise WriteError(
                f"{folder / 'jobs.sqlite'}: is damaged or no database ({e}); move it away"
            ) from e
        self._sweep()

    def _sweep(self) -> None:
        """Remove what a crash left: folders of no job, and half-written results."""
        known = {row["id"] for row in self._db.execute("SELECT id FROM jobs")}
        for path in self._folder.iterdir():
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True)
                continue
            for part in path.glob("part-*"):
                shutil.rmtree(part, ignore_errors=True)

    def folder(self, id: str) -> Path:
        """Return a job's folder."""
        return self._folder / id

    def new_id(self) -> str:
        """Return an id that cannot be guessed, and make its folder."""
        id = secrets.token_hex(16)
        self.folder(id).mkdir(mode=0o700)
        return id

    def add(self, id: str, name: str, key: str, wanted: Mapping[str, Any]) -> Job:
        """Take on a job whose files are in its folder."""
        now = time.time()
        job = Job(
            id=id, state="queued", created=now, updated=now, name=name, key=key, wanted={**wanted}
        )
        self._write("INSERT", job)
        return job

    def save(self, job: Job) -> None:
        """Keep what changed in a job."""
        job.updated = time.time()
        self._write("REPLACE", job)

    def _write(self, verb: str, job: Job) -> None:
        values = [
            json.dumps(getattr(job, n)) if n in _JSON else getattr(job, n) for n in Job.__slots__
        ]
        names, marks = ", ".join(Job.__slots__), ", ".join("?" * len(values))
        self._db.execute(f"{verb} INTO jobs ({names}) VALUES ({marks})", values)

    def get(self, id: str) -> Job | None:
        """Return a job."""
        return self._first("WHERE id = ?", id)

    def next(self) -> Job | None:
        """Return the job that has waited longest."""
        return self._first("WHERE state = 'queued' ORDER BY created, rowid")

    def equal(self, key: str) -> Job | None:
        """Return a job that did the same work."""
        return self._first("WHERE state = 'done' AND key = ? ORDER BY updated DESC", key)

    def every(self) -> list[Job]:
        """Return all jobs, the newest first."""
        rows = self._db.execute("SELECT * FROM jobs ORDER BY created DESC, rowid DESC LIMIT 1000")
        return [_job(row) for row in rows]

    def count(self, state: State) -> int:
        """Return how many jobs are in a state."""
        row = self._db.execute("SELECT count(*) FROM jobs WHERE state = ?", (state,)).fetchone()
        return int(row[0])

    def ended_before(self, when: float) -> list[Job]:
        """Return the jobs that ended before a time."""
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE state IN ('done', 'failed', 'cancelled') AND updated < ?",
            (when,),
        )
        return [_job(row) for row in rows]

    def remove(self, id: str) -> None:
        """Forget a job, and remove its files."""
        self._db.execute("DELETE FROM jobs WHERE id = ?", (id,))
        shutil.rmtree(self.folder(id), ignore_errors=True)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _first(self, where: str, *values: str) -> Job | None:
        row = self._db.execute(f"SELECT * FROM jobs {where} LIMIT 1", values).fetchone()
        return None if row is None else _job(row)


def _job(row: sqlite3.Row) -> Job:
    values = {k: json.loads(row[k]) if k in _JSON else row[k] for k in row.keys()}  # noqa: SIM118
    return Job(**values)
