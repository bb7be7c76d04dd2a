"""Pictures scaled by Pillow's bicubic filter, which is antialiased."""

from __future__ import annotations

import numpy as np
from PIL import Image


def scaled(picture: np.ndarray, height: int, width: int | None = None) -> np.ndarray:
    """A picture at another size.

    Args:
      picture: uint8 [H, W, 3].
      height: of the result in pixels.
      width: likewise; as the height if not given.

    Returns:
      uint8 [height, width, 3]; the picture itself where it has that size.
    """
    width = height if width is None else width
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
