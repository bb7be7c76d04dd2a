"""Options of `lossylab generate`."""

from __future__ import annotations

from lossylab.core.options import Options, argument, option, option_class, require
from lossylab.inference.latent.settings import GENERATOR


@option_class
class GenerateOptions(Options):
    """Makes images with a StyleGAN's generator, from random latents.

    lossylab generate images --generator=generator.npz --count=100
    lossylab generate images --generator=runs/prior/export --count=64 --sheet --interpolate=6
    lossylab generate images --generator=runs/prior/export --count=892 --compare_with=held_out

    Images are PNG files, 000.png and so on, that a seed decides. With --compare_with the Frechet
    distance and the kernel distance of features to other images, as FID and KID have them but of a
    VGG-16's features, go to standard output, as JSON.
    """

    output: str = argument("Folder to write the images to.")
    generator: str = option(help=GENERATOR)
    count: int = option(10, "Number of images to make.", minimum=1)
    seed: int = option(0, "Decides latents and noise.", minimum=0, maximum=2**30)
    psi: float = option(
        1.0, "Truncation: 0 gives the mean image, 1 truncates nothing.", minimum=0, maximum=1
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
        """Refuses a distance of one image, and features without a distance."""
        super().check()
        require(
            self.compare_with is None or self.count > 1, "`compare_with` needs a `count` above 1"
        )
        require(
            self.compare_with is not None or self.features == "random",
            "`features` goes with `compare_with`",
        )
        require(not self.interpolate or self.count > 1, "`interpolate` needs a `count` above 1")
