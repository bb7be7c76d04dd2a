"""Options of `lossylab distort`."""

from __future__ import annotations

from lossylab.cli.options.files import ImageFilesOptions, max_pixels, output_beside
from lossylab.core.options import option, option_class, require
from lossylab.core.trust import EXPORT

# Distortions with the unit of their severity and its default, as `data.distortions` has them.
SEVERITIES = {
    "jpeg": ("JPEG quality, 4:2:0", 40),
    "jpeg2000": ("compression ratio", 16),
    "white": ("standard deviation in pixel values", 60),
    "pink": ("standard deviation in pixel values", 10),
}


@option_class
class DistortOptions(ImageFilesOptions):
    """Distorts images, by a trained generator or by a codec or noise itself.

    lossylab distort photo.png --like=jpeg
    lossylab distort image.png worse.png --model=runs/jpeg/export
    lossylab distort photos noisy --distortion=white --severity=25 --seed=7

    A table of what was written goes to standard output, as CSV.
    """

    output: str = output_beside(".distorted.png")
    model: str | None = option(None, f"Exported generator: {EXPORT}.", may_differ=True)
    distortion: str | None = option(
        None,
        "The distortion itself instead of a generator: the image is coded and decoded, or noise is "
        "added.",
        choices=SEVERITIES,
    )
    like: str | None = option(
        None,
        "The distortion to imitate: a generator of it that comes with lossylab or was added to "
        "`lossylab models`, and as long as there is none the distortion itself at its default "
        "severity; it is said which.",
        choices=SEVERITIES,
    )
    severity: float | None = option(
        None,
        "Severity of `distortion`. Units and defaults: "
        + "; ".join(f"{name}: {unit} ({value})" for name, (unit, value) in SEVERITIES.items())
        + ".",
    )
    seed: int = option(
        0,
        "Decides the noise, with the name of the file: of `distortion`, or that a generator sees.",
        minimum=0,
        maximum=2**31 - 1,
    )
    max_pixels: int = max_pixels(2**23, "tiles that do not show")

    def check(self) -> None:
        """Refuses both kinds of distortion, and neither."""
        super().check()
        require(
            sum(map(bool, (self.model, self.distortion, self.like))) == 1,
            "give one of `model`, the folder of an exported generator, `distortion` and `like`",
        )
        require(
            self.distortion or self.severity is None,
            "`severity` goes with `distortion`: a generator does what it has learned",
        )
