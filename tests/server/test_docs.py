"""The guide's examples are run, in their order, against services that allow them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sterna.library import Library
from tests.conftest import draw_photo
from tests.library.test_reranking import Corners
from tests.server.conftest import colours
from tests.server.serving import Running, serving, until
from tests.server.test_fetching import Elsewhere, elsewhere, fetching, there
from tests.server.test_jobs import ended

__all__ = ["elsewhere", "there"]  # fixtures

PAGE = Path(__file__).resolve().parents[2] / "docs" / "server.md"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")


def asked() -> list[str]:
    """The lines of the guide that ask a service."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    return [line for block in blocks for line in block.splitlines() if line.startswith("curl")]


def lines(*words: str) -> list[str]:
    """Those that have one of these words."""
    return [line for line in asked() if any(word in line for word in words)]


def run(service: Running, lines: Sequence[str], *, folder: Path) -> list[tuple[str, str]]:
    """What each line is answered, and the status."""
    answers: list[tuple[str, str]] = []
    for command in lines:
        line = command.replace("http://127.0.0.1:8265", service.url)
        line = line.replace("curl -s", "curl -sS -w '%{stderr}%{http_code}'")
        done = subprocess.run(
            line, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        answers.append((done.stdout, done.stderr.strip()[-3:]))
    return answers


def test_every_example_of_the_guide_is_answered(photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    draw_photo(50).save(tmp_path / "beach.jpg")
    library = Library.open(tmp_path / "my-library", model=tiny_model)
    library.index(photos)
    others = lines("/api/roots/", '"/home/me', "image_url", "rerank")  # see below
    plain = [line for line in asked() if line not in others]
    assert len(plain) > 20
    assert len(others) == 4
    with serving(library) as service:
        until(lambda: service.get("/readyz").status == 200)
        for line in plain:
            ((answer, status),) = run(service, [line], folder=tmp_path)
            # the job is over before it can be stopped
            assert status in ({"409"} if "-X DELETE" in line else {"200", "202", "206"}), (line, answer)
    assert (tmp_path / "small.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert (tmp_path / "openapi.json").is_file()


def test_the_example_of_an_image_elsewhere_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    with fetching(tmp_path, monkeypatch, ports=(elsewhere.port,)) as service:
        (line,) = lines("image_url")
        line = line.replace("https://example.org/beach.jpg", elsewhere.url("/red.png"))
        ((answer, status),) = run(service, [line], folder=tmp_path)
    assert status == "200"
    assert "red.png" in answer
    assert [path for path, _ in elsewhere.asked] == ["/red.png"]


class Known(Corners):
    """Every word is red."""

    def words(self, sentence: str) -> np.ndarray:
        return super().words(" ".join("red" for _ in sentence.split()))


def test_the_example_of_reading_again_tells_an_alignment(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=Known())
    library.index(colours(tmp_path))
    with serving(library) as service:
        line = lines("rerank")[0].replace('"rerank": 20', '"rerank": 20, "min_score": null')
        ((answer, status),) = run(service, [line], folder=tmp_path)
    assert status == "200"
    assert '"alignment":null' not in answer
    assert '"alignment":' in answer


def test_the_examples_of_folders_add_one_and_take_it_out(tmp_path: Path, tiny_model: Path) -> None:
    trips = tmp_path / "Pictures" / "trips"
    trips.mkdir(parents=True)
    draw_photo(3).save(trips / "3.jpg")
    library = Library.open(tmp_path / "my-library", model=tiny_model)
    with serving(library, allow_roots=(tmp_path / "Pictures",)) as service:
        add, remove = (line.replace("/home/me", str(tmp_path)) for line in lines("/api/roots/", '"/home/me'))
        assert run(service, [add], folder=tmp_path)[0][1] == "202"
        assert ended(service, 1)["state"] == "done"
        ((answer, status),) = run(service, [remove], folder=tmp_path)
    assert status == "200"
    assert f'"path":"{trips}","files":1,"photos":1' in answer
