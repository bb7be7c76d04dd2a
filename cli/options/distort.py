"""Options of `lossylab distort`."""

from __future__ import annotations

from lossylab.cli.options.files import ImageFilesOptions
from lossylab.core.options import option, option_class, require

# Distortions with the unit of their severity and its default, as `data.distortions` has them.
SEVERITIES = {
    "jpeg": ("JPEG quality, 4:2:0", 40),
    "jpeg2000": ("compression ratio", 16),
    "white": ("standard deviation in pixel values", 60),
    "pink": ("standard deviation in pixel values", 5),
}


@option_class
class DistortOptions(ImageFilesOptions):
    """Distorts images, by a trained generator or truly.

    lossylab distort image.png worse.png --model=runs/jpeg/export
    lossylab distort photos noisy --truth=white --severity=25 --seed=7

    A table of what was written goes to standard output, as CSV.
    """

    model: str | None = option(None, "Folder of an exported generator.", may_differ=True)
    truth: str | None = option(
        None,
        "A true distortion instead: the image is coded and decoded, or noise is added.",
        choices=SEVERITIES,
    )
    severity: float | None = option(
        None,
        "Severity of the true distortion. Units and defaults: "
        + "; ".join(f"{name}: {unit} ({value})" for name, (unit, value) in SEVERITIES.items())
        + ".",
    )
    seed: int = option(
        0,
        "With the name of the file, it decides the noise of a true distortion.",
        minimum=0,
        maximum=2**31 - 1,
    )

    max_pixels: int = option(
        2**23,
        "So many pixels a network sees at once; more need memory. Larger images are distorted in "
        "tiles that do not show.",
        minimum=2**12,
        unit="pixels",
        may_differ=True,
    )

    def check(self) -> None:
        """Refuses both kinds of distortion, and neither."""
        super().check()
        require(
            bool(self.model) != bool(self.truth),
            "give either `model`, the folder of an exported generator, or `truth`",
        )
        require(
            self.truth or (self.severity is None and not self.seed),
            "`severity` and `seed` go with `truth`: a generator does what it has learned",
        )
