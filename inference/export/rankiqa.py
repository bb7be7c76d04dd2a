"""Exported RankIQA networks: scores of images without a reference, larger is worse.

  score(crops uint8 [N, patch, patch, 3])  -> scores float32 [N]

As in "Perceptual Image Restoration with High-Quality Priori and Degradation Learning", Sec. 4.4.3,
100 random crops of an image are scored, or of the image resized to 256x256 first.
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from lossylab.core.errors import ImageError
from lossylab.data.scaling import scaled
from lossylab.inference.export.base import Export, Served
from lossylab.models.rankiqa import RankIQA

CROPS = 100  # Sec. 4.4.3
RESIZED = 256  # pixels, likewise
SCORINGS = {"crops": ("",), "resize": ("resize_",), "both": ("", "resize_")}
_MAX_PIXELS = 2**20  # that the network sees at once


class Scorer(Export):
    """A loaded export: crops or images in, scores out.

    Attributes:
      patch: height and width of the crops in pixels.
    """

    kind = "scorer"
    signatures = ("score",)

    def __init__(self, path: str | os.PathLike) -> None:
        """Loads an export; raises ExportError if `path` is no RankIQA network's."""
        super().__init__(path)
        self.patch: int = self.card["patch"]

    @classmethod
    def serve(cls, network: RankIQA) -> Served:
        """The function that scores crops."""
        shape = (None, network.patch, network.patch, 3)

        @tf.function(
            autograph=False, input_signature=[tf.TensorSpec(shape, tf.uint8, name="crops")]
        )
        def score(crops: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"scores": network(tf.cast(crops, tf.float32))}

        return Served(network, {"score": score}, {"patch": network.patch})

    def score(self, crops: np.ndarray) -> np.ndarray:
        """Scores float32 [N] of crops uint8 [N, patch, patch, 3]; see `random_crops`."""
        count = max(1, _MAX_PIXELS // self.patch**2)
        parts = [crops[i : i + count] for i in range(0, len(crops), count)]
        return np.concatenate([self._only("score", crops=part).numpy() for part in parts])

    def table2(
        self,
        image: np.ndarray,
        seed: int | tuple[int, ...] = 0,
        crops: int = CROPS,
        scoring: str = "both",
    ) -> dict[str, float]:
        """Scores of an image as in the paper's Table 2.

        Args:
          image: uint8 [H, W, 3], at least as large as the crops.
          seed: decides where the crops lie.
          crops: how many.
          scoring: 'crops' of the image, 'resize' it first, or 'both'.

        Returns:
          Of 'mean', 'median', 'resize_mean' and 'resize_median' those that the scoring has.

        Raises:
          ImageError: if the image is smaller than the crops.
        """
        found = {}
        for prefix in SCORINGS[scoring]:
            # Bicubic: assumed.
            whole = scaled(image, RESIZED) if prefix else image
            scores = self.score(random_crops(whole, self.patch, crops, seed))
            found[f"{prefix}mean"] = float(scores.mean())
            found[f"{prefix}median"] = float(np.median(scores))
        return found


def random_crops(
    image: np.ndarray, size: int, count: int, seed: int | tuple[int, ...]
) -> np.ndarray:
    """Random crops, all positions alike: the authors' code leaves the last row out.

    Args:
      image: uint8 [H, W, 3].
      size: height and width of the crops in pixels; the image may have just that size.
      count: how many.
      seed: decides where they lie.

    Returns:
      uint8 [count, size, size, 3].

    Raises:
      ImageError: if the image is smaller.
    """
    height, width = image.shape[:2]
    if min(height, width) < size:
        raise ImageError(
            f"an image of {width}x{height} pixels has no crops of {size}x{size}: scale it up, or "
            "use a network of smaller crops"
        )
    corners = np.random.default_rng(seed).integers(
        (height - size + 1, width - size + 1), size=(count, 2)
    )
    return np.stack([image[top : top + size, left : left + size] for top, left in corners])
