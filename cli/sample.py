"""Draws degraded versions of images from a trained degradation model (Fig. 5)."""

from __future__ import annotations

import functools
from typing import Any

import tqdm

from lossylab.cli import jobs
from lossylab.cli.options.sample import SampleOptions
from lossylab.core.digest import digest
from lossylab.core.environment import timed
from lossylab.core.options import naming
from lossylab.data.collections import find_images
from lossylab.data.decode import as_rgb, decode_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.export.sampler import draw_uniforms, sample_naive, sample_wavefront

SAMPLERS = {"wavefront": sample_wavefront, "naive": sample_naive}
_COLUMNS = (
    "input",
    "output",
    "width",
    "height",
    "psnr",
    "nll",
    "content",
    "model",
    "seed",
    "temperature",
    "seconds",
)


def sample(options: SampleOptions) -> None:
    """Draws the images; raises as `jobs.plan` and `jobs.run`."""
    sources = find_images(options.input)
    with naming("model"):
        model = Degradation(options.model)
    plan = jobs.plan(options, sources, ".png", jobs.LOSSLESS)
    work = functools.partial(_sample_one, options, model)
    jobs.run(plan, work, _COLUMNS, (model.weights,))


def _sample_one(
    options: SampleOptions, model: Degradation, source: str, target: str
) -> dict[str, Any]:
    decoded = decode_image(source, keep_profile=options.keep_profile)
    image = as_rgb(decoded.pixels)
    height, width = image.shape[:2]
    seed = (noise_seed(source) + options.seed) % 2**32
    uniforms = draw_uniforms(seed, 1, height, width, model.network().options["mixtures"])
    bar = functools.partial(tqdm.tqdm, desc="drawing", leave=False)
    sampler = SAMPLERS[options.sampler]
    drawn, milliseconds = timed(
        sampler, model.network(), image[None], uniforms, bar, options.temperature
    )
    row = {
        "input": source,
        "output": target,
        "width": width,
        "height": height,
        "psnr": f"{psnr(image, drawn[0]):.2f}",
        "nll": f"{float(model.nll(drawn, image[None])[0]):.3f}",
        "content": digest(drawn[0])[:16],
        "model": model.weights[:16],
        "seed": options.seed,
        "temperature": options.temperature,
        "seconds": f"{milliseconds / 1000:.3f}",
    }
    # Last: whatever fails before leaves no image that no row tells of.
    jobs.write_image(target, drawn[0], decoded.profile)
    return row
