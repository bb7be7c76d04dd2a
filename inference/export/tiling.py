"""Large images in overlapping tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Cut:
    """A part of a height or width.

    Attributes:
      kept: what is kept of it.
      wide: the same with its surroundings.
      inside: where `kept` lies in `wide`.
    """

    kept: slice
    wide: slice
    inside: slice


def cuts(length: int, size: int, halo: int) -> Iterator[Cut]:
    """Parts of `size` that cover a length, with `halo` on both ends where there is that much."""
    for start in range(0, length, size):
        stop = min(start + size, length)
        low, high = max(0, start - halo), min(length, stop + halo)
        yield Cut(slice(start, stop), slice(low, high), slice(start - low, stop - low))


def in_tiles(
    image: np.ndarray,
    work: Callable[..., np.ndarray],
    max_pixels: int,
    receptive_field_radius: int,
    multiple: int = 1,
    **beside: np.ndarray,
) -> np.ndarray:
    """Does local work on an image tile by tile.

    Args:
      image: [H, W, C].
      work: from a tile, and those of `beside` by name, to one of the same shape; what it does at a
        pixel depends on none farther away than the radius, and on where the pixel lies modulo
        `multiple`.
      max_pixels: pixels of a tile, more where the radius needs it.
      receptive_field_radius: in pixels.
      multiple: tiles begin at its multiples.
      **beside: [H, W, ...] each, which are cut like the image.
    """
    if image.shape[0] * image.shape[1] <= max_pixels:
        return work(image, **beside)
    inner, halo = _sizes(max_pixels, receptive_field_radius, multiple)
    result = np.empty_like(image)
    for rows in cuts(image.shape[0], inner, halo):
        for columns in cuts(image.shape[1], inner, halo):
            wide = {name: each[rows.wide, columns.wide] for name, each in beside.items()}
            tile = work(image[rows.wide, columns.wide], **wide)
            result[rows.kept, columns.kept] = tile[rows.inside, columns.inside]
    return result


def largest_tile(
    height: int, width: int, max_pixels: int, receptive_field_radius: int, multiple: int = 1
) -> tuple[int, int]:
    """Height and width of the largest part of an image that `in_tiles`, told so, works on."""
    if height * width <= max_pixels:
        return height, width
    inner, halo = _sizes(max_pixels, receptive_field_radius, multiple)
    return longest(height, inner, halo), longest(width, inner, halo)


def longest(length: int, size: int, halo: int) -> int:
    """The longest of the parts of `cuts`, its surroundings included."""
    return max(cut.wide.stop - cut.wide.start for cut in cuts(length, size, halo))


def _sizes(max_pixels: int, receptive_field_radius: int, multiple: int) -> tuple[int, int]:
    """Side of what is kept of a tile, and width of what surrounds it."""
    halo = up(receptive_field_radius, multiple)
    return up(max(int(max_pixels**0.5) - 2 * halo, halo // 2, 1), multiple), halo


def up(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple
