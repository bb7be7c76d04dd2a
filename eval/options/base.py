"""What the options of several measurements share."""

from __future__ import annotations

from typing import Any

from lossylab.core.options import Options, option, option_class, require
from lossylab.core.trust import TrustOptions


@option_class
class MeasurementOptions(TrustOptions):
    """Measures images and writes a folder."""

    data: str = option(
        "kodak", "Images to measure on: a file, folder, glob or named collection.", images=True
    )
    out: str = option(help="Folder to write to.")

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(bool(self.out), "`out` is needed: the folder to write to")


def skip_small(smallest: str) -> Any:
    """The option `skip_small` of a measurement; see `option`.

    Args:
      smallest: height and width that images need, for its help.
    """
    return option(False, f"Leave out images smaller than {smallest}, and say how many.")


@option_class
class JobsOptions(Options):
    """Work that several threads share."""

    jobs: int | None = option(
        None, "Number of pieces of work that run at a time. All cores if not given.", minimum=1
    )


@option_class
class CropOptions(Options):
    """Where crops of images lie."""

    crop_size: int = option(160, "Height and width of the crops.", minimum=16, unit="pixels")
    center: tuple[float, ...] = option(
        (0.5, 0.5),
        "Where the crops' centers lie: fractions of the images' width and height.",
        minimum=0,
        maximum=1,
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        self.check_center()

    def check_center(self) -> None:
        """Refuses centers that are not two numbers; for commands whose `out` may be missing."""
        shown = ",".join(f"{each:g}" for each in self.center)
        require(len(self.center) == 2, f"`center` takes two fractions from 0 to 1, got {shown}")


def named(option_name: str, texts: tuple[str, ...], what: str = "EXPORT") -> list[tuple[str, str]]:
    """The pairs of an option whose values are NAME:EXPORT each.

    Args:
      option_name: of the option, for messages.
      texts: its values.
      what: the word for what follows the colon.

    Raises:
      UsageError: if one is not of that form.
    """
    pairs = []
    for text in texts:
        name, colon, path = text.partition(":")
        require(bool(colon and name and path), f"`{option_name}` takes NAME:{what}, got {text}")
        pairs.append((name, path))
    return pairs
