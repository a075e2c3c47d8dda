"""The processes that decode images of strangers: what they take, what they give back, and how they end."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sterna.errors import PhotoError
from sterna.images import open_photo
from sterna.server import _decoding
from sterna.server._decoder import read_message, write_message
from sterna.server._decoding import Decoders
from sterna.server._metrics import Metrics
from sterna.server._problems import Problem
from sterna.server._settings import Limits
from tests.conftest import draw_photo
from tests.server.serving import until
from tests.server.test_embed import bomb
from tests.server.test_search import png

COMMAND = [sys.executable, "-P", "-m", "sterna.server._decoder"]
ORDER = {"at_least": 640, "max_pixels": 60_000_000, "thumbnail": False, "seconds": 60}


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(Limits(decoders=1), Metrics())
    yield made
    made.close()


def slow() -> bytes:
    """A JPEG of very many scans, each of which is decoded over all its pixels: many seconds of work."""
    out = io.BytesIO()
    Image.new("L", (6000, 6000), 90).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 400 + b"\xff\xd9"


@pytest.fixture
def decoder() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as popen:
        assert read_message(popen.stdout)[0]["ready"]
        yield popen
        popen.kill()


def test_a_decoder_ends_with_its_input_while_it_is_busy(decoder: subprocess.Popen[bytes]) -> None:
    write_message(decoder.stdin, ORDER, slow())
    with pytest.raises(subprocess.TimeoutExpired):  # it is busy
        decoder.wait(0.5)
    decoder.stdin.close()  # as where the service was killed
    assert decoder.wait(2) == 0


def test_a_decoder_ends_by_itself_where_an_order_takes_too_long(decoder: subprocess.Popen[bytes]) -> None:
    write_message(decoder.stdin, {**ORDER, "seconds": 0.1}, slow())
    assert decoder.wait(5) == -signal.SIGALRM


def test_a_decoder_that_waits_has_no_limit(decoder: subprocess.Popen[bytes]) -> None:
    for _ in range(2):
        write_message(decoder.stdin, {**ORDER, "seconds": -0.8}, png("red"))
        assert read_message(decoder.stdout)[0]["ok"]
        time.sleep(0.4)


SERVICE = """
import os, sys, threading
from sterna.server._decoding import Decoders
from sterna.server._metrics import Metrics
from sterna.server._settings import Limits
from tests.server.test_decoding import slow
decoders = Decoders(Limits(decoders=1), Metrics())
threading.Thread(target=decoders.decode, args=(slow(),), daemon=True).start()
while decoders._all[0].popen is None:
    pass
print(decoders._all[0].popen.pid, flush=True)
threading.Event().wait()
"""


def test_a_decoder_of_a_service_that_is_killed_ends(decoders: Decoders) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE) as service:
        number = int(service.stdout.readline())
        time.sleep(1)
        os.kill(number, 0)
        service.kill()
    until(lambda: not runs(number), seconds=3)


def runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # nobody may be there to take note of its end


@pytest.mark.parametrize(
    ("size", "given"),
    [
        ((640, 80_000), (640, 4211)),
        pytest.param((40_000, 1279), (4445, 1279), marks=pytest.mark.long),
        ((1, 900_000), (1, 4110)),
        pytest.param((2500, 22_000), (1250, 5500), marks=pytest.mark.long),
        ((500, 4001), (500, 4001)),
        ((3000, 400), (3000, 400)),
    ],
)
def test_what_comes_back_has_a_few_megapixels_however_thin_it_is(
    decoders: Decoders, size: tuple[int, int], given: tuple[int, int]
) -> None:
    assert decoders.decode(bomb(*size)).size == given


def test_ordinary_photographs_come_back_as_they_are_read_elsewhere(decoders: Decoders) -> None:
    for size in ((4000, 3000), (600, 1800), (7000, 2200)):
        out = io.BytesIO()
        draw_photo(3, size=size).save(out, "JPEG")
        expected = open_photo(out.getvalue(), at_least=640).image
        assert np.array_equal(decoders.decode(out.getvalue()), expected)


def test_an_image_is_decoded_where_its_process_was_killed_before_it_came(decoders: Decoders) -> None:
    assert decoders.decode(png("red")).getpixel((0, 0)) == (255, 0, 0)
    for seconds in (0.0, 0.3):
        os.kill(decoders._all[0].popen.pid, signal.SIGKILL)
        time.sleep(seconds)
        assert decoders.decode(png("red")).getpixel((0, 0)) == (255, 0, 0)


def test_an_image_during_which_a_process_is_killed_is_not_tried_again(decoders: Decoders) -> None:
    decoders.decode(png("red"))
    number, data = decoders._all[0].popen.pid, slow()
    threading.Timer(2, os.kill, (number, signal.SIGKILL)).start()
    start = time.monotonic()
    with pytest.raises(PhotoError, match="cannot be decoded safely"):
        decoders.decode(data)
    assert time.monotonic() - start < 6
    assert decoders.decode(png("red")).size == (9, 9)


def test_a_photograph_is_tried_again_where_it_is_large_and_not_where_it_is_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange, orders = _decoding._exchange, []

    def counted(popen: object, order: object, data: bytes, *, seconds: float) -> object:
        orders.append(order)
        return exchange(popen, order, data, seconds=seconds)

    monkeypatch.setattr(_decoding, "_exchange", counted)
    decoders = Decoders(Limits(decoders=1, pixels=1000), Metrics())
    with contextlib.closing(decoders):
        for data, times in ((png("red", size=(20, 20)), 1), (png("red", size=(90, 60)), 2)):
            orders.clear()
            assert decoders.thumbnail(data, 64)[:2] == b"\xff\xd8"
            assert sum(order is not None for order in orders) == times
        for data in (png("red")[:45], b"no photograph"):
            orders.clear()
            with pytest.raises(PhotoError):
                decoders.thumbnail(data, 64)
            assert len(orders) == 1


def test_where_no_process_can_be_started_it_is_busy(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("sterna.server._decoding.subprocess.Popen", none)
    with pytest.raises(Problem) as raised:
        decoders.decode(png("red"))
    assert (raised.value.status, raised.value.headers) == (503, {"Retry-After": "5"})
    monkeypatch.undo()
    assert decoders.decode(png("red"))


def test_photographs_beyond_the_limits_of_an_upload_are_made_small_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoders = Decoders(Limits(decoders=4, pixels=1000), Metrics())
    inside, most = 0, 0
    ask = Decoders._ask

    def counted(self: Decoders, data: bytes, **order: object) -> object:
        nonlocal inside, most
        large = order["max_pixels"] is None
        inside += large
        most = max(most, inside)
        try:
            return ask(self, data, **order)
        finally:
            inside -= large

    monkeypatch.setattr(Decoders, "_ask", counted)
    large = bomb(3000, 2000)
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(decoders.thumbnail(large, 64))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decoders.close()
    assert [Image.open(io.BytesIO(one)).size for one in made] == [(64, 43)] * 4
    assert most == 1
