"""Options of `lossylab generate`."""

from __future__ import annotations

import re

from lossylab.core.downloads import OfflineOptions
from lossylab.core.errors import UsageError
from lossylab.core.options import (
    argument,
    default_of,
    option,
    option_class,
    repeated,
    require,
)
from lossylab.inference.latent.settings import GENERATOR

_LARGEST_SEED = 2**32 - 1  # of numpy.random.RandomState
_MOST = 1_000_000  # images


@option_class
class GenerateOptions(OfflineOptions):
    """Makes images with a StyleGAN's generator, from random latents or from those of a search.

    lossylab generate images --count=64 --sheet
    lossylab generate images --generator=generator.npz --count=100
    lossylab generate images --generator=runs/prior/export --interpolate=6
    lossylab generate images --generator=runs/prior/export --count=892 --compare_with=held_out
    lossylab generate images --generator=ffhq.npz --seeds=6600-6625
    lossylab generate images --generator=ffhq.npz --styles=restored/face.npz

    Images are PNG files, 000.png and so on, that a seed decides. With --seeds they are those that
    the authors' run_generator.py makes of these, seed6600.png and so on; its --truncation-psi is
    --psi. Killed and given again, the command leaves out what is finished. With --compare_with the
    Frechet distance and the kernel distance of features to other images, as FID and KID have them
    but of a VGG-16's features, go to standard output, as JSON.
    """

    output: str = argument("Folder to write the images to.")
    generator: str | None = option(
        None, f"{GENERATOR} Without it the first one that `lossylab models` lists."
    )
    count: int = option(10, "Number of images to make.", minimum=1)
    seed: int = option(0, "Decides latents and noise.", minimum=0, maximum=2**30)
    seeds: tuple[str, ...] = option(
        (),
        "Seeds of the authors' run_generator.py, one an image: numbers and ranges, such as "
        "6600-6625 or 66,230.",
    )
    styles: str | None = option(
        None,
        "File of latents to make an image of, NAME.npz beside an image that "
        "`lossylab restore --method=mmd` or =pulse has found.",
    )
    psi: float | None = option(
        None,
        "Truncation of the layers that the network truncates, which in StyleGAN2 are all: 0 gives "
        "the mean image, 1 truncates nothing. Without it the network's own, but none with "
        "`compare_with`, as the authors' metrics.",
        minimum=0,
        maximum=1,
    )
    sheet: bool = option(False, "Also write all images as one, sheet.png.")
    interpolate: int = option(
        0,
        "Also write interpolation.png: so many images from the style of each image to that of the "
        "next, a line each.",
        minimum=0,
    )
    compare_with: str | None = option(
        None,
        "Images to measure the distance to: a collection, folder, glob or @list. They are cut to "
        "their central square and scaled. As many are made and compared as `count` says.",
    )
    features: str = option(
        "random",
        "VGG-16 that the distance looks through: imagenet, random, or the path of a file.",
    )
    overwrite: bool = option(False, "Replace files that exist.")

    def check(self) -> None:
        """Refuses a distance of one image, features without a distance, and two sources."""
        super().check()
        self._check_sources()
        several = (len(self.official_seeds()) or self.count) > 1
        many = "several `seeds`" if self.seeds else "a `count` above 1"
        require(self.compare_with is None or several, f"`compare_with` needs {many}")
        require(
            self.compare_with is not None or self.features == "random",
            "`features` goes with `compare_with`",
        )
        require(not self.interpolate or several, f"`interpolate` needs {many}")

    def _check_sources(self) -> None:
        source = "styles" if self.styles is not None else "seeds" if self.seeds else ""
        if not source:
            return
        others = ["count", "seed"]
        if source == "styles":
            others += ["seeds", "psi", "sheet", "interpolate", "compare_with"]
        given = [name for name in others if getattr(self, name) != default_of(type(self), name)]
        names = ", ".join(f"`{name}`" for name in given)
        require(not given, f"{names} makes no sense with `{source}`")

    def official_seeds(self) -> list[int]:
        """All of `seeds`, in order."""
        found: list[range] = []
        for text in self.seeds:
            numbers = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", text)
            if numbers is None:
                raise UsageError(
                    f"`seeds` takes numbers and ranges such as 6600-6625, got {text!r}"
                )
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            require(
                first <= last <= _LARGEST_SEED,
                f"`seeds`: {text} is no range of numbers up to {_LARGEST_SEED}",
            )
            found.append(range(first, last + 1))
        require(sum(map(len, found)) <= _MOST, f"`seeds`: at most {_MOST} images are made")
        seeds = [seed for each in found for seed in each]
        require(not repeated(map(str, seeds)), "`seeds`: one is given twice")
        return seeds
