"""Photographs of every kind and state, opened through the public door."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pkgutil
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, features

from sterna.errors import PhotoError, UsageError
from sterna.images import (
    FITS,
    MAX_BYTES,
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    check_bytes,
    open_photo,
    opened_photo,
    pixel_limit,
    to_square,
)
from sterna.images._memory import Budget
from tests.conftest import draw_photo


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(left: Image.Image, right: Image.Image) -> float:
    assert left.size == right.size
    return float(np.abs(np.asarray(left, dtype=np.float32) - np.asarray(right, dtype=np.float32)).mean())


def reason(source, **options) -> str:
    with pytest.raises(PhotoError) as caught:
        open_photo(source, **options)
    return caught.value.reason


def exif_with(**tags) -> Image.Exif:
    exif = Image.Exif()
    for name, value in tags.items():
        exif[{"orientation": 0x0112, "description": 0x010E}[name]] = value
    return exif


# What stands in the file


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_turned_photograph_comes_out_upright(kind: str, orientation: int) -> None:
    upright = draw_photo(3, size=(96, 64))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpose that the camera did
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    photo = open_photo(encoded(stored, kind, quality=95, exif=exif_with(orientation=orientation).tobytes()))
    assert (photo.width, photo.height) == (96, 64)
    assert difference(photo.image, upright) < 6


def test_an_opened_image_is_turned_too_and_only_once() -> None:
    stored = draw_photo(3, size=(96, 64)).transpose(Image.Transpose.ROTATE_90)
    content = encoded(stored, "JPEG", exif=exif_with(orientation=6).tobytes())
    first = open_photo(Image.open(io.BytesIO(content)))
    again = open_photo(first.image)
    assert first.image.size == again.image.size == (96, 64)
    assert difference(first.image, again.image) == 0


def test_opening_an_image_does_not_change_it() -> None:
    image = draw_photo(1).convert("RGBA")
    before = image.tobytes()
    photo = open_photo(image, at_least=16)
    photo.image.putpixel((0, 0), (1, 2, 3))
    assert image.tobytes() == before
    assert image.mode == "RGBA"


def test_transparent_parts_become_white() -> None:
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 255))
    image.paste((0, 0, 255, 0), (0, 0, 20, 40))
    assert open_photo(encoded(image, "PNG")).image.getpixel((5, 5)) == (255, 255, 255)
    assert open_photo(encoded(image, "PNG")).image.getpixel((30, 5)) == (255, 0, 0)
    half = Image.new("LA", (8, 8), (0, 128))
    assert open_photo(encoded(half, "PNG")).image.getpixel((0, 0)) == pytest.approx((127, 127, 127), abs=1)


def test_a_palette_with_a_transparent_colour_is_over_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    for kind in ("PNG", "GIF"):
        photo = open_photo(encoded(image, kind, transparency=0))
        assert photo.image.getpixel((0, 0)) == (200, 100, 50)
        assert photo.image.getpixel((4, 4)) == (255, 255, 255)


def test_an_alpha_channel_that_was_never_filled_hides_nothing() -> None:
    image = draw_photo(2, size=(32, 24)).convert("RGBA")
    image.putalpha(0)
    assert difference(open_photo(encoded(image, "PNG")).image, draw_photo(2, size=(32, 24))) == 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    image = draw_photo(4, size=(64, 48))
    if mode == "LAB":
        stored = ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    else:
        stored = image.convert(mode)
    photo = open_photo(stored)
    assert photo.image.mode == "RGB"
    assert difference(photo.image, image) < {"1": 120, "L": 90, "P": 30}.get(mode, 12)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    image = Image.new("RGB", (32, 32), (220, 30, 40))
    photo = open_photo(encoded(image.convert("CMYK"), "JPEG", quality=95))
    assert photo.image.getpixel((9, 9)) == pytest.approx((220, 30, 40), abs=12)


def test_a_damaged_colour_profile_is_no_reason_to_refuse() -> None:
    image = Image.new("RGB", (32, 32), (220, 30, 40)).convert("CMYK")
    photo = open_photo(encoded(image, "JPEG", quality=95, icc_profile=b"not a profile" * 20))
    assert photo.image.getpixel((9, 9)) == pytest.approx((220, 30, 40), abs=12)


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_deep_grey_is_scaled_from_the_depth_it_uses(white: int) -> None:
    ramp = np.linspace(0, white, 64 * 64).reshape(64, 64)
    expected = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    kinds = {"PNG": np.uint16, "TIFF": np.int32}
    for kind, dtype in kinds.items():
        grey = np.asarray(open_photo(encoded(Image.fromarray(ramp.astype(dtype)), kind)).image)
        assert np.abs(grey[..., 0] - expected).max() <= 1.5
        assert (grey[..., 0] == grey[..., 2]).all()


@pytest.mark.parametrize("scale", [1.0, 255.0, 65535.0])
def test_floating_point_images_with_holes_are_read(scale: float) -> None:
    values = (np.linspace(0, 1, 32 * 32).reshape(32, 32) * scale).astype(np.float32)
    values[0, 0] = np.nan
    grey = np.asarray(open_photo(encoded(Image.fromarray(values), "TIFF")).image)[..., 0]
    assert abs(int(grey[-1, -1]) - 255) <= 1
    assert abs(int(grey[16, 0]) - 128) <= 2


def test_values_outside_every_depth_are_stretched() -> None:
    values = np.array([[-5.0, 0.0], [5.0, np.inf]], dtype=np.float32)
    grey = np.asarray(open_photo(Image.fromarray(values)).image)[..., 0]
    assert grey.tolist() == [[0, 128], [255, 255]]
    constant = np.full((4, 4), -3.0, dtype=np.float32)
    assert np.asarray(open_photo(Image.fromarray(constant)).image).max() == 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO", "AVIF"])
def test_of_several_frames_the_first_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (48, 32), colour) for colour in ("red", "green", "blue")]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert open_photo(content).image.getpixel((20, 20)) == pytest.approx((255, 0, 0), abs=3)


def test_heic_is_read_with_its_extra() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    image = draw_photo(5, size=(128, 64))
    heif = pillow_heif.from_pillow(image)
    buffer = io.BytesIO()
    heif.save(buffer, quality=90)
    photo = open_photo(buffer.getvalue())
    assert (photo.width, photo.height) == (128, 64)
    assert difference(photo.image, image) < 6


def test_heic_without_its_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif.as_plugin", None)
    content = b"\0\0\0\x18ftypheic" + bytes(100)
    assert reason(content) == "Reading HEIC photographs needs an extra part: pip install 'sterna[heic]'"


@pytest.mark.parametrize(("kind", "part"), [("AVIF", "avif"), ("WEBP", "webp"), ("JPEG2000", "jpg_2000")])
def test_a_pillow_without_a_format_is_told_apart_from_damage(
    kind: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(draw_photo(1), kind)
    check = features.check
    monkeypatch.setattr("PIL.features.check", lambda name: name != part and check(name))
    with pytest.raises(PhotoError) as caught:
        open_photo(content)
    name = {"JPEG2000": "JPEG 2000"}.get(kind, kind)
    assert caught.value.reason == f"this installation of Pillow cannot read {name}"
    assert isinstance(caught.value.__cause__, ImportError)  # it may pass: another Pillow may read it


def test_a_pillow_without_libtiff_is_told_apart_from_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(draw_photo(1), "TIFF", compression="tiff_lzw")
    monkeypatch.delattr("PIL.Image.core.libtiff_decoder")
    with pytest.raises(PhotoError, match="this installation of Pillow cannot read it") as caught:
        open_photo(content)
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (1, 1), (3, 2000)])
@pytest.mark.parametrize("fit", FITS)
def test_extremely_thin_photographs_become_squares(size: tuple[int, int], fit: str) -> None:
    photo = open_photo(encoded(Image.new("RGB", size, (9, 90, 200)), "PNG"), at_least=32)
    square = to_square(photo.image, 32, fit)
    assert square.shape == (32, 32, 3)
    assert square.dtype == np.uint8
    assert (square == (9, 90, 200)).all(axis=-1).any()


# How large it comes out


def test_a_large_jpeg_is_decoded_at_a_reduced_scale() -> None:
    image = draw_photo(6, size=(1600, 1200))
    photo = open_photo(encoded(image, "JPEG", quality=92), at_least=150)
    assert (photo.width, photo.height) == (1600, 1200)
    assert photo.image.size == (200, 150)
    assert difference(photo.image, image.resize((200, 150), Image.Resampling.BOX)) < 3


def test_a_turned_large_jpeg_keeps_the_size_of_the_upright_original() -> None:
    content = encoded(draw_photo(6, size=(1600, 1200)), "JPEG", exif=exif_with(orientation=8).tobytes())
    photo = open_photo(content, at_least=150)
    assert (photo.width, photo.height) == (1200, 1600)
    assert photo.image.size == (150, 200)


@given(
    width=st.integers(1, 900),
    height=st.integers(1, 900),
    at_least=st.integers(1, 300),
    kind=st.sampled_from(["JPEG", "PNG"]),
)
@settings(max_examples=60, deadline=None)
def test_reducing_keeps_the_side_that_is_needed(width: int, height: int, at_least: int, kind: str) -> None:
    photo = open_photo(encoded(Image.new("RGB", (width, height)), kind), at_least=at_least)
    assert (photo.width, photo.height) == (width, height)
    assert min(photo.image.size) >= min(at_least, width, height)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_reducing_in_bands_equals_reducing_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = draw_photo(7, size=(640, 413))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode == "RGBA":
        image.putalpha(draw_photo(8, size=(640, 413)).convert("L"))
    else:
        image = image.convert(mode)
    for at_least in (None, 40):
        whole = open_photo(image, at_least=at_least).image
        with monkeypatch.context() as patched:
            patched.setattr("sterna.images._colours.BAND", 5_000)
            bands = open_photo(image, at_least=at_least).image
        assert difference(whole, bands) == 0


def test_letterbox_shows_all_and_crop_the_middle() -> None:
    image = Image.new("RGB", (60, 20), "red")
    image.paste((0, 0, 255), (20, 0, 40, 20))
    boxed = to_square(image, 30, "letterbox")
    assert boxed[2, 15].tolist() == [127, 127, 127]
    assert boxed[15, 2].tolist() == [255, 0, 0]
    assert (to_square(image, 20, "crop") == (0, 0, 255)).all()
    assert to_square(image, 30, "squeeze")[15, 2].tolist() == [255, 0, 0]


def test_a_square_of_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match="fit='stretch': not a way to make a square; known: squeeze, crop, letterbox"
    ):
        to_square(Image.new("RGB", (4, 4)), 8, "stretch")
    with pytest.raises(UsageError, match="size=0: a square has at least 1 pixel a side"):
        to_square(Image.new("RGB", (4, 4)), 0, "crop")


# What the file says about it


def test_date_and_description_are_read_from_exif() -> None:
    exif = exif_with(description="Two dogs  in\nthe snow")
    exif.get_ifd(0x8769)[0x9003] = "2019:05:12 10:11:12"
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        photo = open_photo(encoded(draw_photo(1), kind, exif=exif.tobytes()))
        assert photo.taken_at == datetime(2019, 5, 12, 10, 11, 12), kind
        assert photo.descriptions == ("Two dogs in the snow",), kind


def test_descriptions_come_from_xmp_and_iptc_without_repeating() -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description><dc:description><rdf:Alt>'
        b'<rdf:li xml:lang="x-default">Rain &amp; fog</rdf:li><rdf:li xml:lang="fr">Pluie</rdf:li>'
        b"</rdf:Alt></dc:description></rdf:Description></x:xmpmeta>"
    )
    caption = "Brücke".encode()
    record = (
        b"\x1c\x02\x05"
        + struct.pack(">H", 3)
        + b"abc"
        + b"\x1c\x02\x78"
        + struct.pack(">H", len(caption))
        + caption
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record + b"\0" * (len(record) % 2)
    block = b"Photoshop 3.0\0" + resource
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    content = encoded(draw_photo(1), "JPEG", xmp=xmp, exif=exif_with(description="Pluie"))
    photo = open_photo(content[:2] + segment + content[2:])
    assert photo.descriptions == ("Pluie", "Rain & fog", "Brücke")


@pytest.mark.parametrize(
    "text",
    [
        "OLYMPUS DIGITAL CAMERA         ",
        "KONICA MINOLTA DIGITAL CAMERA",
        "SONY DSC",
        "DSC_0042",
        "   ",
        "\0\0",
        "Exif_JPEG_PICTURE",
        "Created with GIMP",
        "created with Adobe Photoshop CS6",
    ],
)
def test_what_cameras_write_by_themselves_is_no_description(text: str) -> None:
    assert open_photo(encoded(draw_photo(1), "JPEG", exif=exif_with(description=text))).descriptions == ()


@pytest.mark.parametrize(
    "text",
    [
        "A man is holding a digital camera",
        "created with love by Anna",
        "An old DSC",
        "Created with Adobes, mud",
    ],
)
def test_what_people_write_is_a_description(text: str) -> None:
    content = encoded(draw_photo(1), "JPEG", exif=exif_with(description=text))
    assert open_photo(content).descriptions == (text,)


def test_a_camera_without_a_clock_gives_no_date() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "0000:00:00 00:00:00"
    assert open_photo(encoded(draw_photo(1), "JPEG", exif=exif)).taken_at is None


@given(block=st.binary(max_size=400), order=st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""]))
@settings(max_examples=150, deadline=None)
def test_no_exif_block_makes_a_photograph_unreadable(block: bytes, order: bytes) -> None:
    image = draw_photo(1, size=(16, 12))
    image.info["exif"] = b"Exif\0\0" + order + block
    image.info["xmp"] = block
    image.info["photoshop"] = {0x0404: block}
    assert set(open_photo(image).image.size) == {16, 12}


def test_an_extremely_long_exif_block_costs_nothing() -> None:
    entries = b"".join(struct.pack("<HHII", 0x9000 + n % 9, 2, 0x7FFFFFFF, 8) for n in range(5000))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entries
    image = Image.new("RGB", (16, 12))
    content = encoded(image, "PNG", exif=b"Exif\0\0" + block + bytes(2_000_000))
    assert open_photo(content).image.size == (16, 12)


# What is wrong with it


def test_files_that_are_no_photographs_say_so(tmp_path: Path) -> None:
    assert reason(b"") == "the file is empty"
    assert reason(b"Dear diary, today I took no photograph.") == "not a photograph that can be read"
    assert reason(b"%PDF-1.7 ...") == "not a photograph that can be read"
    assert reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") == "not a photograph that can be read"
    assert reason(b"P6\nno numbers") == "the file is damaged"
    assert reason(tmp_path) == "a folder, not a photograph"
    assert reason(tmp_path / "gone.jpg") == "no such file"
    assert reason(tmp_path / ("x" * 400 + ".jpg")) == "its name is too long"
    assert reason("a\0b.jpg") == "no such file"
    assert reason("/dev/null") == "not a regular file"


def test_an_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / 'né "w"\n.jpg'
    file.write_bytes(b"")
    with pytest.raises(PhotoError) as caught:
        open_photo(file)
    assert caught.value.path == str(file)
    assert str(caught.value) == f"{file}: the file is empty"


def test_pipes_and_links_in_a_circle_are_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    assert reason(tmp_path / "pipe.jpg") == "not a regular file"
    assert reason(tmp_path / "loop.jpg") == "a link that leads in circles"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    file = tmp_path / "secret.jpg"
    file.write_bytes(encoded(draw_photo(1), "JPEG"))
    file.chmod(0)
    assert reason(file) == "you have no permission to read it"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"])
def test_a_file_that_is_cut_short_is_refused_with_a_reason(kind: str) -> None:
    content = encoded(draw_photo(1, size=(200, 150)), kind)
    for share in (0.05, 0.4, 0.8):
        said = reason(content[: int(len(content) * share)], at_least=20)
        assert said in {"the file is cut short", "the file is damaged"}
    if kind in {"JPEG", "PNG", "BMP", "PPM"}:
        assert reason(content[: int(len(content) * 0.6)]) == "the file is cut short"


@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000"]))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage_anywhere_gives_a_photograph_or_a_reason(data: st.DataObject, kind: str) -> None:
    content = bytearray(encoded(draw_photo(1, size=(40, 30)), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PhotoError):  # and no other error
        assert open_photo(bytes(content), at_least=8, max_pixels=1_000_000).image.mode == "RGB"


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_the_limit_of_pixels_is_checked_before_decoding() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason(png_of(60_000, 60_000)) == "60000 x 60000 pixels: more than the limit of 200 megapixels"
        assert (
            reason(png_of(13_000, 13_000)) == "the file is cut short"
        )  # under the limit, above Pillow's own
        webp = b"RIFF\x80\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" + b"\xff\x3f\0" + bytes(64)
        assert reason(webp) == "16384 x 16384 pixels: more than the limit of 200 megapixels"
    assert (
        reason(draw_photo(1), max_pixels=1000) == "320 x 240 pixels: more than the limit of 0.001 megapixels"
    )
    for kind in ("JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF", "JPEG2000"):
        content = encoded(draw_photo(1), kind)
        assert "more than the limit" in reason(content, max_pixels=76_799, at_least=10)
        assert open_photo(content, max_pixels=76_800).width == 320
    assert "a side is longer than the limit" in reason(png_of(100_000_000, 1))


def test_text_that_unpacks_to_gigabytes_is_refused() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", "x" * 80_000_000, zip=True)
    content = encoded(Image.new("RGB", (8, 8)), "PNG", pnginfo=notes)
    assert reason(content) == "the notes inside it are too large to be read safely"


def test_a_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "long.webp"
    with file.open("wb") as handle:
        handle.write(b"RIFF\xff\xff\xff\xffWEBPVP8 ")
        handle.truncate(3_000_000_000)
    assert reason(file) == "the file has 3.0 GB: more than the limit of 1.1 GB"
    check_bytes(MAX_BYTES)
    with pytest.raises(PhotoError, match=r"the file has 1\.1 GB: more than the limit of 1\.1 GB"):
        check_bytes(MAX_BYTES + 1)


def test_too_little_memory_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    assert reason(encoded(draw_photo(1), "PNG")) == "there is not enough memory to decode it"


def test_something_else_than_a_photograph_is_a_wrong_use() -> None:
    with pytest.raises(UsageError, match="a path, a file's bytes or a Pillow image; a int came"):
        open_photo(7)  # type: ignore[arg-type]


def most_at_once(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch, method: str) -> int:
    """How many of six threads that do `work` are in a method of Pillow's at the same time."""
    inside, most, lock = 0, 0, threading.Lock()
    kind, name = method.rsplit(".", 1)
    original = getattr(pkgutil.resolve_name(kind), name)

    def counted(image: Image.Image, *arguments: object) -> object:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            threading.Event().wait(0.01)
            return original(image, *arguments)
        finally:
            with lock:
                inside -= 1

    with monkeypatch.context() as patched:
        patched.setattr(method, counted)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return most


@pytest.mark.parametrize(
    ("kind", "options", "method"),
    [
        ("JPEG", {"progressive": True}, "PIL.JpegImagePlugin.JpegImageFile.load"),
        ("PNG", {}, "PIL.ImageFile.ImageFile.load"),
        ("WEBP", {}, "PIL.WebPImagePlugin.WebPImageFile._open"),
    ],
)
def test_photographs_that_take_all_of_the_budget_are_decoded_one_at_a_time(
    kind: str, options: dict, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(draw_photo(1), kind, **options)  # 320 x 240
    monkeypatch.setattr("sterna.images._photo.BUDGET", Budget(100_000))
    assert most_at_once(lambda: open_photo(content, at_least=30), monkeypatch, method) == 1


def test_large_jpegs_that_are_decoded_row_by_row_go_on_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(draw_photo(1), "JPEG")
    monkeypatch.setattr("sterna.images._photo.BUDGET", Budget(100_000))
    method = "PIL.JpegImagePlugin.JpegImageFile.load"
    assert most_at_once(lambda: open_photo(content, at_least=30), monkeypatch, method) > 1


def test_a_thin_photograph_counts_until_something_small_is_made_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget = Budget(500_000)
    monkeypatch.setattr("sterna.images._photo.BUDGET", budget)
    content = encoded(Image.new("RGB", (20, 6_000)), "PNG")
    order: list[str] = []

    def second() -> None:
        with opened_photo(content, at_least=384):
            order.append("second")

    thread = threading.Thread(target=second)
    with opened_photo(content, at_least=384) as photo:
        thread.start()
        thread.join(0.02)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    with pytest.raises(ValueError, match="closed"):
        photo.image.load()
    with budget.take(budget.total):  # all of it is free again
        pass


def test_a_thread_that_holds_memory_never_waits_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sterna.images._photo.BUDGET", Budget(1000))
    content = encoded(draw_photo(1), "PNG")
    with opened_photo(content), opened_photo(content):
        pass


def test_what_cannot_be_read_gives_its_share_of_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(1000)
    monkeypatch.setattr("sterna.images._photo.BUDGET", budget)
    content = encoded(draw_photo(1), "PNG")
    assert reason(content[:900]) == "the file is cut short"
    with pytest.raises(KeyError), opened_photo(content):
        raise KeyError
    with budget.take(1000):
        pass


def test_an_error_that_is_kept_holds_no_pixels() -> None:
    content = encoded(draw_photo(1, size=(400, 300)), "PNG")
    gc.collect()
    before = sum(issubclass(type(thing), Image.Image) for thing in gc.get_objects())
    with pytest.raises(PhotoError) as caught:
        open_photo(content[:9000])
    assert caught.value.reason == "the file is cut short"
    gc.collect()
    assert sum(issubclass(type(thing), Image.Image) for thing in gc.get_objects()) == before


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG2000"])
def test_formats_that_take_much_memory_have_a_lower_limit(kind: str) -> None:
    image = Image.new("RGB", (2400, 2400))
    name = {"JPEG2000": "JPEG 2000"}.get(kind, kind)
    options = {"AVIF": {"speed": 10}, "WEBP": {"method": 0, "lossless": True}}.get(kind, {})
    content = encoded(image, kind, **options)
    said = reason(content, at_least=32, max_pixels=2400 * 2400)
    assert re.fullmatch(
        rf"2400 x 2400 pixels: decoding this {name} takes \d+ MB of memory, more than the limit of 64 MB",
        said,
    )
    for other in ("PNG", "JPEG"):
        assert open_photo(encoded(image, other), at_least=32, max_pixels=2400 * 2400).width == 2400


def test_a_progressive_jpeg_is_judged_by_its_original_size() -> None:
    image = Image.new("RGB", (4000, 4000))
    limits = {"at_least": 16, "max_pixels": 16_000_000}
    assert "decoding this JPEG takes" in reason(
        encoded(image, "JPEG", progressive=True, subsampling=0), **limits
    )
    assert open_photo(encoded(image, "JPEG", subsampling=0), **limits).width == 4000
    assert open_photo(encoded(image, "JPEG", progressive=True, subsampling=2), **limits).width == 4000


def test_a_jpeg_whose_colours_come_one_after_the_other_is_judged_as_a_progressive_one() -> None:
    def header(colours: int) -> bytes:
        frame = struct.pack(">BHHB", 8, 5000, 5000, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
        scan = bytes([colours]) + b"".join(bytes([number + 1, 0]) for number in range(colours)) + b"\0?\0"
        segments = (
            (0xFE, b"\xff\xda\0\x0c\3"),
            (0xC0, frame),
            (0xDA, scan),
        )  # a remark that looks like a scan
        return b"\xff\xd8" + b"".join(
            bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments
        )

    limits = {"at_least": 16, "max_pixels": 25_000_000}
    assert "takes 153 MB of memory" in reason(header(1) + bytes(100), **limits)
    assert reason(header(3) + bytes(100), **limits) in {"the file is cut short", "the file is damaged"}


def test_a_tile_far_larger_than_its_image_is_not_decoded() -> None:
    tile = zlib.compress(bytes(9000 * 9000), 1)
    tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, 9000), (323, 9000), (324, 8)]
    tags.append((325, len(tile)))
    entries = b"".join(
        struct.pack("<HHII", tag, 4 if value > 65535 or tag == 324 else 3, 1, value) for tag, value in tags
    )
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    content = b"II*\0" + struct.pack("<I", 8 + len(tile)) + tile + directory
    assert open_photo(content).width == 16
    assert reason(content, max_pixels=1000) == (
        "16 x 16 pixels: decoding this TIFF takes 81 MB of memory, more than the limit of 64 MB"
    )


def test_a_user_sets_the_limit_of_pixels_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STERNA_MAX_PIXELS", "76799")
    assert reason(draw_photo(1)) == "320 x 240 pixels: more than the limit of 0.076799 megapixels"
    monkeypatch.setenv("STERNA_MAX_PIXELS", " 76800 ")
    assert open_photo(draw_photo(1)).width == 320
    for wrong in ("0", "-1", "many", "1e9", "2.5"):
        monkeypatch.setenv("STERNA_MAX_PIXELS", wrong)
        with pytest.raises(
            UsageError,
            match=f"STERNA_MAX_PIXELS='{wrong}': a whole number of pixels is needed, such as 400000000",
        ):
            open_photo(draw_photo(1))
    monkeypatch.setenv("STERNA_MAX_PIXELS", "")
    assert pixel_limit() == MAX_PIXELS


def test_a_limit_that_a_user_may_raise_is_told_apart_from_damage() -> None:
    with pytest.raises(PhotoError) as caught:
        open_photo(draw_photo(1), max_pixels=10)
    assert isinstance(caught.value.__cause__, MemoryError)


def test_opening_leaves_pillow_and_open_files_as_they_were(tmp_path: Path) -> None:
    from PIL import ImageFile

    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, dict(Image.OPEN))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, kind in enumerate(("JPEG", "PNG", "TIFF", "GIF", "WEBP")):
            file = tmp_path / f"{number}.jpg"
            file.write_bytes(encoded(draw_photo(1), kind))
            open_photo(file)
            file.write_bytes(file.read_bytes()[:300])
            reason(file)
    assert before[:2] == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_the_usual_endings_are_taken_for_photographs() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".tif"} <= PHOTO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PHOTO_SUFFIXES)
