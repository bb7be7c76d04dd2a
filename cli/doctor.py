"""Checks this installation and says what to do about each finding."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata

from lossylab.cli.options.installation import DoctorOptions
from lossylab.core.errors import WorkError


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
      state: 'ok', 'note' (something optional is absent) or 'bad'.
      what: what was looked at.
      found: what was found.
      cure: what to do, empty if all is well.
    """

    state: str
    what: str
    found: str
    cure: str = ""


def examine(options: DoctorOptions) -> list[Finding]:
    """Prints the report and returns it; raises WorkError if something is bad."""
    del options
    findings = []
    for check in (
        _python,
        _tensorflow,
        _tfc,
        _processor,
        _gpu,
        _ffmpeg,
        _encoders,
        _codecs,
        _jpeglib,
        _collections,
    ):
        for finding in _safely(check):
            findings.append(finding)
            line = f"{finding.state:4}  {finding.what:22} {finding.found}"
            sys.stdout.write(
                line + (f"\n      cure: {finding.cure}" if finding.cure else "") + "\n"
            )
    bad = [finding.what for finding in findings if finding.state == "bad"]
    if bad:
        raise WorkError(f"not working: {', '.join(bad)}")
    return findings


def _safely(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - a doctor must survive every disease
        found, cure = f"{type(error).__name__}: {error}", "reinstall, in an environment of its own"
        yield Finding("bad", check.__name__.strip("_"), found, cure)


def _python() -> Iterator[Finding]:
    good = (3, 10) <= sys.version_info[:2] <= (3, 11)
    cure = "" if good else "use Python 3.10 or 3.11, for which tensorflow-compression has wheels"
    yield Finding("ok" if good else "bad", "Python", platform.python_version(), cure)


def _tensorflow() -> Iterator[Finding]:
    import tensorflow as tf

    good = tf.__version__.startswith("2.14.")
    cure = "" if good else "pip install tensorflow==2.14.1, the last with tfc's range coder"
    yield Finding("ok" if good else "bad", "TensorFlow", tf.__version__, cure)


def _tfc() -> Iterator[Finding]:
    import tensorflow as tf

    try:
        from lossylab.models.layers.compression import tfc
    except WorkError as error:
        yield Finding("note", "tensorflow-compression", "absent: no learned codecs", str(error))
        return
    version = metadata.version("tensorflow-compression")
    prior = tfc.NoisyLogistic(loc=[0.0], scale=[2.0])
    coder = tfc.ContinuousBatchedEntropyModel(prior, coding_rank=2, compression=True)
    latent = tf.constant([[1.0], [-3.0], [0.0]])
    good = bool(tf.reduce_all(coder.decompress(coder.compress(latent), [3]) == latent))
    cure = "" if good else "pip install --force-reinstall tensorflow-compression==2.14.1"
    found = f"{version}, range coder {'works' if good else 'does not give back what it got'}"
    yield Finding("ok" if good else "bad", "tensorflow-compression", found, cure)


def _processor() -> Iterator[Finding]:
    from lossylab.models.layers import precision

    found = f"{os.cpu_count()} cores, --precision=auto is {precision.fastest()}"
    yield Finding("ok", "processor", found)


def _gpu() -> Iterator[Finding]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        yield Finding("ok", "GPU", f"{len(gpus)} visible to TensorFlow")
    else:
        cure = "with an NVIDIA GPU: install with the extra gpu, and a driver for CUDA 11.8"
        yield Finding("note", "GPU", "none: training runs on the CPU", cure)


def _ffmpeg() -> Iterator[Finding]:
    import numpy as np

    from lossylab.core import ffmpeg
    from lossylab.eval.metrics import vmaf
    from lossylab.eval.metrics.vmaf_stream import VmafStream

    cure = f"pip install --force-reinstall imageio-ffmpeg==0.8.1, or set {ffmpeg.VARIABLE}"
    try:
        program = ffmpeg.executable()
        yield Finding("ok", "ffmpeg", f"{ffmpeg.version(program)}, {program}")
        image = np.random.default_rng(0).integers(0, 256, (1, 192, 192, 3), np.uint8)
        score = vmaf.measure(image, image)["vmaf"][0]
    except ffmpeg.FFmpegError as error:
        yield Finding("bad", "libvmaf", str(error), cure)
        return
    found = f"{vmaf.MODEL}, identical images score {score:.2f} (97.43 expected)"
    good = abs(score - 97.43) < 0.05
    yield Finding("ok" if good else "bad", "libvmaf", found, "" if good else cure)
    stream = VmafStream()
    same = stream.measure(image, image)["vmaf"][0] == score
    stream.close()
    found = "equal scores" if same else "other scores"
    yield Finding("ok" if same else "bad", "libvmaf, staying", found, "" if same else cure)


def _encoders() -> Iterator[Finding]:
    from lossylab.core import ffmpeg

    encoders = ffmpeg.run(["-v", "error", "-encoders"]).decode(errors="replace")
    there = "libx265" in encoders
    cure = "" if there else f"HEVC rows need an ffmpeg with libx265: set {ffmpeg.VARIABLE}"
    yield Finding("ok" if there else "note", "x265", "in ffmpeg" if there else "absent", cure)


def _codecs() -> Iterator[Finding]:
    from PIL import features

    for what, name in (("libjpeg-turbo", "libjpeg_turbo"), ("OpenJPEG", "jpg_2000")):
        version = features.version(name)
        cure = "" if version else "pip install --force-reinstall pillow"
        yield Finding("ok" if version else "bad", what, version or "absent from Pillow", cure)


def _jpeglib() -> Iterator[Finding]:
    import numpy as np

    from lossylab.inference.codecs import jpeg_files

    planes = np.arange(-96, 96, dtype=np.int16).reshape(3, 1, 1, 8, 8)
    written = jpeg_files.Contents(planes, np.full((2, 8, 8), 9), 8, 8)
    found = jpeg_files.contents_of(jpeg_files.to_bytes(written))
    good = np.array_equal(found.coefficients, planes)
    cure = "" if good else "pip install --force-reinstall jpeglib==1.0.2"
    said = "keeps coefficients" if good else "changes coefficients"
    yield Finding(
        "ok" if good else "bad", "jpeglib", f"{metadata.version('jpeglib')}, {said}", cure
    )


def _collections() -> Iterator[Finding]:
    from lossylab.data.collections import COLLECTIONS, PACKAGED, ROOT_VARIABLE, find_images

    root = os.environ.get(ROOT_VARIABLE)
    cure = "" if root else f"export {ROOT_VARIABLE}=FOLDER, where your data sets are"
    yield Finding("ok" if root else "note", ROOT_VARIABLE, root or "not set", cure)
    for name in [*PACKAGED, *COLLECTIONS]:
        try:
            yield Finding("ok", name, f"{len(find_images(name))} images")
        except ValueError as error:
            yield Finding("note", name, "not found", str(error))
