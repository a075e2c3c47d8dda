"""A service: a library, and what stands between it and everybody who asks at one time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from sterna.server._decoding import Decoders
from sterna.server._fetching import Fetcher
from sterna.server._guard import Guard
from sterna.server._jobs import Job, Jobs
from sterna.server._logs import Log
from sterna.server._metrics import Metrics
from sterna.server._model import Model
from sterna.server._problems import Problem
from sterna.server._roots import Roots
from sterna.server._settings import ServerSettings
from sterna.server._thumbnails import Thumbnails
from sterna.server._watching import Watching
from sterna.server._work import Room, Turns, Workers

if TYPE_CHECKING:
    from PIL import Image

    from sterna.library import Forgotten, IndexReport, Library
    from sterna.server._body import Bodies

__all__ = ["Service", "service_of"]

_AGAIN = 5.0  # seconds after which a model that could not be loaded is tried again


class Service:
    """What routes are given.

    Arguments:
        library: answers; it is closed with the service.
        settings: the service's.
        bodies: what all requests together hold.
        notice: called with a sentence on what is watched and what goes wrong there, by any thread.
    """

    def __init__(
        self,
        library: Library,
        settings: ServerSettings,
        *,
        bodies: Bodies,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        limits = settings.limits
        self.library = library
        self.settings = settings
        self.metrics = Metrics()
        self.log = Log(as_json=settings.log_json)
        self.guard = Guard(settings)
        self.workers = Workers(limits.threads, queue=limits.queue)
        # a drive may sleep: files wait for each other alone, and each request reads a block at a time
        self.reading = Workers(limits.threads, queue=limits.requests)
        # threads of their own: an image that takes long must not hold back a search
        self.decoding = Workers(limits.decoders, queue=limits.queue)
        # no more files are in memory than can be made small at one time
        self.drawing = Workers(limits.decoders, queue=limits.queue)
        # what takes seconds waits for its like alone
        self.explaining = Turns(queue=limits.explaining)
        self.looking = Workers(1, queue=limits.explaining)
        self.comparing = Workers(1, queue=limits.explaining)
        self.reranking = Workers(1, queue=limits.explaining)
        self.listing = Workers(1, queue=limits.queue)
        # many files are looked at for one ZIP: a thread of its own, and none waits behind a long one
        self.packing = Workers(1, queue=limits.zips)
        self.zipping = Turns(queue=0, at_once=limits.zips)
        self.decoders = Decoders(limits, self.metrics)
        self.fetcher = Fetcher(limits, bodies, on=settings.fetch_images)
        self._pixels = Room(max(limits.decoded, limits.pixels))
        self.thumbnails = Thumbnails(limits.thumbnails)
        given = library.model
        self.can_index = given is None or isinstance(given, str | Path)
        self.jobs = Jobs(library.path, None if given is None else str(given), ended=self._job_ended)
        self.roots = Roots(
            library,
            may_add=settings.allow_roots if self.can_index else (),
            workers=self.workers,
            jobs=self.jobs,
            forgot=self._forgot,
        )
        self._watching: Watching | None = None
        if settings.watch:
            self._watching = Watching(library, changed=self._changed, notice=notice or (lambda _: None))
        self.watchers = 0
        self.edition = object()  # another one after each change of the library that is known of
        self.compared: Any = None  # the last groups of duplicates: their pages are asked for one by one
        self.listed: Any = None  # the folders that were found last
        self.trouble: str | None = "the model is being loaded"
        self._models: dict[str, Model] = {}
        self._tried = 0.0
        self._warming: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def model(self, name: str | None) -> Model:
        """The model of a name or fingerprint, `None` for the library's; `Problem` where there is none."""
        spec = None if name is None else await self.workers.run(self._spec, name)
        encoder = await self.workers.run(self.library.encoder, spec)
        if encoder.fingerprint not in self._models:
            self._models[encoder.fingerprint] = Model(
                encoder, spec, limits=self.settings.limits, metrics=self.metrics
            )
        return self._models[encoder.fingerprint]

    def _spec(self, name: str) -> str | None:
        """What loads a model that has vectors in the library, and no other: a name may mean any file."""
        models = self.library.status().models
        for model in models:
            if name in (model.name, model.fingerprint):
                return None if model.default else model.spec
        known = ", ".join(sorted(model.name for model in models)) or "none"
        raise Problem(
            422, f"model: the library has no vectors of this one; known: {known}", kind="unknown-model"
        )

    async def image_vectors(self, model: Model, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Vectors [N, E] of uploaded images, decoded elsewhere; raises `PhotoError` where one cannot be."""
        tasks = [asyncio.ensure_future(self._image_vector(model, image)) for image in images]
        try:
            return np.concatenate([model.none, *await asyncio.gather(*tasks)])
        finally:
            for task in tasks:  # of somebody who has gone, or whose other image failed
                task.cancel()

    async def _image_vector(self, model: Model, image: bytes) -> NDArray[np.float32]:
        async with self.decoded(image) as decoded:
            return await model.images([decoded])

    @contextlib.asynccontextmanager
    async def decoded(self, image: bytes) -> AsyncIterator[Image.Image]:
        """An image as RGB, decoded elsewhere once there is room; raises `PhotoError` where it cannot be."""
        held = self.settings.limits.pixels  # as many as it may have, until it is known
        await self._pixels.take(held)
        try:
            decoded = await self.decoding.run(self.decoders.decode, image)
            del image  # what it was is no longer needed
            more, held = held - decoded.width * decoded.height, decoded.width * decoded.height
            self._pixels.give(more)
            yield decoded
        finally:
            self._pixels.give(held)

    def start(self) -> None:
        """Load the model in the background, and watch where that is wanted."""
        self._loop = asyncio.get_running_loop()
        if self._watching is not None and self._warming is None:
            self._watching.start()
        self._tried = self._loop.time()
        self._warming = asyncio.create_task(self._warm())

    async def _warm(self) -> None:
        try:
            model = await self.model(None)
            await model.texts(["warm"])
            await self._count()
        except Exception as error:  # whatever it is, it is told, and asked again when somebody asks
            self.trouble = str(error) or type(error).__name__
        else:
            self.trouble = None

    async def ready(self) -> str | None:
        """`None` where searches can be answered, or a sentence that says why not."""
        loop = asyncio.get_running_loop()
        over = self._warming is None or self._warming.done()
        if self.trouble is not None and over and loop.time() > self._tried + _AGAIN:
            self.start()
        return self.trouble

    def stop(self) -> None:
        """Stop what runs, so that who follows it comes to an end, and then the service can."""
        if self._watching is not None:
            self._watching.stop()
        self._leaving = asyncio.create_task(self.jobs.close())

    async def close(self) -> None:
        """End everything that was begun, and close the library."""
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as last_first:  # whatever one of them raises, the others end
            last_first.callback(self.library.close)
            slow = (self.comparing, self.looking, self.reranking, self.decoding, self.drawing, self.fetcher)
            for workers in (self.workers, self.reading, self.packing, self.listing, *slow):
                last_first.push_async_callback(loop.run_in_executor, None, workers.close)
            last_first.callback(self.decoders.close)
            last_first.push_async_callback(self._stop_counting)
            for model in self._models.values():
                last_first.push_async_callback(model.close)
            if self._watching is not None:
                last_first.push_async_callback(loop.run_in_executor, None, self._watching.close)
            last_first.push_async_callback(self.jobs.close)
            last_first.push_async_callback(self.roots.close)
            if self._warming is not None:
                self._warming.cancel()
                await asyncio.wait({self._warming})

    async def _stop_counting(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.wait({self._counting})

    def _renew(self) -> None:
        """Note that the library has changed, and count its photographs again."""
        self.edition = object()
        self.compared = self.listed = None
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count_again())

    async def _count_again(self) -> None:
        counted = None
        while counted is not self.edition:  # it may change while it is counted
            counted = self.edition
            try:
                await self._count()
            except Exception as error:  # what has changed has changed: whatever is asked next is answered
                self.log.event("count", fault=type(error).__name__)

    async def _count(self) -> None:
        self.metrics.photos.set((await self.workers.run(self.library.status)).indexed)

    def _forgot(self, gone: Forgotten) -> None:
        self._renew()
        self.log.event("forget", files=gone.files, photos=gone.photos)

    def _changed(self, report: IndexReport) -> None:
        """What a thread that watches tells."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._renew)
        counts = {name: getattr(report, name) for name in ("new", "changed", "moved", "removed", "failed")}
        self.log.event("watch", **counts)

    def _job_ended(self, job: Job) -> None:
        self._renew()
        self.metrics.jobs.labels(job.state).inc()
        self.log.event("job", number=job.number, state=job.state)

    def count_waiting(self) -> None:
        """Tell the metrics how much waits."""
        embedding = sum(model.waiting for model in self._models.values())
        images = self.decoding.count + self.drawing.count + self._pixels.waiting
        slow = self.explaining.count + self.comparing.count + self.reranking.count
        self.metrics.waiting.set(self.workers.count + images + slow + embedding)


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service
