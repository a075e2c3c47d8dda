"""Detectors: what their queries found, against `transformers` and slow formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sterna.backbones import Detections, Detector, export_image_backbone, image_backbone
from sterna.backbones._choice import choose, overlaps
from sterna.errors import ModelError, UsageError
from tests.backbones.tiny import DETECTORS, detector_folder, text_folder
from tests.conftest import draw_photo

SIZES = [(320, 240), (240, 320), (320, 240), (500, 120)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("detectors")
    return {kind: detector_folder(base / kind, kind) for kind in DETECTORS}


def detector(folders: dict[str, Path], kind: str = "Detr", **options) -> Detector:
    made = image_backbone(f"detector:{folders[kind]}", **options)
    assert isinstance(made, Detector)
    return made


def photographs(count: int = 4):
    return [draw_photo(seed, size=SIZES[seed % len(SIZES)]) for seed in range(count)]


def found(backbone: Detector, images) -> Detections:
    with torch.inference_mode():
        return backbone.detect([backbone.prepare(image) for image in images])


@pytest.mark.parametrize("kind", sorted(DETECTORS))
def test_regions_are_what_the_library_itself_finds(folders: dict[str, Path], kind: str) -> None:
    network = transformers.AutoModelForObjectDetection.from_pretrained(folders[kind]).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folders[kind])
    backbone = detector(folders, kind, top=5)
    for image in photographs():
        with torch.inference_mode():
            out = network(**processor(images=image, return_tensors="pt"))
        width, height = image.size
        kept = found(backbone, [image])
        assert (kept.values.shape, kept.boxes.shape) == ((1, 5, 32), (1, 5, 4))
        assert kept.mask.all()
        (theirs,) = processor.post_process_object_detection(
            out, threshold=0.0, target_sizes=torch.tensor([[height, width]])
        )
        scale = torch.tensor([width, height, width, height])
        for region in range(5):
            values, box, score = kept.values[0, region], kept.boxes[0, region], kept.scores[0, region]
            query = int((out.last_hidden_state[0] - values).norm(dim=-1).argmin())
            assert torch.allclose(out.last_hidden_state[0, query], values, atol=1e-5)
            near = (theirs["scores"] - score).abs() < 1e-5
            near &= theirs["labels"] == kept.classes[0, region]
            apart = (theirs["boxes"].clamp(min=0) / scale).clamp(max=1) - box
            assert (near & (apart.abs().max(dim=-1).values < 1e-4)).any()
        assert (kept.scores[0].diff() <= 0).all()
        assert kept.scores[0, 0] == pytest.approx(float(theirs["scores"].max()), abs=1e-5)


@pytest.mark.parametrize("kind", sorted(DETECTORS))
def test_a_region_does_not_depend_on_the_batch(folders: dict[str, Path], kind: str) -> None:
    backbone = detector(folders, kind, threshold=0.3, suppress=0.5)
    images = photographs(7)
    together = found(backbone, images)
    for number, image in enumerate(images):
        alone = found(backbone, [image])
        real = together.mask[number]
        assert alone.mask.all()
        for name in ("values", "boxes", "scores"):
            assert torch.allclose(getattr(together, name)[number][real], getattr(alone, name)[0], atol=1e-5)
        assert torch.equal(together.classes[number][real], alone.classes[0])
        assert not together.values[number][~real].any()
        assert not together.boxes[number][~real].any()


def test_a_photograph_keeps_its_shape(folders: dict[str, Path]) -> None:
    shapes = [detector(folders).prepare(image).shape for image in photographs()]
    assert shapes == [(3, 64, 85), (3, 85, 64), (3, 64, 85), (3, 23, 96)]
    assert [detector(folders, "RTDetr").prepare(image).shape for image in photographs()] == [(3, 64, 64)] * 4


def test_another_size_scales_photographs_otherwise(folders: dict[str, Path]) -> None:
    small = detector(folders, size=32)
    assert (small.size, detector(folders).size) == (32, 64)
    assert small.prepare(photographs()[0]).shape == (3, 32, 42)
    assert detector(folders, "RTDetr", size=96).prepare(photographs()[0]).shape == (3, 96, 96)


def test_boxes_refer_to_the_photograph(folders: dict[str, Path]) -> None:
    boxes = found(detector(folders), photographs()).boxes
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[..., 2:] >= boxes[..., :2]).all()


def test_an_image_is_never_without_a_region(folders: dict[str, Path]) -> None:
    every = found(detector(folders), photographs())
    kept = found(detector(folders, threshold=1.0), photographs())
    assert kept.mask.sum(1).tolist() == [1, 1, 1, 1]
    assert torch.equal(kept.values[:, 0], every.values[:, 0])


def test_images_may_have_different_numbers_of_regions(folders: dict[str, Path]) -> None:
    scores = found(detector(folders), photographs()).scores
    middle = float(scores.median())
    kept = found(detector(folders, threshold=middle), photographs())
    assert kept.mask.sum(1).tolist() == (scores >= middle).sum(1).clamp(min=1).tolist()
    assert len(set(kept.mask.sum(1).tolist())) > 1
    assert not kept.scores[~kept.mask].any()


def test_squares_are_taken_for_photographs(folders: dict[str, Path]) -> None:
    backbone = detector(folders)
    squares = [np.asarray(image.resize((80, 80))) for image in photographs()]
    with torch.inference_mode():
        regions = backbone(torch.from_numpy(np.stack(squares)))
    expected = found(backbone, [image.resize((80, 80)) for image in photographs()])
    assert torch.equal(regions.values, expected.values)


def test_options_stand_in_the_name_or_apart(folders: dict[str, Path]) -> None:
    apart = detector(folders, top=7, threshold=0.25, suppress=0.5)
    written = image_backbone(f"detector:{folders['Detr']},top=7,suppress=0.50,threshold=.25")
    assert apart.name == written.name == f"detector:{folders['Detr']},top=7,threshold=0.25,suppress=0.5"
    assert apart.fingerprint == written.fingerprint == image_backbone(apart.name).fingerprint
    assert dict(written.described) == {
        "top": 7,
        "threshold": 0.25,
        "suppress": 0.5,
        "classes": [f"LABEL_{number}" for number in range(5)],
    }
    plain = detector(folders, top=36)
    assert plain.name == f"detector:{folders['Detr']}"
    assert (plain.regions, apart.regions, plain.dim, plain.sources, plain.fit) == (36, 7, 32, (32,), "own")


def test_fingerprints_tell_options_weights_and_preprocessing_apart(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    options = [{}, {"top": 3}, {"threshold": 0.1}, {"suppress": 0.5}, {"suppress": 0.6}, {"size": 32}]
    prints = [detector(folders, **one).fingerprint for one in options]
    prints += [detector(folders, "RTDetr").fingerprint]
    prints += [image_backbone(f"detector:{detector_folder(tmp_path / 'small', side=48)}").fingerprint]
    folder = detector_folder(tmp_path / "other")
    network = transformers.AutoModelForObjectDetection.from_pretrained(folder)
    with torch.no_grad():
        next(iter(network.parameters())).add_(1e-3)
    network.save_pretrained(folder)
    prints += [image_backbone(f"detector:{folder}").fingerprint]
    assert len(set(prints)) == len(prints)
    assert prints[0] == detector(folders).fingerprint


def test_a_folder_may_have_a_name_that_looks_like_options(tmp_path: Path) -> None:
    folder = detector_folder(tmp_path / "a+b@c,top=4")
    assert image_backbone(f"detector:{folder}").regions == 36
    assert image_backbone(f"detector:{folder},top=5").regions == 5


@pytest.mark.parametrize(
    ("ending", "options", "message"),
    [
        (",top=0", {}, "top=0: at least one region is kept"),
        ("", {"threshold": 1.5}, "threshold=1.5: must be 0 to 1"),
        (",suppress=-1", {}, r"suppress=-1.0: must be 0 to 1"),
        (",best=3", {}, "no such option 'best'; known: top, threshold, suppress"),
        (",top=few", {}, "top='few' is not a number of the right kind"),
        (",top=3", {"top": 4}, "top=3 is written, and 4 given as well"),
    ],
)
def test_unfit_options_are_named(folders: dict[str, Path], ending: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        image_backbone(f"detector:{folders['Detr']}{ending}", **options)


def test_what_detectors_cannot_do_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    backbone = detector(folders)
    with pytest.raises(ModelError, match="a detector is frozen whole; no stage of it can be trained"):
        detector(folders, trainable_tail=1)
    with pytest.raises(ModelError, match="a detector is not written as an ONNX graph"):
        export_image_backbone(backbone, tmp_path / "graph.onnx")
    with pytest.raises(ModelError, match="a detector has no map below a tail"):
        backbone.stem(torch.zeros((1, 8, 8, 3), dtype=torch.uint8))
    with pytest.raises(UsageError, match="a detector's regions are its own; it does not stand side by side"):
        image_backbone(f"efficientnet-lite0+detector:{folders['Detr']}")
    with pytest.raises(UsageError, match="a detector's regions are its own; it does not stand side by side"):
        image_backbone("detector:somewhere+efficientnet-lite0,top=3")
    with pytest.raises(UsageError, match="top=3: is for detectors; efficientnet-lite0 has a grid of regions"):
        image_backbone("efficientnet-lite0", top=3)


def test_what_is_no_detector_is_refused_in_one_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"detector:.*nowhere: cannot be loaded") as caught:
        image_backbone(f"detector:{tmp_path / 'nowhere'}")
    assert "nowhere: cannot be loaded (no such folder or model); name a folder" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"it is of the kind bert, which is not what is wanted\); name"):
        image_backbone(f"detector:{text_folder(tmp_path / 'bert')}")


def test_a_detector_without_a_vector_for_each_answer_is_refused(tmp_path: Path) -> None:
    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[64, 64],
        num_detection_tokens=12,
    )
    transformers.YolosForObjectDetection(config).save_pretrained(tmp_path)
    transformers.YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(
        tmp_path
    )
    backbone = image_backbone(f"detector:{tmp_path}")
    with pytest.raises(
        ModelError, match=r"gives \[1, 33, 32\] for \[1, 12\] answers; one vector of 32 for each"
    ):
        found(backbone, photographs(1))


def test_pickled_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).write_bytes((folders["Detr"] / file).read_bytes())
    network = transformers.AutoModelForObjectDetection.from_pretrained(folders["Detr"])
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        image_backbone(f"detector:{tmp_path}")


SCORES = st.integers(1, 12).flatmap(
    lambda count: hnp.arrays(np.float32, count, elements=st.sampled_from([0, 0.1, 0.25, 0.5, 0.5, 0.75, 1]))
)


@settings(max_examples=300, deadline=None)
@given(
    scores=SCORES,
    seed=st.integers(0, 2**32 - 1),
    top=st.integers(1, 14),
    threshold=st.sampled_from([0.0, 0.25, 0.3, 1.0]),
    suppress=st.sampled_from([None, 0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0]),
)
def test_what_is_kept_is_what_a_slow_rule_keeps(
    scores: np.ndarray, seed: int, top: int, threshold: float, suppress: float | None
) -> None:
    corners = np.random.default_rng(seed).integers(0, 5, (len(scores), 2, 2)) / 4  # on a grid: many meet
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    kept = choose(scores, boxes, top=top, threshold=threshold, suppress=suppress)
    assert kept.tolist() == slowly(scores, boxes, top=top, threshold=threshold, suppress=suppress)


def slowly(scores, boxes, *, top, threshold, suppress) -> list[int]:
    ranked = sorted(range(len(scores)), key=lambda one: (-scores[one], one))
    kept: list[int] = []
    for one in ranked:
        if kept and scores[one] < threshold:
            continue
        if suppress is not None and any(overlap(boxes[one], boxes[two]) > suppress for two in kept):
            continue
        kept.append(one)
    return kept[:top]


def overlap(one, two) -> float:
    one, two = ([float(side) for side in box] for box in (one, two))
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return float(shared / (areas[0] + areas[1] - shared))


def test_overlaps_are_shares_of_unions() -> None:
    boxes = np.array([[0, 0, 1, 1], [0.5, 0, 1, 1], [0.5, 0.5, 1.5, 1.5], [0, 2, 1, 3], [0.5, 0.5, 0.5, 0.9]])
    assert np.allclose(overlaps(boxes[0], boxes), [1, 0.5, 1 / 7, 0, 0])
    assert overlaps(boxes[4], boxes[4:]) == 0
