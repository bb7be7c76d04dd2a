"""Options of `lossylab generate`."""

from __future__ import annotations

from lossylab.core.options import Options, argument, option, option_class


@option_class
class GenerateOptions(Options):
    """Makes images with a StyleGAN's generator, from random latents.

    lossylab generate images --generator=generator.npz --count=100

    Images are PNG files, 000.png and so on, that a seed decides.
    """

    output: str = argument("Folder to write the images to.")
    generator: str = option(help="File that `lossylab import stylegan` wrote.")
    count: int = option(10, "Number of images to make.", minimum=1)
    seed: int = option(0, "Decides latents and noise.", minimum=0, maximum=2**30)
    psi: float = option(
        1.0, "Truncation: 0 gives the mean image, 1 truncates nothing.", minimum=0, maximum=1
    )
    overwrite: bool = option(False, "Replace files that exist.")
