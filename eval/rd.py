"""Rate and quality of exported codecs and JPEG over pictures: rows, table and plot.

  lossylab eval rd --models=mse:runs/mse/export,vmaf:runs/vmaf/export --data=kodak --out=results/x

Models of one name are points of one curve. Rates are those of the files that were written and
decoded again; quality is measured on what the decoder gave.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
import pathlib

import numpy as np
import pandas as pd
import tqdm
from absl import flags
from PIL import Image

from lossylab.data.collections import find_pictures
from lossylab.data.decode import read_picture
from lossylab.data.files import make_folder, replacing, write_bytes
from lossylab.data.patches import check_sizes
from lossylab.eval import rd_report
from lossylab.eval.app import launch, new_flags, parse, require
from lossylab.eval.codecs import Jpeg, Learned, PictureCodec
from lossylab.eval.container import SUFFIX
from lossylab.eval.environment import environment
from lossylab.eval.metrics import vmaf
from lossylab.eval.metrics.psnr import psnr_rgb

JPEG_QUALITIES = (3, 5, 8, 12, 20, 30, 45, 60, 75, 90)

FLAGS = new_flags()
flags.DEFINE_list("models", [], "NAME:EXPORT, one a point.", flag_values=FLAGS)
flags.DEFINE_string("data", "kodak", "Pictures to measure on.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder for rows, table and plot.", flag_values=FLAGS)
flags.DEFINE_string("title", "Rate and quality", "Heading of the report.", flag_values=FLAGS)
flags.DEFINE_string("cache_dir", None, "Folder that remembers scores.", flag_values=FLAGS)
flags.DEFINE_bool(
    "remake", False, "Only make table and plot again, from OUT/rows.csv.", flag_values=FLAGS
)
flags.DEFINE_bool("keep_files", False, "Write files and decoded pictures.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.out), "--out is needed: the folder to write")
    if FLAGS.remake:
        rd_report.remake(FLAGS.out)
        return
    require(bool(FLAGS.models), "--models is needed: NAME:EXPORT, one a point of a curve")
    wrong = [m for m in FLAGS.models if ":" not in m]
    require(not wrong, f"--models takes NAME:EXPORT, got {', '.join(wrong)}")
    paths = find_pictures(FLAGS.data)
    check_sizes(paths, vmaf.SMALLEST, "libvmaf's windows")
    _refuse_twins("pictures", [pathlib.Path(path).stem for path in paths])
    codecs: list[PictureCodec] = [Jpeg(quality) for quality in JPEG_QUALITIES]
    for model in FLAGS.models:
        name, path = model.split(":", 1)
        require(name != Jpeg.name, f"--models: '{name}' is the name of the baseline")
        codecs.append(Learned(name, pathlib.Path(path).resolve().parent.name, path))
    _refuse_twins("models", [f"{codec.name} {codec.setting}" for codec in codecs])
    make_folder(FLAGS.out)
    files = FLAGS.out if FLAGS.keep_files else None
    rows = measure(codecs, paths, files, FLAGS.cache_dir)
    rd_report.write(rows, about(codecs, FLAGS.data), FLAGS.out, FLAGS.title)


def _refuse_twins(what: str, names: list[str]) -> None:
    twins = [name for name, count in collections.Counter(names).items() if count > 1]
    require(not twins, f"several {what} are called {', '.join(twins[:3])}: rows would be mixed up")


def measure(
    codecs: list[PictureCodec], paths: list[str], files: str | None, cache_dir: str | None
) -> pd.DataFrame:
    """Codes every picture with every codec, decodes it and measures.

    Args:
      codecs: what to measure.
      paths: picture files.
      files: folder that gets learned codecs' files and decoded pictures, or None.
      cache_dir: folder that remembers scores by content, or None.

    Returns:
      A row per codec and picture: codec, setting, picture, width, height, bytes, bpp_file,
      bpp_estimated (NaN for JPEG), and the metrics of `vmaf.REPORTED` and psnr_rgb.
    """

    def one(job: tuple[str, PictureCodec]) -> dict:
        path, codec = job
        picture = read_picture(path)
        data, bits = codec.encode(picture)
        decoded = codec.decode(data)
        if files and isinstance(codec, Learned):
            _keep(files, codec, path, data, decoded)
        return _row(codec, path, picture, decoded, data, bits, cache_dir)

    jobs = [(path, codec) for path in paths for codec in codecs]
    # Threads do: the work is in ffmpeg, TensorFlow and Pillow, which let go of Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(one, jobs)
        return pd.DataFrame(tqdm.tqdm(results, total=len(jobs), unit="file", desc="measuring"))


def _row(codec, path, picture, decoded, data, bits, cache_dir) -> dict:
    height, width = picture.shape[:2]
    names = vmaf.reported_for(height, width)
    scores = vmaf.measure_cached(picture, decoded, names, cache_dir)
    return {
        "codec": codec.name,
        "setting": codec.setting,
        "picture": pathlib.Path(path).stem,
        "width": width,
        "height": height,
        "bytes": len(data),
        "bpp_file": 8 * len(data) / (height * width),
        "bpp_estimated": bits / (height * width),
        **{name: scores.get(name, np.nan) for name in vmaf.REPORTED},
        "psnr_rgb": float(psnr_rgb(picture[None], decoded[None])[0]),
    }


def about(codecs: list[PictureCodec], data: str) -> dict:
    """What a reader needs to know of rows: protocol, software, command, commit, data."""
    return {
        "data": data,
        "protocol": {
            "rate": "bytes of the whole file * 8 / pixels",
            "psnr": "(4 Y + Cb + Cr) / 6, ProxIQA Eq. 12, dB; planes capped at 60 by libvmaf",
            "psnr_rgb": "RGB, dB",
            "psnr, ssim, ms_ssim, vif, vmaf": vmaf.PROTOCOL,
            "mean": "arithmetic, over pictures",
        },
        "codecs": {f"{c.name} {c.setting}": c.version() for c in codecs},
        **environment(),
    }


def _keep(folder: str, codec: PictureCodec, path: str, data: bytes, decoded: np.ndarray) -> None:
    place = (
        pathlib.Path(folder) / "files" / f"{codec.name}_{codec.setting}" / pathlib.Path(path).stem
    )
    write_bytes(place.with_name(place.name + SUFFIX), data)
    with replacing(place.with_name(place.name + ".png")) as temporary:
        Image.fromarray(decoded).save(temporary)


if __name__ == "__main__":
    launch(main)
