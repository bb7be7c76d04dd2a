"""Pointwise shape-adaptive DCT (Foi, Katkovnik, Egiazarian 2007), for images from JPEG files.

Around each pixel, eight directional lengths are chosen by local polynomial approximation and the
intersection of confidence intervals (LPA-ICI); the octagon they span is transformed by a DCT of
its own shape, thresholded, and the overlapping results are averaged. Luma gets a second pass with
Wiener weights. The noise level comes from the quantization table. Constants are those of the
authors' deblocking demo. Plain NumPy: nothing is learned.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import scipy.fft

LEVELS = 255.0
REVISION = 3  # raised when the same image would be restored otherwise
# How far a pixel's result looks: shapes of both passes, and the lengths of the first's.
RECEPTIVE_FIELD_RADIUS = 5 * 11
GRID = 2  # centers of large shapes lie on its multiples
# Directional lengths in pixels, the center included; the last one is for strong noise only.
_SCALES = (1, 2, 3, 5, 7, 9, 12)
_WIENER_SCALES = (1, 2, 3, 5, 6, 8)
_MIXTURE = (-0.75, -0.70, -0.85, -0.90, -0.97, -1.0, -1.0)  # of first and zero order, a scale each
_COLOR_STEPS = 0.14  # of quantization, the colors' noise at most; see `color_noise_level`
_STRONG = 40.0  # standard deviation, pixel values
_DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
_THRESHOLD = 0.925
_OVERLAP = 70  # estimates at least that a pixel is averaged from, where shapes are large
_CHUNK = 512  # shapes that are transformed at a time: their samples fit into a core's cache


def noise_level(table: np.ndarray) -> float:
    """Standard deviation in pixel values that stands for a quantization table [8, 8]."""
    return LEVELS * (7.65 * float(np.mean(np.asarray(table)[:3, :3]))) ** 0.65 / 1150


def color_noise_level(table: np.ndarray, area: float) -> float:
    """The same for a plane of colors, of which a sample stands for `area` pixels.

    Spread over pixels, noise looks stronger by the root of the sampling ratio along an axis. The
    formula is for luma: colors have little but low frequencies, so that fine tables leave less than
    it says, and 4:4:4 files of quality 63 and more would get colors worse than they have.
    """
    most = _COLOR_STEPS * float(np.mean(np.asarray(table)[:3, :3]))
    return min(noise_level(table), most) * area**0.25


def restore_luma(plane: np.ndarray, sigma: float, lengths: np.ndarray) -> np.ndarray:
    """Restores a plane.

    Args:
      plane: [H, W], pixel values 0..255.
      sigma: of its noise, pixel values.
      lengths: of its shapes, see `directional_lengths`.

    Returns:
      float64 [H, W], pixel values, unclipped.
    """
    first = _average(plane, lengths, _used(_SCALES, sigma), functools.partial(_hard, sigma))
    scales = _used(_WIENER_SCALES, sigma)
    capped = np.minimum(lengths, len(scales) - 1)
    keep = functools.partial(_wiener, sigma, _padded(first, scales))
    return _average(plane, capped, scales, keep)


def _used(scales: tuple[int, ...], sigma: float) -> tuple[int, ...]:
    """The scales for noise of a standard deviation."""
    return scales if sigma > _STRONG else scales[:-1]


def restore(image: np.ndarray, tables: Sequence[np.ndarray], areas: Sequence[float]) -> np.ndarray:
    """Restores a decoded image.

    Args:
      image: [H, W, 1], or [H, W, 3] with planes Y, Cb, Cr; pixel values 0..255.
      tables: quantization table of each plane, [8, 8].
      areas: pixels that a sample of each plane stands for in the file, 4 of the colors' of 4:2:0.

    Returns:
      float64, the same shape, unclipped.
    """
    planes = np.moveaxis(image.astype(np.float64), 2, 0)
    sigma = noise_level(tables[0])
    lengths = directional_lengths(planes[0], sigma)
    restored = [restore_luma(planes[0], sigma, lengths)]
    scales = _used(_SCALES, sigma)  # those of the lengths
    for plane, table, area in zip(planes[1:], tables[1:], areas[1:]):
        keep = functools.partial(_hard, color_noise_level(table, area))
        restored.append(_average(plane, lengths, scales, keep))
    return np.stack(restored, -1)


def directional_lengths(plane: np.ndarray, sigma: float) -> np.ndarray:
    """LPA-ICI: index of the scale for each direction, int8 [8, H, W].

    Args:
      plane: [H, W], pixel values.
      sigma: of the noise, pixel values.
    """
    gamma = max(0.8, 2.4 / math.log(1 + 60 * sigma / LEVELS))
    scales = _used(_SCALES, sigma)
    pad = scales[-1] - 1
    wide = _padded(plane.astype(np.float64), scales)
    height, width = plane.shape
    chosen = np.zeros((len(_DIRECTIONS), height, width), np.int8)
    for direction, (down, right) in enumerate(_DIRECTIONS):
        shifted = [
            wide[
                pad + j * down : pad + j * down + height,
                pad + j * right : pad + j * right + width,
            ]
            for j in range(scales[-1])
        ]
        low = np.full(plane.shape, -np.inf)
        high = np.full(plane.shape, np.inf)
        going = np.ones(plane.shape, bool)
        for index, (scale, mixture) in enumerate(zip(scales, _MIXTURE)):
            kernel = _kernel(scale, mixture)
            estimate = sum(weight * shift for weight, shift in zip(kernel, shifted))
            spread = gamma * sigma * math.sqrt(np.sum(kernel**2))
            low = np.maximum(low, estimate - spread)
            high = np.minimum(high, estimate + spread)
            going &= low <= high
            chosen[direction][going] = index
    return chosen


def _padded(plane: np.ndarray, scales: Sequence[int]) -> np.ndarray:
    """A plane [H, W] with as much around it as the longest arms reach, mirrored at its edges."""
    return np.pad(plane, scales[-1] - 1, mode="symmetric")


def _kernel(scale: int, mixture: float) -> np.ndarray:
    """One-sided kernel [scale] for its first sample: (1 + s) of first order - s of zero order."""
    j = np.arange(scale)
    first = (2 * (2 * scale - 1) - 6 * j) / (scale * (scale + 1)) if scale > 1 else np.ones(1)
    return (1 + mixture) * first - mixture / scale


@functools.lru_cache(maxsize=4)
def _octants(scales: tuple[int, ...]) -> np.ndarray:
    """Pixels of the triangle between two neighboring arms, by their lengths.

    Returns:
      bool [8, scales, scales, side, side]: octant, scale of its first and of its second arm.
    """
    half = scales[-1] - 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    masks = np.zeros((8, len(scales), len(scales), *y.shape), bool)
    for octant in range(8):
        one, two = _DIRECTIONS[octant], _DIRECTIONS[(octant + 1) % 8]
        # Every place is a sum of the two directions, whose determinant is 1 or -1.
        determinant = one[0] * two[1] - one[1] * two[0]
        a = (y * two[1] - x * two[0]) / determinant
        b = (one[0] * x - one[1] * y) / determinant
        for i, first in enumerate(scales):
            for k, second in enumerate(scales):
                share = a / max(first - 1, 1e-9) + b / max(second - 1, 1e-9)
                masks[octant, i, k] = (a >= 0) & (b >= 0) & (share <= 1 + 1e-9)
    return masks


@dataclasses.dataclass
class _Shapes:
    """Shapes around some pixels: where their samples lie.

    Attributes:
      pixels: flat index in the padded image of every sample, [samples].
      sizes: samples of each shape.
    """

    pixels: np.ndarray
    sizes: np.ndarray
    columns: _Packing
    rows: _Packing

    @classmethod
    def of(cls, masks: np.ndarray, corners: np.ndarray, stride: int) -> _Shapes:
        """From masks [n, side, side] and the flat indexes of the windows' corners [n]."""
        count, side, _ = masks.shape
        heights = np.count_nonzero(masks, 1)
        sizes = heights.sum(1)
        samples = np.flatnonzero(masks)
        owner = np.repeat(np.arange(count), sizes)
        inside = samples - owner * side**2  # the window, row by row
        y, x = (each.take(inside) for each in np.divmod(np.arange(side**2), side))
        # Columns are pushed up and transformed, then rows of coefficients pushed left.
        place = np.cumsum(masks, 1, np.uint8).ravel().take(samples).astype(np.intp) - 1
        columns = _Packing.of(owner * side + x, place, heights.ravel())
        coefficients = np.arange(side)[:, None] < heights[:, None, :]
        line = owner * side + place
        left = np.cumsum(coefficients, 2, np.uint8).ravel().take(line * side + x)
        widths = np.count_nonzero(coefficients, 2)
        rows = _Packing.of(line, left.astype(np.intp) - 1, widths.ravel())
        pixels = np.repeat(corners, sizes) + y * stride + x
        return cls(pixels, sizes, columns, rows)

    def transform(self, samples: np.ndarray) -> np.ndarray:
        """Shape-adaptive DCT of values [samples]."""
        return self.rows.apply(self.columns.apply(samples, False), False)

    def inverse(self, coefficients: np.ndarray) -> np.ndarray:
        """Its inverse."""
        return self.columns.apply(self.rows.apply(coefficients, True), True)

    def per_shape(self, values: np.ndarray) -> np.ndarray:
        """Sums of values [samples] over each shape."""
        return np.add.reduceat(values, np.cumsum(self.sizes) - self.sizes)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values [shapes] for each sample of theirs."""
        return np.repeat(values, self.sizes)


@dataclasses.dataclass
class _Packing:
    """Lines of different lengths in the rows of one array, the shorter ones first.

    Attributes:
      place: flat index of each sample.
      ends: by length, how many lines are at most so long.
    """

    place: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, line: np.ndarray, index: np.ndarray, lengths: np.ndarray) -> _Packing:
        """Of samples, by their lines and places in these, and the lines' lengths."""
        longest = int(lengths.max())
        rank = np.empty(lengths.size, np.intp)
        rank[np.argsort(lengths.astype(np.uint8), kind="stable")] = np.arange(lengths.size)
        ends = np.cumsum(np.bincount(lengths, minlength=longest + 1))
        return cls(rank.take(line) * longest + index, ends)

    def apply(self, samples: np.ndarray, inverse: bool) -> np.ndarray:
        """Transforms every line by the orthonormal DCT of its length."""
        longest = self.ends.size - 1
        lines = np.zeros((self.ends[-1], longest))
        lines.ravel()[self.place] = samples
        for length in range(2, longest + 1):
            mine = slice(self.ends[length - 1], self.ends[length])
            if mine.start < mine.stop:
                basis = _basis(length) if inverse else _basis(length).T
                lines[mine, :length] = lines[mine, :length] @ basis
        return lines.ravel().take(self.place)


@functools.lru_cache
def _basis(length: int) -> np.ndarray:
    """The orthonormal DCT, a matrix of rows; of such short lines it is faster than an FFT."""
    return np.asarray(scipy.fft.dct(np.eye(length), norm="ortho", axis=0))


def _average(plane, lengths, scales, shrink) -> np.ndarray:
    """Estimates shapes all over a plane and averages them where they overlap.

    Args:
      plane: float64 [H, W].
      lengths: indexes into `scales`, [8, H, W].
      scales: lengths in pixels.
      shrink: from shapes, their samples without mean, and these means [samples] to (samples,
        weights of the shapes).

    Returns:
      float64 [H, W].
    """
    pad = scales[-1] - 1
    wide = _padded(plane, scales)
    total, weight = np.zeros(wide.size), np.zeros(wide.size)
    todo = _centers(lengths, scales)
    while todo.any():
        for masks, corners in _windows(todo, lengths, scales, wide.shape[1]):
            shapes = _Shapes.of(masks, corners, wide.shape[1])
            samples = wide.ravel().take(shapes.pixels)
            mean = shapes.spread(shapes.per_shape(samples) / shapes.sizes)
            estimate, share = shrink(shapes, samples - mean, mean)
            share = shapes.spread(share / shapes.sizes)
            first = shapes.pixels.min()  # the shapes of a chunk lie in a few rows
            here = shapes.pixels - first
            for sums, values in ((total, share * (estimate + mean)), (weight, share)):
                found = np.bincount(here, values)
                sums[first : first + found.size] += found
        todo = weight.reshape(wide.shape)[pad:-pad, pad:-pad] == 0
    result = (total / np.maximum(weight, 1e-300)).reshape(wide.shape)
    return result[pad:-pad, pad:-pad]


def _centers(lengths, scales) -> np.ndarray:
    """Pixels whose shapes are estimated, bool [H, W]: all, or of large ones every second."""
    arms = np.asarray(scales)[lengths]
    following = np.roll(arms, -1, 0)
    area = np.maximum(1, np.sum(arms * following, 0) / 2)  # of the octagon, in unit triangles
    step = np.maximum(1, np.sqrt(area / _OVERLAP).astype(int))
    y, x = np.mgrid[: lengths.shape[1], : lengths.shape[2]]
    return (y % step == 0) & (x % step == 0)


def _windows(todo, lengths, scales, stride):
    """Shapes around pixels, some at a time.

    Args:
      todo: the pixels, bool [H, W].
      lengths: indexes into `scales`, [8, H, W].
      scales: lengths in pixels.
      stride: width of the padded image.

    Yields:
      Masks [n, side, side], and flat indexes of their corners in the padded image, [n].
    """
    octants, pad = _octants(scales), scales[-1] - 1
    y, x = np.nonzero(todo)
    chosen = lengths[:, y, x]
    largest = chosen.max(0)
    for index, scale in enumerate(scales):  # small shapes in small windows
        mine = np.flatnonzero(largest == index)
        radius = scale - 1
        crop = slice(pad - radius, pad + radius + 1)
        cropped = octants[..., crop, crop]
        for start in range(0, mine.size, _CHUNK):
            part = mine[start : start + _CHUNK]
            masks = np.zeros((part.size, 2 * radius + 1, 2 * radius + 1), bool)
            for octant in range(8):
                one, two = chosen[octant, part], chosen[(octant + 1) % 8, part]
                masks |= cropped[octant, one, two]
            top, left = y[part] + pad - radius, x[part] + pad - radius
            yield masks, top * stride + left


def _hard(sigma, shapes, samples, mean):
    """Keeps coefficients above the universal threshold; weights [shapes] by the number kept."""
    del mean
    coefficients = shapes.transform(samples)
    threshold = _THRESHOLD * sigma * np.sqrt(2 * np.log(shapes.sizes) + 1)
    kept = np.abs(coefficients) > shapes.spread(threshold)
    count = 1 + shapes.per_shape(kept.astype(float))
    return shapes.inverse(coefficients * kept), 1 / (sigma**2 * count)


def _wiener(sigma, first, shapes, samples, mean):
    """Weighs coefficients by those of the first estimate, which is padded."""
    reference = shapes.transform(first.ravel().take(shapes.pixels) - mean)
    gain = reference**2 / (reference**2 + sigma**2)
    energy = 1 + shapes.per_shape(gain**2)
    return shapes.inverse(shapes.transform(samples) * gain), 1 / (sigma**2 * energy)
