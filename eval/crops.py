"""Crops of what codecs make of an image at nearly equal rate, side by side with the original."""

from __future__ import annotations

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
from lossylab.inference.codecs.base import EncodedFile, ImageCodec
from lossylab.inference.codecs.registry import CLASSICAL, learned
from lossylab.models.proxiqa import ProxIQA

_SHORT = {
    "vmaf": "VMAF",
    "vmaf_neg": "VMAF NEG",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "psnr": "PSNR",
    "vif": "VIF",
    "vif_scale0": "VIF of the finest scale",
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
    images, ratios = {}, []
    for path in paths:
        images[pathlib.Path(path).stem], ratio = _crops(options, codecs, path, proxy)
        ratios.append(ratio)
    title = options.title or f"{options.bpp:g} bits per pixel"
    if len(codecs) > 1:
        title += f"; rates differ by {max(ratios) - 1:.0%} at most"
    crop_grid.write(out, title, images)
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
) -> tuple[list[crop_grid.Tile], float]:
    """The crops of one image, and the ratio of the highest rate to the lowest."""
    image = read_image(path)
    height, width = image.shape[:2]
    window = crop_grid.window(height, width, options.crop_size, options.center)
    items = [crop_grid.Tile(image[window], "original")]
    coded = _coded(codecs, image, options.bpp)
    for codec, (decoded, bpp) in zip(codecs, coded):
        names = [n for n in options.metrics if n in (*vmaf.reported_for(*image.shape[:2]), "vmaf")]
        scores = vmaf.measure(image[None], decoded[None], names)
        words = [f"{_SHORT[name]} {values[0]:.4g}" for name, values in scores.items()]
        if proxy is not None:
            words = _proxy_words(proxy, image[window], decoded[window])
        label = f"{codec.name}, {bpp:.3f} bpp\n{', '.join(words)}"
        items.append(crop_grid.Tile(decoded[window], label))
    rates = [bpp for _, bpp in coded]
    return items, max(rates) / min(rates)


def _coded(
    codecs: Sequence[ImageCodec], image: np.ndarray, rate: float
) -> list[tuple[np.ndarray, float]]:
    """What each codec's file decodes to, and its rate: all near to each other and to the wanted."""
    try:
        files = [_files(codec, image, rate) for codec in codecs]
        rates = [[_bpp(file) for file in each.values()] for each in files]
        found = []
        for codec, each, place in zip(codecs, files, rate_search.together(rates, rate)):
            setting, file = list(each.items())[place]
            found.append((codec.decode(file, setting), _bpp(file)))
        return found
    except CodecError as error:
        raise UsageError(str(error)) from error


def _files(codec: ImageCodec, image: np.ndarray, rate: float) -> dict[str, EncodedFile]:
    """Files of an image by setting: the one nearest to a rate if any rate can be had, else all."""
    codec.check(*image.shape[:2])
    if (setting := codec.setting_for(rate)) is not None:
        return {setting: codec.encode(image, setting)}
    files: dict[str, EncodedFile] = {}

    def rate_of(index: int) -> float:
        setting = codec.settings[index]
        if setting not in files:
            files[setting] = codec.encode(image, setting)
        return _bpp(files[setting])

    if codec.searched:
        best = rate_search.choose(len(codec.settings), rate_of, rate, rate, 1)[0]
        setting = codec.settings[best]
        return {setting: files[setting]}
    return {setting: codec.encode(image, setting) for setting in codec.settings}


def _bpp(file: EncodedFile) -> float:
    return 8 * len(file.data) / (file.height * file.width)


def _proxy_words(proxy: ProxIQA, crop: np.ndarray, decoded: np.ndarray) -> list[str]:
    pair = [tf.cast(each[None], tf.float32) for each in (crop, decoded)]
    true = vmaf.measure(crop[None], decoded[None])["vmaf"][0]
    return [f"crop: VMAF {true:.1f}", f"proxy {float(proxy(pair)[0]):.1f}"]


if __name__ == "__main__":
    command.as_program(CropsOptions, write, "lossylab eval crops")
