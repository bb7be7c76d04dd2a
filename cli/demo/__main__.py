"""`lossylab demo`: what comes with lossylab at work on a few images, and one page of it."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import sys

from PIL import Image

from lossylab.cli import gain, jpeg, restore
from lossylab.cli.demo import verdict
from lossylab.cli.options.demo import DemoOptions
from lossylab.cli.options.report import ReportOptions
from lossylab.cli.options.restore import RestoreOptions
from lossylab.cli.report.__main__ import report
from lossylab.cli.report.sources import VERDICT
from lossylab.core.errors import ExportError
from lossylab.core.files import make_folder, write_bytes, write_text
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.jpeg import encode
from lossylab.eval import crops, rd, restoration
from lossylab.eval.options.crops import CropsOptions
from lossylab.eval.options.rd import RdOptions
from lossylab.eval.options.restoration import RestorationOptions
from lossylab.inference.codecs import jpeg_decoders
from lossylab.inference.export import zoo
from lossylab.inference.export.jpeg import Encoder
from lossylab.train import proxiqa
from lossylab.train.options.proxiqa import ProxiqaOptions

_ALPHA = 0.9  # weight of VMAF's loss where a codec is tuned
_NETWORK = ("codec", "filters", "latent_filters")  # options that a codec is built by
_TABLES = 4  # quality of the learned tables by which one file is written

log = logging.getLogger("lossylab")


def demo(options: DemoOptions) -> None:
    """Trains, compresses, restores and reports; raises as the commands that it runs."""
    out = make_folder(options.out)
    with contextlib.redirect_stdout(sys.stderr):  # what the parts print is talk here
        base = _smallest()
        run = _tune(options, base, out)
        models = [f"{verdict.curve(name)}:{name}" for name in _packaged("codec", "jpeg_encoder")]
        _compress(options, [*models, f"{verdict.TUNED}:{run}/export"], out)
        said = [_restored(options, out), _written(options, out)]
        text = verdict.text(out / "results", out / "restored", verdict.curve(base), said)
        write_text(out / VERDICT, text)
        title = "What comes with lossylab, measured on this machine"
        page = f"{options.out}/report.html"
        report(ReportOptions(folders=(options.out,), out=page, title=title))
    sys.stdout.write(f"{text}\nopen {page}\n")


def _packaged(*kinds: str) -> list[str]:
    """Names of the models of some kinds that come with lossylab."""
    ours = [name for name in zoo.names() if (zoo.PACKAGED / f"{name}.json").exists()]
    return [name for name in ours if zoo.card(name)["kind"] in kinds]


def _smallest() -> str:
    """The codec for MSE that learns fastest; raises ExportError if none comes with lossylab."""
    mse = [name for name in _packaged("codec") if zoo.card(name)["options"]["metric"] == "mse"]
    if not mse:
        raise ExportError("no codec comes with this lossylab: install it again")
    return min(mse, key=lambda name: (zoo.card(name)["parameters"], name))


def _tune(options: DemoOptions, base: str, out: pathlib.Path) -> pathlib.Path:
    """Trains a codec on for VMAF, as the paper does; returns the run."""
    known = zoo.card(base)["options"]
    shared = {
        "train_data": options.train_data,
        "metric": "vmaf",
        "init_from": base,
        "precision": "auto",
        "log_every": 10,
        "summary_every": 0,
        "sharpen": 1.0,
        "proxy_optimizer": "muon",
        **{name: known[name] for name in _NETWORK if name in known},
    }
    proxy, run = str(out / "runs" / "proxy"), str(out / "runs" / "tuned")
    _say(f"VMAF's proxy learns from what {base} makes, {options.proxy_steps} steps")
    alone = {"optimize": "pretrain_proxy", "lmbda": 0.0}
    alone |= {"proxy_bias": 85.0, "proxy_differences": True}
    steps = {"steps": options.proxy_steps, "proxy_learning_rate": 1e-3}
    proxiqa.train(ProxiqaOptions(**shared, **alone, **steps, run_dir=proxy))
    _say(f"{base} learns by the proxy, {options.steps} steps")
    # The pixel loss weighs what it weighed before.
    rate = {"alpha": _ALPHA, "lmbda": known["lmbda"] / (1 - _ALPHA), "proxy_from": proxy}
    steps = {"steps": options.steps, "learning_rate": 1e-4, "final_learning_rate": 1e-6}
    more = {"proxy_learning_rate": 3e-4, "seed": 1, "run_dir": run}
    return proxiqa.train(ProxiqaOptions(**shared, **rate, **steps, **more))


def _compress(options: DemoOptions, models: list[str], out: pathlib.Path) -> None:
    """Files of all codecs: rates and qualities, and crops at one rate."""
    _say("all codecs write files beside JPEG and JPEG 2000")
    results = str(out / "results")
    codecs, data = {"models": tuple(models), "codecs": verdict.CLASSICAL}, options.data
    title = f"Files of {data}: what comes with lossylab beside JPEG and JPEG 2000"
    rd.measure(RdOptions(**codecs, data=data, out=results, title=title, anchor=verdict.JPEG))
    rate = verdict.rate(out / "results", verdict.TUNED)
    _say(f"crops of all at {rate:.2f} bits per pixel")
    said = {"title": f"{rate:.2f} bits per pixel", "out": f"{results}/crops/equal_rate"}
    crops.write(CropsOptions(**codecs, data=data, bpp=rate, **said))


def _restored(options: DemoOptions, out: pathlib.Path) -> str:
    """Restores one JPEG file as `lossylab restore` does, and measures all."""
    _say(f"JPEG files of quality {options.quality} are restored")
    path, files = find_images(options.data)[0], make_folder(out / "files")
    given = files / f"{pathlib.Path(path).stem}_q{options.quality}.jpg"
    restored = given.with_suffix(".restored.png")
    write_bytes(given, encode(read_image(path), options.quality))
    restore.restore(RestoreOptions(input=str(given), output=str(restored), overwrite=True))
    restoration.measure(
        RestorationOptions(
            data=(options.data,),
            channels="file",
            qualities=(options.quality,),
            methods=("jpeg", "restore"),
            out=str(out / "restored"),
            crops_dir=str(out / "restored" / "crops" / "restored"),
        )
    )
    return f"{given} restored: {restored}"


def _written(options: DemoOptions, out: pathlib.Path) -> str:
    """Writes a .jpg file by learned tables and opens it."""
    path = find_images(options.data)[0]
    file = out / "files" / f"{pathlib.Path(path).stem}_learned.jpg"
    image, encoder = read_image(path), Encoder(zoo.jpeg_encoder(_TABLES))
    contents, data = jpeg.encode(encoder, image, "optimized")
    decoded = jpeg_decoders.by_pillow(data)
    jpeg.verify(encoder, contents, data, decoded)
    write_bytes(file, data)
    with Image.open(file) as opened:
        size = f"{opened.format} of {opened.width}x{opened.height}"
    line = gain.beside_jpeg(image, decoded, len(data))
    return f"{file} by learned tables, to Pillow a {size}: {line}"


def _say(text: str) -> None:
    log.info("demo: %s", text)
