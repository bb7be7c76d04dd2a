"""Images scaled by Pillow's bicubic filter, which is antialiased."""

from __future__ import annotations

import numpy as np
from PIL import Image


def scaled(image: np.ndarray, height: int, width: int | None = None) -> np.ndarray:
    """An image at another size.

    Args:
      image: uint8 [H, W, 3].
      height: of the result in pixels.
      width: likewise; as the height if not given.

    Returns:
      uint8 [height, width, 3]; the image itself where it has that size.
    """
    width = height if width is None else width
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
