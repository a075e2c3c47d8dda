"""Jobs: one at a time brings the library up to date, in a process of its own with low priority."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sterna.server._problems import AGAIN, Problem

__all__ = ["Job", "Jobs"]

State = Literal["running", "done", "failed", "cancelled"]
_KEPT = 50  # jobs that are remembered
_PATIENCE = 10.0  # seconds that a job has to keep what is done when it is cancelled
_BEAT = 15.0  # seconds between signs of life to who follows a job
_LONGEST = 1 << 24  # bytes of a line that a job writes: its report names folders
_COMMAND = (sys.executable, "-P", "-m", "sterna.server._job")


@dataclass(eq=False)
class Job:
    """A run of indexing.

    `progress` is the last that it told, `report` what it found and did, `error` a sentence where it failed.
    """

    number: int
    roots: tuple[str, ...]
    state: State = "running"
    progress: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] | None = None
    error: str | None = None
    started: float = field(default_factory=time.time)
    ended: float | None = None
    version: int = 0


class Jobs:
    """Starts jobs, one at a time, and remembers the last of them.

    Arguments:
        library: the library's folder.
        model: what it is opened with.
        ended: called with a job that has ended.
    """

    def __init__(self, library: Path, model: str | None, *, ended: Callable[[Job], Any]) -> None:
        self._library = library
        self._model = model
        self._ended = ended
        self._jobs: dict[int, Job] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._count = 0

    def get(self, number: int) -> Job:
        """A job; raises `Problem` where there is none of this number."""
        if number not in self._jobs:
            raise Problem(404, f"job {number}: there is none; the last {_KEPT} are remembered")
        return self._jobs[number]

    def all(self) -> list[Job]:
        """Every job that is remembered, the last first."""
        return list(reversed(self._jobs.values()))

    async def start(self, roots: Sequence[str]) -> Job:
        """Start a job on folders, all known ones where none is named; `Problem` where one is running."""
        self.check_none_runs()
        self._count += 1
        job = self._jobs[self._count] = Job(self._count, tuple(roots))
        while len(self._jobs) > _KEPT:
            del self._jobs[next(iter(self._jobs))]
        self._task = asyncio.create_task(self._run(job))
        return job

    def check_none_runs(self) -> None:
        """Raise `Problem` where a job is running."""
        if self._task is not None and not self._task.done():
            sentence = f"job {self._count} is running; wait for it or cancel it"
            raise Problem(409, sentence, kind="job-running", headers=AGAIN)

    async def cancel(self, job: Job) -> None:
        """Stop a job, and wait until it has kept what is done."""
        if job.state != "running":
            raise Problem(409, f"job {job.number} has ended", kind="job-ended")
        # whoever asked for it may leave meanwhile; it is stopped all the same
        self._stopping = asyncio.create_task(self._stop(job))
        await asyncio.shield(self._stopping)

    async def follow(self, job: Job) -> AsyncIterator[Job | None]:
        """The job each time that something is new of it, to its end; `None` as a sign of life."""
        seen = -1
        while True:
            if job.version != seen:
                seen = job.version
                yield job
                if job.state != "running":
                    return
            try:
                async with asyncio.timeout(_BEAT), self._changed:
                    while job.version == seen:
                        await self._changed.wait()
            except TimeoutError:
                yield None

    async def close(self) -> None:
        """Stop what runs; who follows it comes to an end with it."""
        for job in list(self._jobs.values()):
            if job.state == "running":
                await self._stop(job)
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _stop(self, job: Job) -> None:
        job.state = "cancelled"
        process, task = self._process, self._task
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends with its input
        if task is not None:
            done, _ = await asyncio.wait({task}, timeout=_PATIENCE)
            if not done:
                _end(self._process)
                await asyncio.wait({task})

    async def _run(self, job: Job) -> None:
        try:
            await self._talk(job)
        except Exception as error:  # whatever it is that it says
            job.error = f"the process that indexes cannot be used ({type(error).__name__})"
        finally:
            self._process = None
            if job.state == "running":
                job.state = "done" if job.report is not None else "failed"
                if job.state == "failed" and job.error is None:
                    job.error = "the process that indexes ended before it was done; what it committed is kept"
            job.ended = time.time()
            self._ended(job)
            await self._tell(job)

    async def _talk(self, job: Job) -> None:
        # a group of its own, so that Ctrl-C is not sent to it; a session of its own would be scheduled as the
        # equal of the service's on Linux, however low its priority
        process = self._process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=_LONGEST, process_group=0,
        )  # fmt: skip
        try:
            await self._listen(job, process)
        finally:
            _end(process)
            await process.wait()

    async def _listen(self, job: Job, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipe")
        wish = {"library": str(self._library), "model": self._model, "roots": list(job.roots)}
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(wish).encode() + b"\n")
            await process.stdin.drain()
        if job.state != "running":  # cancelled before there was a process
            process.stdin.close()
        async for line in process.stdout:
            message = json.loads(line)
            job.progress = message.get("progress", job.progress)
            job.report = message.get("done", job.report)
            job.error = message.get("failed", {}).get("sentence", job.error)
            await self._tell(job)
        await process.wait()

    async def _tell(self, job: Job) -> None:
        async with self._changed:
            job.version += 1
            self._changed.notify_all()


def _end(process: asyncio.subprocess.Process | None) -> None:
    if process is not None:
        with contextlib.suppress(ProcessLookupError):  # it has ended, as it does where all goes well
            process.kill()
