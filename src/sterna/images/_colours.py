"""Any of Pillow's colour modes to RGB, in bands, so that a huge image is never held twice."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from sterna.errors import PhotoError

__all__ = ["BAND", "to_rgb"]

BAND = 1_000_000  # pixels converted at a time
_Convert = Callable[[Image.Image], Image.Image]


def to_rgb(image: Image.Image, *, factor: int = 1) -> Image.Image:
    """Convert a loaded image to RGB, over white where transparent, averaging `factor` x `factor` pixels.

    Arguments:
        image: of any mode; it is not changed.
        factor: 1 keeps the size, which otherwise becomes `ceil(side / factor)`.

    Raises `PhotoError` where its colours cannot be read.
    """
    convert = _converter(image)
    if image.mode == "RGB" and convert is _opaque:
        return _reduced(image, factor)
    width, height = image.size
    if width * height <= BAND:
        return _reduced(convert(image), factor)
    result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = max(1, BAND // width // factor) * factor
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        result.paste(_reduced(convert(band), factor), (0, top // factor))
    return result


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    return image.reduce(factor) if factor > 1 else image


def _converter(image: Image.Image) -> _Convert:
    """What turns any part of `image` into RGB; what depends on the whole image is looked at here."""
    mode = image.mode
    if mode in {"I", "F"} or mode.startswith("I;16"):
        low, high = _range(image)
        return lambda part: _grey(part, low, high)
    if mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        return _opaque if _alpha_is_empty(image) else _over_white
    if mode in {"CMYK", "LAB"}:
        return _with_profile(image)
    return _opaque


def _opaque(part: Image.Image) -> Image.Image:
    try:
        if part.mode in {"PA", "La", "RGBa"}:
            part = part.convert({"La": "LA"}.get(part.mode, "RGBA"))
        return part.convert("RGB") if part.mode != "RGB" else part
    except ValueError:
        raise PhotoError(f"its colours ({part.mode}) cannot be read") from None


def _over_white(part: Image.Image) -> Image.Image:
    try:
        part = part.convert("LA").convert("RGBA") if part.mode == "La" else part.convert("RGBA")
    except ValueError:  # a mode for which Pillow knows no transparency
        return _opaque(part)
    result = Image.new("RGB", part.size, "white")
    result.paste(part, mask=part.getchannel("A"))
    return result


def _alpha_is_empty(image: Image.Image) -> bool:
    """Whether all is transparent: a program left the channel unfilled; nobody keeps an empty photograph."""
    return image.mode in {"RGBA", "LA"} and image.getchannel("A").getextrema() == (0, 0)


def _range(image: Image.Image) -> tuple[float, float]:
    """The values that become black and white: the least usual depth (8, 12, 16 bits), else what is there."""
    low, high = np.inf, -np.inf
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        values = values[np.isfinite(values)] if image.mode == "F" else values
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low > high:
        return 0.0, 1.0
    depths = (1.0, 255.0, 4095.0, 65535.0) if image.mode == "F" else (255.0, 4095.0, 65535.0)
    for white in depths:
        if low >= 0 and high <= white:
            return 0.0, white
    return low, max(high, low + 1e-6)


def _grey(part: Image.Image, low: float, high: float) -> Image.Image:
    values = np.asarray(part).astype(np.float32)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (values - low) * (255.0 / (high - low))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).convert("RGB")


def _with_profile(image: Image.Image) -> _Convert:
    """Through the image's own colour profile where it brings a usable one, which inks need to look right."""
    block = image.info.get("icc_profile")
    if not block and image.mode != "LAB":
        return _opaque
    try:
        from PIL import ImageCms

        source = ImageCms.getOpenProfile(io.BytesIO(block)) if block else ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    except Exception:  # a damaged profile raises nearly anything, and is no reason to refuse the photograph
        return _opaque

    def convert(part: Image.Image) -> Image.Image:
        return ImageCms.applyTransform(part, transform) or _opaque(part)

    return convert
