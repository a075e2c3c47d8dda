"""Pictures of what a validation found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from sterna.evaluation import rank_both_ways
from sterna.training import train
from sterna.training._panels import FIRST, Shown, panels
from tests.training.toy import make_toy, toy_settings

GREEN, RED, GONE = (22, 138, 62), (196, 52, 40), (212, 215, 220)


@pytest.fixture
def found(tmp_path):
    """Twelve photographs of one colour each, two captions each; the fourth photograph is gone."""
    colours = [(20 * k, 255 - 20 * k, 100) for k in range(12)]
    paths = [tmp_path / f"{k}.png" for k in range(12)]
    for path, colour in zip(paths, colours, strict=True):
        Image.new("RGB", (40, 30), colour).save(path)
    paths[3].unlink()
    vectors = np.eye(12)
    owners = np.repeat(np.arange(12), 2)
    texts = np.roll(vectors, 1, axis=0)[owners] * 0.9 + vectors[owners] * 0.5  # the right one is second
    ranks = rank_both_ways(vectors, texts, owners, top=FIRST)
    captions = [f"caption {k % 2} of {k // 2}" for k in range(24)]
    return ranks, Shown(paths, captions), colours


def colours_of(picture: Image.Image) -> set:
    return {colour for _, colour in picture.getcolors(picture.width * picture.height)}


def test_a_few_queries_are_shown_both_ways_and_always_the_same(found):
    ranks, shown, _ = found
    pictures = dict(panels(ranks, shown, count=3))
    assert list(pictures) == ["i2t/0", "i2t/1", "i2t/2", "t2i/0", "t2i/1", "t2i/2"]
    again = dict(panels(ranks, shown, count=3))
    for name, picture in pictures.items():
        assert picture.mode == "RGB"
        assert np.array_equal(np.asarray(picture), np.asarray(again[name]))
    assert len(dict(panels(ranks, shown, count=99))) == 12 + 24


def test_answers_are_marked_right_or_wrong_beside_what_is_right(found):
    ranks, shown, colours = found
    picture = dict(panels(ranks, shown, count=1))["t2i/0"]
    assert {GREEN, RED, colours[0], colours[11]} <= colours_of(picture)
    # the right photograph large at the left, and again with a green frame in the second place
    pixels = np.asarray(picture)
    assert tuple(pixels[200, 100]) == colours[0]
    framed = np.argwhere((pixels == GREEN).all(-1))
    assert tuple(pixels[framed[:, 0].min() + 40, framed[:, 1].min() + 60]) == colours[0]
    first = int(ranks.t2i.top[0][0])
    assert first == 11
    picture = dict(panels(ranks, shown, count=1))["i2t/0"]
    assert {GREEN, RED, colours[0]} <= colours_of(picture)


def test_a_photograph_that_is_gone_is_a_grey_tile(found):
    ranks, shown, _ = found
    everything = dict(panels(ranks, shown, count=12))
    assert GONE in colours_of(everything["i2t/3"])
    assert GONE not in colours_of(everything["i2t/2"])
    nothing = Shown([Path("/nowhere/at/all.jpg")] * 12, shown.captions)
    assert GONE in colours_of(dict(panels(ranks, nothing, count=1))["t2i/0"])


def test_longer_captions_are_cut_and_strange_ones_drawn(found):
    ranks, shown, _ = found
    strange = Shown(shown.paths, ["word " * 300, "", "\x1b[31m\n\n", "😀 東京", "\u202e"] + ["x"] * 19)
    assert len(list(panels(ranks, strange, count=5))) == 10


def test_fewer_answers_than_places_are_shown_as_they_are(tmp_path):
    ranks = rank_both_ways(np.eye(2), np.eye(2), np.arange(2), top=FIRST)
    assert len(list(panels(ranks, Shown([tmp_path] * 2, ["a", "b"]), count=4))) == 4


@pytest.mark.parametrize("count", [0, 2])
def test_tensorboard_has_them_after_every_validation(count, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    toy = make_toy(tmp_path, train=24)
    train(toy_settings(toy, epochs=2, tensorboard=True, tensorboard_panels=count), tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert sorted(events.Tags()["images"]) == [f"{way}/{k}" for way in ("i2t", "t2i") for k in range(count)]
    if count:
        assert [one.step for one in events.Images("t2i/0")] == [2, 4]
