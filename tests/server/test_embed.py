"""`/api/embed`, `/api/rank` and the captions of a photograph; and images that are not what they should be."""

from __future__ import annotations

import base64
import io
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sterna.library import Library
from tests.library.fake import ColourEncoder, pixels
from tests.server.serving import BOUNDARY, Running, form, serving, until
from tests.server.test_search import png


def test_texts_and_images_become_vectors(service: Running) -> None:
    answer = service.send("/api/embed", png("red"), png("blue"), asked={"texts": ["lime"]}).json
    assert (answer["model"], answer["dim"], len(answer["vectors"])) == ("colours", 49, 3)
    vectors = np.array(answer["vectors"], np.float32)
    assert np.allclose(vectors[0], ColourEncoder().encode_texts("lime")[0], atol=1e-6)
    assert np.allclose(vectors[1], pixels(Image.new("RGB", (9, 9), "red")), atol=1e-6)


def test_base64_holds_the_same_numbers(service: Running) -> None:
    asked = {"texts": ["red", "a dog"]}
    numbers = service.post("/api/embed", asked).json["vectors"]
    coded = service.post("/api/embed", {**asked, "encoding": "base64"}).json["vectors"]
    for row, text in zip(numbers, coded, strict=True):
        assert np.array_equal(np.float32(row), np.frombuffer(base64.b64decode(text), "<f4"))


def test_texts_are_ranked_for_a_photograph_and_an_upload(service: Running, ids: dict[str, int]) -> None:
    texts = ["all blue", "all red", "all lime"]
    own = service.post("/api/rank", {"texts": texts, "photo": ids["red.png"], "k": 2}).json["captions"]
    assert (own[0]["rank"], own[0]["caption"]) == (1, "all red")
    assert len(own) == 2
    sent = service.send("/api/rank", png("lime"), asked={"texts": texts}).json["captions"]
    assert sent[0]["caption"] == "all lime"
    assert service.post("/api/rank", {"texts": texts}).problem == "invalid"
    assert service.send("/api/rank", png("red"), asked={"texts": texts, "photo": 1}).problem == "invalid"
    assert service.post("/api/rank", {"texts": texts, "photo": 999}).problem == "unknown-photo"


def test_known_sentences_are_ranked_for_a_photograph(service: Running, ids: dict[str, int]) -> None:
    captions = service.get(f"/api/photos/{ids['green.png']}/captions?k=1").json["captions"]
    assert [one["caption"] for one in captions] == ["all lime"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "nothing to embed"),
        ({"texts": []}, "nothing to embed"),
        ({"texts": ["a"] * 257}, "at most 256 texts"),
        ({"texts": ["x" * 2001]}, "2,000 letters"),
        ({"texts": [" "]}, "a text is empty"),
        ({"texts": [1]}, "texts.0"),
        ({"texts": ["a"], "encoding": "xml"}, "encoding"),
    ],
)
def test_what_cannot_be_embedded_is_told(service: Running, asked: object, words: str) -> None:
    answer = service.post("/api/embed", asked)
    assert answer.status == 422
    assert answer.problem
    assert words in answer.json["detail"]


def test_an_image_at_an_address_counts_as_one_that_is_sent(service: Running) -> None:
    asked = {"image_url": "https://pictures.example/red.png"}
    full = service.send("/api/embed", *[png("red")] * 16, asked=asked)
    assert (full.status, full.problem) == (422, "invalid")
    assert "at most 16 images can be sent at one time, one at an address included" in full.json["detail"]
    assert service.send("/api/embed", *[png("red")] * 15, asked=asked).problem == "fetching-off"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "the file is empty"),
        (b"GIF89a", "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a photograph"),
        (b"%!PS-Adobe-3.0", "not a photograph"),
        (png("red")[:50], "cut short"),
    ],
)
def test_an_upload_that_is_no_photograph_is_told(service: Running, image: bytes, words: str) -> None:
    answer = service.send("/api/search", image)
    assert (answer.status, answer.problem) == (422, "unreadable-photo")
    assert words in answer.json["detail"]


def bomb(width: int, height: int) -> bytes:
    """A PNG of many pixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(service: Running) -> None:
    answer = service.send("/api/embed", bomb(30_000, 3000))
    assert (answer.status, answer.problem) == (422, "unreadable-photo")
    assert "more than the limit of 60 megapixels" in answer.json["detail"]


class Gathering(ColourEncoder):
    """Notes how many pixels wait for it at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels: list[int] = []

    def encode_images(self, photos: Any) -> np.ndarray:
        self.pixels.append(sum(photo.width * photo.height for photo in photos))
        return super().encode_images(photos)


def test_decoded_images_of_all_requests_together_are_bounded(tmp_path: Path, root: Path) -> None:
    encoder = Gathering()
    library = Library.open(tmp_path / "library", model=encoder)
    library.index(root)
    # so thin that they keep all their pixels; and the first waits until as many have come as can
    thin = bomb(500, 4000)
    limits = {"pixels": 2_000_000, "decoded": 4_500_000, "decoders": 4, "batch_wait": 0.3}
    with serving(library, limits=limits) as service, ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: service.send("/api/embed", *[thin] * 5), range(2)))
        assert [len(answer.json["vectors"]) for answer in answers] == [5, 5]
    assert sum(encoder.pixels) == 10 * 2_000_000
    assert max(encoder.pixels) == 2 * 2_000_000


def test_who_leaves_while_images_wait_gives_back_their_room(tmp_path: Path, root: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    limits = {"pixels": 2_000_000, "decoded": 2_000_000}
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    body = form(*[bomb(500, 4000)] * 9)
    head = f"POST /api/embed HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
    with serving(library, limits=limits) as service:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", service.port)) as gone:
                gone.sendall(head.encode() + body)
                time.sleep(0.2)
        assert service.send("/api/embed", png("red"), b"none").problem == "unreadable-photo"
        assert service.send("/api/embed", png("red")).status == 200
        until(lambda: b"sterna_waiting 0.0" in service.get("/metrics").body)


def test_an_image_that_takes_too_long_is_given_up_and_the_next_is_answered(
    tmp_path: Path, root: Path
) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    slow = bomb(16_000, 12_000)
    limits = {"decode_seconds": 0.05, "pixels": 200_000_000, "decoders": 1}
    with serving(library, limits=limits) as service:
        answer = service.send("/api/embed", slow)
        assert (answer.status, answer.problem) == (422, "unreadable-photo")
        assert "not within 0.05 seconds" in answer.json["detail"]
        assert b"sterna_decoders_ended_total 1.0" in service.get("/metrics").body
        assert service.search({"text": "red", "k": 1}) == ["red.png"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"nothing of a form", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"x", "multipart/form-data"),
        (form(png("red"))[:-20], f"multipart/form-data; boundary={BOUNDARY}"),
        (form(png("red")), "multipart/form-data; boundary=another"),
        (
            form(png("red")).replace(b'name="image"', b'name="other"'),
            f"multipart/form-data; boundary={BOUNDARY}",
        ),
        (form(png("red")).replace(b'name="image"; ', b""), f"multipart/form-data; boundary={BOUNDARY}"),
        (form(png("red"), asked=[1]), f"multipart/form-data; boundary={BOUNDARY}"),
        (form(*[png("red")] * 2), f"multipart/form-data; boundary={BOUNDARY}"),
        (form(png("red"), asked={"a": "x" * 1_100_000}), f"multipart/form-data; boundary={BOUNDARY}"),
        (b"text=red", "application/x-www-form-urlencoded"),
        (b'{"text": "red"}', "text/plain"),
        (b'{"text": "red"}', ""),
    ],
)
def test_a_form_that_is_none_is_a_problem(service: Running, body: bytes, kind: str) -> None:
    answer = service.ask("POST", "/api/search", body=body, headers={"Content-Type": kind})
    assert answer.status in {400, 413, 415, 422}, answer
    assert answer.problem


def test_nothing_of_an_upload_is_left_in_the_picture_s_size(service: Running) -> None:
    out = io.BytesIO()
    Image.new("RGB", (3000, 2000), "blue").save(out, "JPEG")
    answer = service.send("/api/search", out.getvalue(), asked={"k": 1}).json
    assert [hit["path"] for hit in answer["hits"]] == ["trips/sea/blue.png"]
