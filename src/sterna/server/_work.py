"""Work that blocks, in threads; and texts and images of several requests, embedded together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from sterna.server._problems import busy
from sterna.server._settings import Limits

__all__ = ["Batcher", "Room", "Turns", "Workers"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Vector = NDArray[np.float32]


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(what)


class Workers:
    """A few threads with a bounded queue.

    Arguments:
        threads: how many work at one time.
        queue: how many calls may wait; one more raises the problem of a full queue.
    """

    def __init__(self, threads: int, *, queue: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sterna-serve")
        self._most = threads + queue
        self.count = 0

    async def run(self, function: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call a function in a thread; where the caller is cancelled before it begins, it never does."""
        if self.count >= self._most:
            raise busy("too much is waiting to be done")
        loop = asyncio.get_running_loop()
        future = self._pool.submit(function, *args, **named)
        self.count += 1
        future.add_done_callback(lambda _: _tell(loop, self._done))
        return await asyncio.wrap_future(future)

    def leave(self, function: Callable[[], Any]) -> None:
        """Have a function called in a thread, however many wait, and do not wait for it."""
        try:
            self._pool.submit(function)
        except RuntimeError:  # it has been closed: nothing is under way any more
            function()

    def _done(self) -> None:
        self.count -= 1

    def close(self) -> None:
        """Finish what was begun, and take nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Turns:
    """One after the other, or a few at one time, for what holds much while it is done.

    Arguments:
        queue: how many may wait for their turn; one more raises the problem of a full queue.
        at_once: how many have their turn at one time.
    """

    def __init__(self, *, queue: int, at_once: int = 1) -> None:
        self._most = at_once + queue
        self._free = asyncio.Semaphore(at_once)
        self.count = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, and have it."""
        if self.count >= self._most:
            raise busy("too much is waiting to be done")
        self.count += 1
        try:
            async with self._free:
                yield
        finally:
            self.count -= 1


class Room:
    """An amount of something, of which requests take their share and give it back; first come, first served.

    Arguments:
        size: how much there is.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for their share."""
        return len(self._waiting)

    async def take(self, size: int) -> None:
        """Take a share, once there is enough; no more than there is in all."""
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, given))
        try:
            await given
        except asyncio.CancelledError:
            self.give(0 if given.cancelled() else size)
            raise

    def give(self, size: int) -> None:
        """Give back a share, or a part of one."""
        self._free += size
        while self._waiting:
            wanted, given = self._waiting[0]
            if not given.done():
                if wanted > self._free:
                    return
                self._free -= wanted
                given.set_result(None)
            self._waiting.popleft()


@dataclass(frozen=True)
class _Wish(Generic[T]):
    item: T
    answer: asyncio.Future[Vector]


class Batcher(Generic[T]):
    """Embeds together what comes together: the first waits a few milliseconds for others.

    While a batch is being embedded, the next one gathers.

    Arguments:
        encode: makes vectors [N, E] of N items; called in a thread, one call at a time.
        limits: `batch`, `batch_wait`, and `queue`, the most items that wait.
        told: called with the size of each batch.
    """

    def __init__(
        self, encode: Callable[[list[T]], Vector], *, limits: Limits, told: Callable[[int], Any]
    ) -> None:
        self._encode = encode
        self._limits = limits
        self._told = told
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sterna-embed")
        self._waiting: deque[_Wish[T]] = deque()
        self._working: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    async def embed(self, items: Sequence[T]) -> Vector:
        """Vectors [N, E] of items, N >= 1; raises the problem of a full queue, and what `encode` raises."""
        if len(self._waiting) + len(items) > self._limits.queue:
            raise busy("too much is waiting to be embedded")
        loop = asyncio.get_running_loop()
        wishes = [_Wish(item, loop.create_future()) for item in items]
        self._waiting.extend(wishes)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        try:
            return np.stack(await asyncio.gather(*(wish.answer for wish in wishes)))
        finally:
            for wish in wishes:  # of somebody who has gone, or whose other item failed
                wish.answer.cancel()
            if any(not wish.answer.done() or wish.answer.cancelled() for wish in wishes):
                self._waiting = deque(wish for wish in self._waiting if not wish.answer.done())

    async def _work(self) -> None:
        while self._waiting:
            if len(self._waiting) < self._limits.batch:
                await asyncio.sleep(self._limits.batch_wait)
            batch: list[_Wish[T]] = []
            while self._waiting and len(batch) < self._limits.batch:
                wish = self._waiting.popleft()
                if not wish.answer.done():
                    batch.append(wish)
            if batch:
                self._told(len(batch))
                await self._answer(batch)

    async def _answer(self, batch: Sequence[_Wish[T]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            vectors = await loop.run_in_executor(self._pool, self._encode, [wish.item for wish in batch])
            answers = list(zip(batch, vectors, strict=True))
        except Exception as error:
            if len(batch) > 1:  # whose fault it is shows when each is alone
                for wish in batch:
                    await self._answer([wish])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for wish, vector in answers:
            if not wish.answer.done():
                wish.answer.set_result(vector)

    async def close(self) -> None:
        """End, with whatever waits unanswered."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait({self._working})
        for wish in self._waiting:
            wish.answer.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)
