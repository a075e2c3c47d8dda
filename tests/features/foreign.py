"""Files in other people's formats, written as their own published scripts write them (from their layouts)."""

from __future__ import annotations

import base64
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BUTD = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
LXMERT = (
    "img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf", "num_boxes", "boxes",
    "features",
)  # fmt: skip


@dataclass
class Image:
    """What a detector says of a photograph: boxes in pixels, float32."""

    name: str
    width: int
    height: int
    boxes: np.ndarray
    values: np.ndarray

    @property
    def relative(self) -> np.ndarray:
        """The slow, obvious way to 0..1."""
        made = np.empty_like(self.boxes, dtype=np.float64)
        for row, (x1, y1, x2, y2) in enumerate(self.boxes.astype(np.float64)):
            made[row] = x1 / self.width, y1 / self.height, x2 / self.width, y2 / self.height
        return made.astype(np.float32)


def some_images(
    count: int, *, dim: int = 6, regions: int | None = None, seed: int = 0, first: int = 100
) -> list[Image]:
    """Images with boxes somewhere and values of anything; of different numbers of regions unless it is given."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        rows = int(rng.integers(1, 6)) if regions is None else regions
        width, height = (int(one) for one in rng.integers(40, 640, 2))
        corners = np.sort(rng.random((rows, 2, 2)), axis=1).reshape(rows, 4)
        boxes = (corners * [width, height, width, height]).astype(np.float32)
        values = (rng.normal(size=(rows, dim)) * 3).astype(np.float32)
        made.append(Image(str(first + number), width, height, boxes, values))
    return made


def text_of(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array)).decode()


def butd_row(image: Image) -> dict[str, object]:
    return {
        "image_id": image.name,
        "image_w": image.width,
        "image_h": image.height,
        "num_boxes": len(image.boxes),
        "boxes": text_of(image.boxes),
        "features": text_of(image.values),
    }


def write_butd(path: Path, images: list[Image], *, header: bool = False) -> Path:
    """As `generate_tsv.py` does with `csv.DictWriter`: no header, and `\\r\\n` at the end of a row."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, delimiter="\t", fieldnames=BUTD)
        if header:
            writer.writeheader()
        for image in images:
            writer.writerow(butd_row(image))
    return path


def write_butd_python3(path: Path, images: list[Image]) -> Path:
    """The same script run by Python 3, which writes the bytes of base64 as `b'...'`."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, delimiter="\t", fieldnames=BUTD)
        for image in images:
            row = butd_row(image)
            writer.writerow(row | {key: str(row[key]).encode() for key in ("boxes", "features")})
    return path


def write_lxmert(path: Path, images: list[Image], *, header: bool = False) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, delimiter="\t", fieldnames=LXMERT)
        if header:
            writer.writeheader()
        for image in images:
            count = len(image.boxes)
            writer.writerow(
                {
                    "img_id": image.name,
                    "img_h": image.height,
                    "img_w": image.width,
                    "objects_id": text_of(np.arange(count, dtype=np.int64)),
                    "objects_conf": text_of(np.linspace(1, 0.5, count, dtype=np.float32)),
                    "attrs_id": text_of(np.arange(count, dtype=np.int64)),
                    "attrs_conf": text_of(np.ones(count, dtype=np.float32)),
                    "num_boxes": count,
                    "boxes": text_of(image.boxes),
                    "features": text_of(image.values),
                }
            )
    return path


def write_pairs(folder: Path, images: list[Image], *, name: str = "cocobu") -> Path:
    """As `make_bu_data.py` does: `_att` with `feat`, `_box`, and `_fc` with means."""
    for kind in ("att", "fc", "box"):
        (folder / f"{name}_{kind}").mkdir(parents=True)
    for image in images:
        np.savez_compressed(folder / f"{name}_att" / image.name, feat=image.values)
        np.save(folder / f"{name}_fc" / image.name, image.values.mean(0))
        np.save(folder / f"{name}_box" / image.name, image.boxes)
    return folder


def write_sizes(path: Path, images: list[Image]) -> Path:
    rows = [f"{image.name},{image.width},{image.height}\n" for image in images]
    path.write_text("name,width,height\n" + "".join(rows))
    return path


def write_detectron(folder: Path, images: list[Image]) -> Path:
    """As the detectron2 extractor of bottom-up attention does: beside the arrays a pickled dict `info`."""
    folder.mkdir(parents=True)
    for image in images:
        info = {"image_id": image.name, "objects_id": np.arange(len(image.boxes))}
        np.savez_compressed(
            folder / image.name,
            x=image.values,
            bbox=image.boxes,
            num_bbox=len(image.boxes),
            image_h=image.height,
            image_w=image.width,
            info=info,
        )
    return folder


def write_caffe_npz(folder: Path, images: list[Image]) -> Path:
    """As `extract_feature_to_npz.py` does: base64 text in `x` and `bbox`."""
    folder.mkdir(parents=True)
    for image in images:
        np.savez_compressed(
            folder / f"{image.name}.npz",
            x=np.transpose(base64.b64encode(image.values)),
            num_bbox=len(image.boxes),
            bbox=base64.b64encode(image.boxes),
            image_h=image.height,
            image_w=image.width,
        )
    return folder


def write_scan(
    folder: Path,
    split: str,
    images: list[Image],
    *,
    each: int = 5,
    repeated: bool = False,
    boxes: bool = False,
) -> Path:
    """SCAN's arrays; `repeated` as in the data that it grew from: a row for each caption."""
    folder.mkdir(parents=True, exist_ok=True)
    times = each if repeated else 1
    rows = [image for image in images for _ in range(times)]
    np.save(folder / f"{split}_ims.npy", np.stack([image.values for image in rows]))
    if boxes:
        np.save(folder / f"{split}_boxes.npy", np.stack([image.boxes for image in rows]))
        np.save(folder / f"{split}_img_sizes.npy", np.array([(one.width, one.height) for one in rows]))
    captions = [f"{split} image {image.name}, caption {k}" for image in images for k in range(each)]
    (folder / f"{split}_caps.txt").write_text("".join(f"{line}\n" for line in captions))
    (folder / f"{split}_ids.txt").write_text("".join(f"{image.name}\n" for image in rows))
    return folder


def write_bert(folder: Path, captions: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for name, values in captions.items():
        np.savez_compressed(folder / f"{name}.npz", feat=values)
    return folder


def write_karpathy(path: Path, names: list[tuple[int, int, str]], *, captions: int = 2) -> Path:
    """`dataset_coco.json` of (imgid, cocoid, filename)."""
    images = [
        {
            "imgid": imgid,
            "cocoid": cocoid,
            "filename": name,
            "split": ("train", "val", "test")[place % 3],
            "sentids": [place * captions + k for k in range(captions)],
            "sentences": [
                {"raw": f"image {place}, caption {k}", "imgid": imgid, "sentid": place * captions + k}
                for k in range(captions)
            ],
        }
        for place, (imgid, cocoid, name) in enumerate(names)
    ]
    path.write_text(json.dumps({"images": images, "dataset": "coco"}))
    return path
