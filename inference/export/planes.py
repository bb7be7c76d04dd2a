"""Images as the planes that files code: what restores luma or single planes works on these."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lossylab.data.color import jpeg_rgb, jpeg_ycbcr
from lossylab.data.jpeg import Coding


def by_planes(
    work: Callable[[np.ndarray, slice], np.ndarray], image: np.ndarray, coding: Coding | None
) -> np.ndarray:
    """Does work on an image's planes; rounds once, in the end.

    Args:
      work: from planes, float64 [H, W, n], and which of the file's they are, to planes of the same
        shape. It is given gray, or Y, Cb and Cr together, full range; of a file that has coded RGB
        one channel at a time.
      image: uint8, gray [H, W, 1] or RGB [H, W, 3].
      coding: of the JPEG file that it is from; None is taken for luma and colors.

    Returns:
      uint8, the same shape.
    """
    channels = image.shape[2]
    if channels == 3 and (coding is None or coding.has_luma):
        return jpeg_rgb(work(jpeg_ycbcr(image), slice(0, 3)))
    planes = image.astype(np.float64)
    each = [slice(index, index + 1) for index in range(channels)]
    worked = np.concatenate([work(planes[..., which], which) for which in each], -1)
    return np.clip(np.rint(worked), 0, 255).astype(np.uint8)
