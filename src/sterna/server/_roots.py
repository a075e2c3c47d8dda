"""The folders of a library, as requests may add them, look at them again, and take them out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.errors import UsageError
from sterna.server._jobs import Job, Jobs
from sterna.server._plain import plain
from sterna.server._problems import Problem
from sterna.server._work import Workers

if TYPE_CHECKING:
    from sterna.library import Forgotten, Library, RootRecord, RootStatus

__all__ = ["Roots"]


class Roots:
    """Decides what a job looks at and which folder is forgotten, one after the other.

    Arguments:
        library: whose folders they are.
        may_add: folders that requests may add to it, and those inside them.
        workers: ask the library.
        jobs: look at folders.
        forgot: called with what was taken out.
    """

    def __init__(
        self,
        library: Library,
        *,
        may_add: Sequence[Path],
        workers: Workers,
        jobs: Jobs,
        forgot: Callable[[Forgotten], Any],
    ) -> None:
        self.may_add = tuple(may_add)
        self._library = library
        self._workers = workers
        self._jobs = jobs
        self._forgot = forgot
        self._changing = asyncio.Lock()
        self._forgetting: asyncio.Task[Forgotten] | None = None

    def removable(self, root: RootRecord | RootStatus) -> bool:
        """Whether requests may take a folder out: a request could add it again, and it would be as it was."""
        return self._why_kept(root) is None

    async def look_at(self, wanted: Sequence[str | int]) -> Job:
        """Start a job on folders, all known ones where none is named; `Problem` where that may not be."""
        async with self._changing:  # a folder that is being forgotten is not added again
            return await self._jobs.start(await self._workers.run(self._chosen, wanted))

    async def forget(self, root_id: int, *, path: str | None) -> Forgotten:
        """Take a folder out of the library, to its end, even where whoever asked for it leaves meanwhile.

        Raises `Problem` where there is none with this id, it has another path, or that may not be.
        """
        await self._changing.acquire()
        try:
            root = await self._workers.run(self._confirmed, root_id, path=path)
            self._jobs.check_none_runs()
        except BaseException:
            self._changing.release()
            raise
        task = self._forgetting = asyncio.create_task(self._forget(root))
        task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def _forget(self, root: RootRecord) -> Forgotten:
        try:
            gone = await self._workers.run(self._library.forget, root.path)
            self._forgot(gone)
        except UsageError:  # another process has taken it out just now
            raise _none(root.root_id) from None
        finally:
            self._changing.release()
        return gone

    async def close(self) -> None:
        """Wait for what is being forgotten."""
        if self._forgetting is not None:
            await asyncio.wait({self._forgetting})

    def _confirmed(self, root_id: int, *, path: str | None) -> RootRecord:
        root = next((root for root in self._library.roots() if root.root_id == root_id), None)
        if root is None:
            raise _none(root_id)
        if path is not None and path != plain(root.path):
            raise Problem(
                409, f"root {root_id}: another folder has this id; ask /api/status again", kind="another-root"
            )
        kept = self._why_kept(root)
        if kept is not None:
            raise Problem(403, f"root {root_id}: {kept}")
        return root

    def _why_kept(self, root: RootRecord | RootStatus) -> str | None:
        """Why requests may not take a folder out; `None` where they may."""
        if not self._may_add(root.path):
            return (
                "it could not be added again from here, so it is not taken out from here; "
                "start the service with --allow-roots DIR that holds it, or use `sterna library forget`"
            )
        if not root.online:
            return (
                "it is not there now and could not be added again, so it is not taken out from here; "
                "use `sterna library forget`"
            )
        if root.exclude:
            return (
                "it has patterns of what is left out (--exclude), which would be lost with it, so it is not "
                "taken out from here; use `sterna library forget`"
            )
        return None

    def _may_add(self, folder: Path) -> bool:
        return any(folder.is_relative_to(one) for one in self.may_add)

    def _chosen(self, wanted: Sequence[str | int]) -> list[str]:
        """The folders that a job may look at, as paths."""
        known = {root.root_id: root.path for root in self._library.roots()} if wanted else {}
        return [str(self._folder(one, known=known)) for one in wanted]

    def _folder(self, wanted: str | int, *, known: dict[int, Path]) -> Path:
        if isinstance(wanted, int):
            if wanted not in known:
                raise _none(wanted)
            return known[wanted]
        try:
            path = Path(wanted).resolve()
        except (OSError, ValueError, RuntimeError):
            raise Problem(422, "roots: a path of a folder is needed") from None
        if Path(wanted) in known.values() or path in known.values():
            return path if path in known.values() else Path(wanted)
        if not self._may_add(path):
            places = f"folders are added from {' or '.join(map(plain, self.may_add))} alone"
            raise Problem(
                403,
                "this folder is not one of the library's, and "
                + (places if self.may_add else "no folder may be added from here"),
            )
        if not (Path(wanted).is_absolute() and path.is_dir()):
            raise Problem(422, "roots: no such folder")
        return path


def _none(root_id: int) -> Problem:
    return Problem(404, f"root {root_id}: the library has none with this id")


def _seen(task: asyncio.Task[Forgotten]) -> None:
    if not task.cancelled():
        task.exception()  # nobody may be left to be told
