"""Exported restoration networks, and images of any size tile by tile.

  restore(image uint8 [H, W, C])            -> restored uint8 [H, W, C]
  restore_planes(image float32 [H, W, C])   -> restored_planes float32, not rounded

The signatures work on what the network has learned: of networks for luma mostly studio range, 16
for black and 235 for white, while files hold 0..255. The card says so (`color_space`, `luma_range`,
`chroma`), and `Restorer.restore` maps to it and back.

WCDGAN weighs channels by their means over the whole image. To restore an image tile by tile, as
exactly as at once, it can be run a block at a time, each block over all tiles:

  enter(image)                     -> features [H, W, F]: all before the first attention
  next(index, features, mean [F])  -> next_features: attention of block `index`, then the next block
  leave(image, features, mean)     -> restored
"""

from __future__ import annotations

import functools
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core.errors import ExportError, OutputError
from lossylab.data.color import gray_mean
from lossylab.data.decode import as_rgb
from lossylab.data.jpeg import Coding
from lossylab.inference.export import tiling
from lossylab.inference.export.base import Export, Served, to_uint8
from lossylab.inference.export.planes import by_planes
from lossylab.models.tnrd import TNRD
from lossylab.models.wcdgan import WCDGAN

STUDIO, FULL = "studio", "full"  # ranges of luma: 16..235 as MATLAB's rgb2ycbcr, and 0..255
_RANGES = {STUDIO: (16.0, 219 / 255), FULL: (0.0, 1.0)}  # black, and pixel values a full-range one

# Pixels that a network sees at once: WCDGAN takes some 4 KiB a pixel, MemNet 8.
MAX_PIXELS = 2**19
_EXACT = "restore_planes"
_LEAST_ROWS = 32  # of a strip, however wide


class Restorer(Export):
    """A loaded export: uint8 images in, uint8 images out.

    Attributes:
      channels: 1 for luma, 3 for RGB.
      luma_range: of the luma that it has learned, `STUDIO` or `FULL`; None of RGB.
      quality: of the JPEG files that it was trained for; None if it takes several.
    """

    kind = "restorer"
    signatures = ("restore",)

    def __init__(self, path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> None:
        """Loads an export.

        Args:
          path: its folder.
          max_pixels: pixels that the network sees at once.

        Raises:
          ExportError: if `path` has no SavedModel, it is no restorer, or of an unknown range.
        """
        super().__init__(path)
        self._max_pixels = max_pixels
        self.channels: int = self.card["channels"]
        ours = _luma_range(self.model, self.channels)  # of cards before 0.2
        self.luma_range: str | None = self.card.get("luma_range", ours)
        if self.luma_range not in (None, *_RANGES):
            raise ExportError(f"{path}: its luma is of an unknown range, {self.luma_range!r:.80}")
        several = self.options.get("best_quality")
        self.quality: int | None = None if several else self.options.get("quality")
        self._multiple: int = self.card["multiple"]
        self._radius: Any = self.card["receptive_field_radius"]
        self._blocks = self.card.get("blocks", 0)
        self._exact = _EXACT in self._functions  # all functions of older exports take uint8

    @classmethod
    def serve(cls, network: Any) -> Served:
        """The functions of one of `models.restorers.NETWORKS`."""
        shape = (None, None, network.channels)
        image = tf.TensorSpec(shape, tf.float32, name="image")

        @tf.function(autograph=False, input_signature=[image])
        def restore_planes(image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"restored_planes": network(image[None])[0]}

        @tf.function(
            autograph=False, input_signature=[tf.TensorSpec(shape, tf.uint8, name="image")]
        )
        def restore(image: tf.Tensor) -> dict[str, tf.Tensor]:
            (restored,) = restore_planes(tf.cast(image, tf.float32)).values()
            return {"restored": to_uint8(restored)}

        functions = {"restore": restore, _EXACT: restore_planes}
        details = {
            "channels": network.channels,
            "color_space": "y" if network.channels == 1 else "rgb",
            "luma_range": _luma_range(network.model_id, network.channels),
            "chroma": "kept" if network.channels == 1 else "restored",
            "multiple": getattr(network, "multiple", 1),
            "receptive_field_radius": network.receptive_field_radius,
        }
        if isinstance(network, WCDGAN):
            functions |= _by_blocks(network, image)
            details["blocks"] = len(network.blocks)
        return Served(network, functions, details)

    @classmethod
    def shown(cls, network: Any, images: tf.Tensor) -> tf.Tensor:
        """The restored images."""
        return network(images)

    def restore(self, image: np.ndarray, coding: Coding | None = None) -> np.ndarray:
        """Restores an image as a file is decoded.

        Args:
          image: uint8, gray [H, W, 1] or RGB [H, W, 3], full range.
          coding: of the JPEG file that it is from, if it is one.

        Returns:
          uint8, the same shape. A network for luma leaves the colors as they are; of a file whose
          planes are R, G and B it restores each. One for RGB sees gray three times.
        """
        if self.channels == 3:
            restored = self.apply(as_rgb(image))
            return restored if image.shape[2] == 3 else gray_mean(restored)
        return by_planes(self._restore_luma, image, coding)

    def _restore_luma(self, planes: np.ndarray, which: slice) -> np.ndarray:
        """Restores the first plane, full range: what the network changes is added to it."""
        del which
        black, scale = _RANGES[self.luma_range or FULL]
        plane = planes[..., :1]
        seen = self._as_input(black + scale * plane)
        change = (self._run(seen).astype(np.float64) - seen) / scale
        return np.concatenate([plane + change, planes[..., 1:]], -1)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """What the network makes of uint8 [H, W, channels] of its own color space and range.

        At once or, if it is large, in tiles, which overlap by all that the network sees, so that
        they do not show.
        """
        return _pixel_values(self._run(self._as_input(image)))

    def _as_input(self, image: np.ndarray) -> np.ndarray:
        return image.astype(np.float32) if self._exact else _pixel_values(image)

    def _run(self, image: np.ndarray) -> np.ndarray:
        if image.shape[0] * image.shape[1] <= self._max_pixels:
            return self._whole(image)
        if self._blocks:
            return self._block_by_block(image)
        return tiling.in_tiles(image, self._whole, self._max_pixels, self._radius, self._multiple)

    def _whole(self, image: np.ndarray) -> np.ndarray:
        return self._array(_EXACT if self._exact else "restore", image=image)

    def _array(self, name: str, **arrays: Any) -> np.ndarray:
        return self._only(name, **arrays).numpy()

    def _block_by_block(self, image: np.ndarray) -> np.ndarray:
        """WCDGAN: each block over all strips, because its attention needs the whole's mean."""
        axis = int(image.shape[1] > image.shape[0])  # strips lie across the longer side
        length, across = image.shape[axis], image.shape[1 - axis]
        rows = max(self._max_pixels // across, _LEAST_ROWS)
        lying = functools.partial(np.moveaxis, source=0, destination=axis)
        image = np.moveaxis(image, axis, 0)

        def enter(cut: tiling.Cut) -> np.ndarray:
            return self._array("enter", image=lying(image[cut.wide]))

        width = self._functions["enter"].structured_outputs["features"].shape[-1]
        features = _scratch((length, across, width))
        cuts = tiling.cuts(length, rows, self._radius["enter"])
        mean = self._pass(features, enter, cuts, axis)
        for index in range(self._blocks - 1):
            mean = self._next(features, index, mean, rows, lying, axis)
        restored = np.empty_like(image)
        for cut in tiling.cuts(length, rows, self._radius["leave"]):
            tile = self._array(
                "leave",
                image=lying(image[cut.wide]),
                features=lying(features[cut.wide]),
                mean=mean,
            )
            restored[cut.kept] = np.moveaxis(tile, axis, 0)[cut.inside]
        return np.ascontiguousarray(np.moveaxis(restored, 0, axis))

    def _next(
        self,
        features: np.ndarray,
        index: int,
        mean: np.ndarray,
        rows: int,
        lying: Callable[[np.ndarray], np.ndarray],
        axis: int,
    ) -> np.ndarray:
        """One block, in place; returns the mean of what it gives."""
        halo = self._radius["next"]
        before = features[:0].copy()  # rows that are overwritten, as they were

        def compute(cut: tiling.Cut) -> np.ndarray:
            nonlocal before
            old = np.concatenate([before, features[cut.kept.start : cut.wide.stop]])
            before = np.concatenate([before, features[cut.kept]])[-halo:]
            return self._array("next", index=np.int32(index), features=lying(old), mean=mean)

        return self._pass(features, compute, tiling.cuts(features.shape[0], rows, halo), axis)

    @staticmethod
    def _pass(
        features: np.ndarray,
        compute: Callable[[tiling.Cut], np.ndarray],
        cuts: Iterable[tiling.Cut],
        axis: int,
    ) -> np.ndarray:
        """Fills `features` strip by strip; returns their mean over the image, float32 [F]."""
        total = np.zeros(features.shape[-1])
        for cut in cuts:
            strip = np.moveaxis(compute(cut), axis, 0)[cut.inside]
            features[cut.kept] = strip
            total += strip.sum((0, 1), dtype=np.float64)
        return (total / (features.shape[0] * features.shape[1])).astype(np.float32)


def _luma_range(model: str, channels: int) -> str | None:
    """The range of luma that a network learns here, and its authors' weights have learned.

    TNRD projects onto the coefficients of the plane that the file has coded: it must see that one.
    """
    if channels == 3:
        return None
    return FULL if model == TNRD.model_id else STUDIO


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    """A large float32 array: in memory, or in a temporary file if that would fill it."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except ValueError:  # macOS does not tell
        return np.empty(shape, np.float32)
    if 4 * math.prod(shape) < 0.75 * free:
        return np.empty(shape, np.float32)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the array
    try:
        os.posix_fallocate(file.fileno(), 0, 4 * math.prod(shape))
    except OSError as error:
        raise OutputError(
            f"an image of this size needs {4 * math.prod(shape) / 2**30:.1f} GiB of memory, or as "
            f"much room in {tempfile.gettempdir()} (set TMPDIR to another folder)"
        ) from error
    return np.memmap(file, np.float32, shape=shape)


def _by_blocks(network: WCDGAN, image: tf.TensorSpec) -> dict:
    """The functions that run a block at a time."""
    width = network.reconstruction[0].kernel.shape[2]
    features = tf.TensorSpec((None, None, width), tf.float32, name="features")
    mean = tf.TensorSpec((width,), tf.float32, name="mean")
    index = tf.TensorSpec((), tf.int32, name="index")

    @tf.function(autograph=False, input_signature=[image])
    def enter(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": network.blocks[0].dense(network.extract(image[None]))[0]}

    @tf.function(autograph=False, input_signature=[index, features, mean])
    def next_block(index: tf.Tensor, features: tf.Tensor, mean: tf.Tensor) -> dict[str, tf.Tensor]:
        def step(one, other):
            return lambda: other.dense(one.attend(features[None], mean[None, None, None]))[0]

        inside = tf.logical_and(index >= 0, index < len(network.blocks) - 1)
        with tf.control_dependencies([tf.debugging.Assert(inside, ["there is no such block"])]):
            index = tf.identity(index)
        branches = [step(*pair) for pair in zip(network.blocks, network.blocks[1:])]
        return {"next_features": tf.switch_case(index, branches or [lambda: features])}

    @tf.function(autograph=False, input_signature=[image, features, mean])
    def leave(image: tf.Tensor, features: tf.Tensor, mean: tf.Tensor) -> dict[str, tf.Tensor]:
        deep = network.blocks[-1].attend(features[None], mean[None, None, None])
        shallow = network.extract(image[None])
        return {"restored": network.reconstruct(deep + shallow)[0]}

    return {"enter": enter, "next": next_block, "leave": leave}


def _pixel_values(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
