"""Exported restoration networks: writing, loading, and images of any size piece by piece.

Loading needs TensorFlow, but no lossylab:

  import tensorflow as tf
  model = tf.saved_model.load("runs/wcdgan_q10/export").signatures
  restored = model["restore"](image=image)["image"]
"""

from __future__ import annotations

import functools
import math
import os
import tempfile

import numpy as np
import tensorflow as tf

from lossylab.core.errors import OutputError
from lossylab.inference.export import base as saved_model
from lossylab.inference.export import tiling as tiles
from lossylab.inference.export.served_restorer import SIGNATURES, ServedRestorer

# Pixels that a network sees at once: WCDGAN takes some 4 KiB a pixel, MemNet 8.
MAX_PIXELS = 2**19
_LEAST_ROWS = 32  # of a strip, however wide


class Restorer(saved_model.Loaded):
    """A loaded export: uint8 images in, uint8 images out.

    Attributes:
      model: the network's name.
      channels: 1 for luma, 3 for RGB.
      quality: of the JPEG files that it was trained for; None if it takes all.
    """

    def __init__(self, path: str, max_pixels: int = MAX_PIXELS):
        """Loads an export.

        Args:
          path: its folder.
          max_pixels: pixels that the network sees at once.

        Raises:
          ExportError: if `path` has no SavedModel or it is no restorer.
        """
        super().__init__(path, SIGNATURES, "restorer")
        self._at_once = max_pixels
        self.model: str = self.info["model"]
        self.channels: int = self.info["channels"]
        self.quality: int | None = self.options.get("quality")
        self._multiple, self._receptive_field_radius = (
            self.info["multiple"],
            self.info["receptive_field_radius"],
        )
        self._blocks = self.info.get("blocks", 0)

    def restore(self, image: np.ndarray) -> np.ndarray:
        """Restores an image, uint8 [H, W, channels], at once or, if it is large, in pieces.

        Pieces overlap by all that the network sees, so that they do not show.
        """
        if image.shape[0] * image.shape[1] <= self._at_once:
            return self._whole(image)
        if self._blocks:
            return self._block_by_block(image)
        return tiles.in_tiles(
            image, self._whole, self._at_once, self._receptive_field_radius, self._multiple
        )

    def _whole(self, image: np.ndarray) -> np.ndarray:
        return self._call("restore", image=image)

    def _call(self, name: str, **arrays) -> np.ndarray:
        out = self._functions[name](**{key: tf.constant(value) for key, value in arrays.items()})
        return next(iter(out.values())).numpy()

    def _block_by_block(self, image):
        """WCDGAN: each block over all strips, because its attention needs the whole's mean."""
        axis = int(image.shape[1] > image.shape[0])  # strips lie across the longer side
        length, across = image.shape[axis], image.shape[1 - axis]
        rows = max(self._at_once // across, _LEAST_ROWS)
        lying = functools.partial(np.moveaxis, source=0, destination=axis)
        image = np.moveaxis(image, axis, 0)

        def enter(cut):
            return self._call("enter", image=lying(image[cut.wide]))

        width = self._functions["enter"].structured_outputs["features"].shape[-1]
        features = _scratch((length, across, width))
        mean = self._pass(
            features, enter, tiles.cuts(length, rows, self._receptive_field_radius["enter"]), axis
        )
        for index in range(self._blocks - 1):
            mean = self._next(features, index, mean, rows, lying, axis)
        restored = np.empty_like(image)
        for cut in tiles.cuts(length, rows, self._receptive_field_radius["leave"]):
            piece = self._call(
                "leave",
                image=lying(image[cut.wide]),
                features=lying(features[cut.wide]),
                mean=mean,
            )
            restored[cut.kept] = np.moveaxis(piece, axis, 0)[cut.inside]
        return np.ascontiguousarray(np.moveaxis(restored, 0, axis))

    def _next(self, features, index, mean, rows, lying, axis):
        """One block, in place; returns the mean of what it gives."""
        halo = self._receptive_field_radius["next"]
        before = features[:0].copy()  # rows that are overwritten, as they were

        def compute(cut):
            nonlocal before
            old = np.concatenate([before, features[cut.kept.start : cut.wide.stop]])
            before = np.concatenate([before, features[cut.kept]])[-halo:]
            return self._call("next", index=np.int32(index), features=lying(old), mean=mean)

        return self._pass(features, compute, tiles.cuts(features.shape[0], rows, halo), axis)

    @staticmethod
    def _pass(features, compute, cuts, axis):
        """Fills `features` strip by strip; returns their mean over the image, float32 [F]."""
        total = np.zeros(features.shape[-1])
        for cut in cuts:
            strip = np.moveaxis(compute(cut), axis, 0)[cut.inside]
            features[cut.kept] = strip
            total += strip.sum((0, 1), dtype=np.float64)
        return (total / (features.shape[0] * features.shape[1])).astype(np.float32)


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    """A large float32 array: in memory, or in a temporary file if that would fill it."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
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


def save_restorer(network: tf.Module, path: str, options: dict) -> None:
    """Writes a network as a SavedModel, beside first, then renamed.

    Args:
      network: one of `models.restorers.NETWORKS`.
      path: folder to write; an export that is there is replaced.
      options: how it was trained, JSON values.

    Raises:
      OutputError: if the folder cannot be written.
    """
    served = ServedRestorer(network, options)
    saved_model.write(served, served.signatures(), path)
