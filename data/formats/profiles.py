"""Color profiles (ICC) that come with images: pixel values in sRGB by littleCMS.

Relative colorimetric with black point compensation, as image editors do by default.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

Convert = Callable[[Image.Image], Image.Image]

# Profiles of sRGB itself round differently from case to case: up to so many values are no change.
_SAME = 2
_GRID = np.stack(np.meshgrid(*[np.arange(0, 256, 17)] * 3), -1).reshape(1, -1, 3).astype(np.uint8)


class ProfileError(ValueError):
    """A profile that cannot be used with an image; the message says why."""


@functools.lru_cache(maxsize=16)
def to_srgb(profile: bytes, mode: str) -> Convert | None:
    """What converts an image by its profile.

    Args:
      profile: contents of an ICC profile.
      mode: of the images: L, LA, RGB, RGBA or CMYK.

    Returns:
      From an image of that mode to one in sRGB: gray stays gray, CMYK becomes RGB. None if nothing
      changes, as for profiles of sRGB.

    Raises:
      ProfileError: if the profile is damaged or for another kind of image.
    """
    space = color_space(profile)
    gray = mode in ("L", "LA")
    if space not in {"L": ("GRAY", "RGB"), "LA": ("GRAY", "RGB")}.get(mode, (mode.rstrip("A"),)):
        raise ProfileError(f"it is for {space}, the image is {mode}")
    source = {"GRAY": "L"}.get(space, mode if space != "RGB" or not gray else "RGB")
    try:
        change = _transform(profile, source, "RGBA" if source == "RGBA" else "RGB", exact=gray)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise ProfileError(str(error)) from error
    if gray:
        return _by_table(_gray_table(change, source), mode)
    if space == "RGB":
        change_of_grid = _transform(profile, "RGB", "RGB")
        moved = np.asarray(change_of_grid(Image.fromarray(_GRID))).astype(int) - _GRID
        if np.abs(moved).max() <= _SAME:
            return None
    return change


def converted(image: np.ndarray, profile: bytes) -> np.ndarray:
    """An image, uint8 [H, W, 1 or 3], in sRGB by its profile; raises ProfileError."""
    gray = image.shape[2] == 1
    convert = to_srgb(profile, "L" if gray else "RGB")
    if convert is None:
        return image
    changed = np.array(convert(Image.fromarray(image[..., 0] if gray else image)))
    return changed[..., None] if gray else changed


def color_space(profile: bytes) -> str:
    """What a profile is for: RGB, GRAY, CMYK, ...; raises ProfileError."""
    try:
        opened: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return opened.profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError("it is damaged") from error


def _transform(profile: bytes, source: str, target: str, exact: bool = False) -> Convert:
    """A conversion; `exact` is slow, without littleCMS's tables, whose grid is coarse for gray."""
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        source,
        target,
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags | ImageCms.Flags.NOOPTIMIZE if exact else flags,
    )

    def change(image: Image.Image) -> Image.Image:
        changed = ImageCms.applyTransform(image, transform)
        if changed is None:
            raise ProfileError("it does not convert the image")
        return changed

    return change


def _gray_table(change: Convert, source: str) -> np.ndarray:
    """The gray value in sRGB of each, uint8 [256]."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    colors = np.asarray(change(ramp if source == "L" else ramp.convert("RGB")))
    return np.rint(colors[0].mean(-1)).astype(np.uint8)


def _by_table(table: np.ndarray, mode: str) -> Convert | None:
    if np.abs(table.astype(int) - np.arange(256)).max() <= _SAME:
        return None
    identity = list(range(256)) if mode == "LA" else []
    return lambda image: image.point([*table.tolist(), *identity])
