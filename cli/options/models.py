"""Options of `lossylab models` and `lossylab models add`."""

from __future__ import annotations

import re

from lossylab.core.errors import UsageError
from lossylab.core.options import Options, argument, option, option_class, require


@option_class
class ModelsOptions(Options):
    """Lists the trained models that have names: those that come with lossylab and those added.

    lossylab models
    lossylab models NAME

    A name stands for an export wherever one is expected, as in compress image.png image.lossy
    --model=NAME. Exports are made of them when they are used first, below $LOSSYLAB_CACHE; nothing
    is downloaded.
    """

    name: str = argument("Model whose card to print: what it is, how it was trained, how good.", "")


@option_class
class AddModelOptions(Options):
    """Adds an export to the models that have names, its weights rounded to float16.

    lossylab models add runs/mse/export bls2017-mse-0.064 --summary="BLS for MSE at .9 bpp"
    lossylab models add DnCNN3.mat dncnn3-official

    The export's program is not run. Options that name folders are left out of the card. The
    authors' files of ARCNN and DnCNN-3 are known by their SHA-256, whatever their names; what else
    is official is imported first (`lossylab import --help`).
    """

    export: str = argument("Folder of an export, or an official file of ARCNN or DnCNN-3.")
    name: str = argument("What it shall be called: small letters, digits, '.', '_' and '-'.")
    summary: str = option(
        "", "One line that says what it is; of official files that is known, else it is needed."
    )
    quality: str = option(
        "", "Measured quality of the rounded model in words, with data and protocol."
    )
    useful_to: int | None = option(
        None,
        "Quality of JPEG files up to which a restorer gains; by default what the export says.",
        minimum=1,
        maximum=100,
    )
    gains: tuple[str, ...] = option(
        (),
        "What color files of live1 gain from a restorer, QUALITY:DECIBEL each, such as 10:0.97; by "
        "default what the export says.",
    )
    hours: float | None = option(None, "How long it was trained.", minimum=0, unit="hours")
    license: str | None = option(None, "What its use is bound to; by default what the export says.")
    folder: str = option(
        "",
        "Folder to add it to, by default $LOSSYLAB_ZOO or the platform's for what users keep, such "
        "as ~/.local/share/lossylab/zoo.",
    )

    def check(self) -> None:
        """Refuses names that are none."""
        super().check()
        require(
            bool(re.fullmatch("[a-z0-9][a-z0-9._-]*", self.name)),
            f"a model's name has small letters, digits, '.', '_' and '-', got '{self.name}'",
        )
        self.measured_gains()

    def measured_gains(self) -> dict[str, float]:
        """The gains by quality; raises UsageError if they are none."""
        found = {}
        for text in self.gains:
            pair = re.fullmatch(r"(100|[1-9]\d?):(-?\d*\.?\d+)", text)
            if pair is None:
                raise UsageError(f"`gains` takes QUALITY:DECIBEL, such as 10:0.97, got '{text}'")
            found[pair[1]] = float(pair[2])
        return found
