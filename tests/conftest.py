"""What tests share: the photographs beside the checkout, drawn photographs, a tiny model folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of photographs and golden outputs beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"{SHARED} is not there: this test needs its photographs or golden outputs")
    return SHARED


def draw_photo(seed: int, *, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture of soft shapes, different for every seed."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, size[0])[None, :, None] * rng.uniform(0, 255, 3)
    sky = np.linspace(1, 0, size[1])[:, None, None] * rng.uniform(0, 255, 3)
    image = Image.fromarray(((ramp + sky) / 2).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        radius = int(rng.integers(8, 70))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((int(x) - radius, int(y) - radius, int(x) + radius, int(y) + radius), fill=colour)
    return image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of twelve drawn JPEGs, `photo-00.jpg` to `photo-11.jpg`, two of them in a folder `trip`."""
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for number in range(12):
        where = folder / "trip" if number >= 10 else folder
        draw_photo(number).save(where / f"photo-{number:02}.jpg", quality=88)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few kilobytes that really runs on ONNX Runtime."""
    pytest.importorskip("onnx")
    from tests.tiny import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def aligned_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few kilobytes that tells the regions of photographs and the words of sentences."""
    pytest.importorskip("onnx")
    from tests.tiny import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("model") / "aligned", alignment="MrSw")
