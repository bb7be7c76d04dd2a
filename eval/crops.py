"""Crops of what codecs make of an image at nearly equal rate, side by side with the original."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from lossylab.core import checkpoints, command
from lossylab.core.errors import CodecError, UsageError
from lossylab.core.files import make_folder
from lossylab.core.options import require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patches import check_sizes
from lossylab.eval import rate_search
from lossylab.eval.metrics import vmaf
from lossylab.eval.options.crops import CropsOptions
from lossylab.eval.report import crop_grid
from lossylab.inference.codecs.base import ImageCodec
from lossylab.inference.codecs.registry import CLASSICAL, learned
from lossylab.models.proxiqa import ProxIQA

_SHORT = {
    **{"vmaf": "VMAF", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "psnr": "PSNR"},
    **{"vif": "VIF", "vif_scale0": "VIF of the finest scale"},
}


def write(options: CropsOptions) -> None:
    """Writes the crops of all images and codecs, and their index.

    Raises:
      UsageError: if codecs or the proxy do not fit.
    """
    paths = find_images(options.data)
    paths = check_sizes(
        paths, max(options.crop_size, vmaf.SMALLEST), "the crops", options.skip_small
    )
    codecs = learned(options.models) + [CLASSICAL[name]() for name in options.codecs]
    proxy = _proxy(options.proxy_from, options.crop_size) if options.proxy_from else None
    out = make_folder(options.out)
    images = {pathlib.Path(path).stem: _crops(options, codecs, path, proxy) for path in paths}
    crop_grid.write(out, options.title or f"{options.bpp:g} bits per pixel", images)
    command.written(out, f"crops of {len(images)} images, index.json")


def _proxy(run: str, size: int) -> ProxIQA:
    """The proxy network of a training run."""
    folder = pathlib.Path(run) / "checkpoints"
    newest = checkpoints.newest(folder)
    require(newest is not None, f"`proxy_from`: no checkpoint in {folder}")
    proxy = ProxIQA(size)
    try:
        with checkpoints.readable_name(str(newest)) as path:
            status = tf.train.Checkpoint(proxy=proxy).restore(path)
            status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise UsageError(
            f"`proxy_from`: {run} has no proxy for patches of {size} pixels"
        ) from error
    return proxy


def _crops(
    options: CropsOptions,
    codecs: Sequence[ImageCodec],
    path: str,
    proxy: ProxIQA | None,
) -> list[crop_grid.Tile]:
    """The crops of one image."""
    image = read_image(path)
    height, width = image.shape[:2]
    window = crop_grid.window(height, width, options.crop_size, options.center)
    items = [crop_grid.Tile(image[window], "original")]
    for codec in codecs:
        decoded, bpp = _nearest(codec, image, options.bpp)
        names = [n for n in options.metrics if n in (*vmaf.reported_for(*image.shape[:2]), "vmaf")]
        scores = vmaf.measure(image[None], decoded[None], names)
        words = [f"{_SHORT[name]} {values[0]:.4g}" for name, values in scores.items()]
        if proxy is not None:
            words = _proxy_words(proxy, image[window], decoded[window])
        label = f"{codec.name}, {bpp:.3f} bpp\n{', '.join(words)}"
        items.append(crop_grid.Tile(decoded[window], label))
    return items


def _nearest(codec: ImageCodec, image: np.ndarray, rate: float) -> tuple[np.ndarray, float]:
    """What the setting nearest to a rate decodes to, and its rate."""
    pixels = image.shape[0] * image.shape[1]
    coded = {}

    def rate_of(index: int) -> float:
        if index not in coded:
            coded[index] = codec.encode(image, codec.settings[index])
        return 8 * len(coded[index].data) / pixels

    try:
        codec.check(*image.shape[:2])
        if codec.searched:
            best = rate_search.choose(len(codec.settings), rate_of, rate, rate, 1)[0]
        else:
            indexes = range(len(codec.settings))
            best = min(indexes, key=lambda i: abs(math.log(rate_of(i) / rate)))
        return codec.decode(coded[best], codec.settings[best]), rate_of(best)
    except CodecError as error:
        raise UsageError(str(error)) from error


def _proxy_words(proxy: ProxIQA, crop: np.ndarray, decoded: np.ndarray) -> list[str]:
    pair = [tf.cast(each[None], tf.float32) for each in (crop, decoded)]
    true = vmaf.measure(crop[None], decoded[None])["vmaf"][0]
    return [f"crop: VMAF {true:.1f}", f"proxy {float(proxy(pair)[0]):.1f}"]


if __name__ == "__main__":
    command.as_program(CropsOptions, write, "lossylab eval crops")
