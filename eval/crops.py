"""Crops of what codecs make of an image at nearly equal rate, side by side with the original.

  lossylab eval crops --codecs=jpeg2000,hevc444 --models=mse:runs/mse/export --rate=0.3 \\
    --data=sample_test --out=results/x/crops/fig08

Of every codec the setting whose rate comes nearest to --rate is shown, with the file's rate and
the quality of the whole image. `lossylab eval proxiqa` makes figures of the folders.
"""

from __future__ import annotations

import math
import pathlib

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require, require_known
from lossylab.core.errors import CodecError, UsageError
from lossylab.core.files import make_folder
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patches import check_sizes
from lossylab.eval import rate_search
from lossylab.eval.metrics import vmaf
from lossylab.eval.report import crop_grid
from lossylab.inference.codecs.base import ImageCodec
from lossylab.inference.codecs.registry import CLASSICAL, learned
from lossylab.models.proxiqa import ProxIQA

_SHORT = {
    **{"vmaf": "VMAF", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "psnr": "PSNR"},
    **{"vif": "VIF", "vif_scale0": "VIF of the finest scale"},
}

FLAGS = new_flags()
flags.DEFINE_list("codecs", [], f"From {', '.join(CLASSICAL)}.", flag_values=FLAGS)
flags.DEFINE_list("models", [], "NAME:EXPORT, see eval rd.", flag_values=FLAGS)
flags.DEFINE_string("data", "sample_test", "Images.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder of crops and index.json.", flag_values=FLAGS)
flags.DEFINE_string("title", "", "Heading of the figure.", flag_values=FLAGS)
flags.DEFINE_float("rate", 0.3, "Bits per pixel.", 0.0, flag_values=FLAGS)
flags.DEFINE_integer("size", 160, "Side of the crops in pixels.", 32, flag_values=FLAGS)
flags.DEFINE_list(
    "at", ["0.5", "0.5"], "Center of the crops: shares of width and height.", flag_values=FLAGS
)
flags.DEFINE_list("metrics", ["vmaf"], "Scores in the labels.", flag_values=FLAGS)
flags.DEFINE_string(
    "proxy_from",
    None,
    "Run whose proxy scores the crops too, beside VMAF of the crops; its patch size is --size.",
    flag_values=FLAGS,
)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.out), "--out is needed: the folder to write")
    require(FLAGS.rate > 0, "--rate must be above 0")
    require_known("metrics", FLAGS.metrics, vmaf.METRICS)
    require_known("codecs", FLAGS.codecs, CLASSICAL)
    shares = crop_grid.center(FLAGS.at)
    require(bool(FLAGS.codecs or FLAGS.models), "nothing to show: give --codecs or --models")
    paths = find_images(FLAGS.data)
    check_sizes(paths, max(FLAGS.size, vmaf.SMALLEST), "--size")
    codecs = learned(FLAGS.models) + [CLASSICAL[name]() for name in FLAGS.codecs]
    proxy = _proxy(FLAGS.proxy_from) if FLAGS.proxy_from else None
    out = make_folder(FLAGS.out)
    images = {pathlib.Path(path).stem: _crops(codecs, path, proxy, shares, out) for path in paths}
    crop_grid.write_index(out, FLAGS.title or f"{FLAGS.rate:g} bits per pixel", images)


def _proxy(run: str) -> ProxIQA:
    """The proxy network of a training run."""
    newest = tf.train.latest_checkpoint(str(pathlib.Path(run) / "checkpoints"))
    require(newest is not None, f"--proxy_from: no checkpoint in {run}/checkpoints")
    proxy = ProxIQA(FLAGS.size)
    try:
        status = tf.train.Checkpoint(proxy=proxy).restore(newest)
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise UsageError(
            f"--proxy_from: {run} has no proxy for patches of {FLAGS.size} pixels"
        ) from error
    return proxy


def _crops(codecs, path: str, proxy: ProxIQA | None, shares, out: pathlib.Path) -> list[dict]:
    """Writes the crops of one image; returns their entries of the index."""
    image = read_image(path)
    stem = pathlib.Path(path).stem
    window = crop_grid.window(*image.shape[:2], FLAGS.size, shares)
    items = [crop_grid.write(out, f"{stem}_original.png", image[window], "original")]
    for codec in codecs:
        decoded, bpp = _nearest(codec, image)
        names = [n for n in FLAGS.metrics if n in (*vmaf.reported_for(*image.shape[:2]), "vmaf")]
        scores = vmaf.measure(image[None], decoded[None], names)
        words = [f"{_SHORT[name]} {values[0]:.4g}" for name, values in scores.items()]
        if proxy is not None:
            words = _proxy_words(proxy, image[window], decoded[window])
        label = f"{codec.name}, {bpp:.3f} bpp\n{', '.join(words)}"
        items.append(crop_grid.write(out, f"{stem}_{codec.name}.png", decoded[window], label))
    return items


def _nearest(codec: ImageCodec, image: np.ndarray) -> tuple[np.ndarray, float]:
    """What the setting nearest to --rate decodes to, and its rate."""
    pixels = image.shape[0] * image.shape[1]
    coded = {}

    def rate_of(index: int) -> float:
        if index not in coded:
            coded[index] = codec.encode(image, codec.settings[index])
        return 8 * len(coded[index].data) / pixels

    try:
        codec.check(*image.shape[:2])
        if codec.searched:
            best = rate_search.choose(len(codec.settings), rate_of, FLAGS.rate, FLAGS.rate, 1)[0]
        else:
            indexes = range(len(codec.settings))
            best = min(indexes, key=lambda i: abs(math.log(rate_of(i) / FLAGS.rate)))
        return codec.decode(coded[best], codec.settings[best]), rate_of(best)
    except CodecError as error:
        raise UsageError(str(error)) from error


def _proxy_words(proxy: ProxIQA, crop: np.ndarray, decoded: np.ndarray) -> list[str]:
    pair = [tf.cast(side[None], tf.float32) for side in (crop, decoded)]
    true = vmaf.measure(crop[None], decoded[None])["vmaf"][0]
    return [f"crop: VMAF {true:.1f}", f"proxy {float(proxy(pair)[0]):.1f}"]


if __name__ == "__main__":
    launch(main)
