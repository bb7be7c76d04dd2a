"""The thirteen searches of Table 2 (Sec. 4.4.3) as settings."""

from __future__ import annotations

import dataclasses

from lossylab.inference.latent.settings import PULSE, Settings

# Rows that need no search: two of Table 2, the given image scaled up again, and what every search
# must beat: the mean style in all layers, and independent samples of the prior.
IMAGES = ORIGINAL, COMPRESSED, GIVEN = ("Original", "Compressed", "Given")
UNSEARCHED = MEAN, SAMPLES = ("Mean, no search", "Independent samples")
UNTOUCHED = (*IMAGES, *UNSEARCHED)


# Epochs of the paper's two degradation models -> which of ours stands for it: ours has others.
TRAINED = {29: "shorter training", 379: "longer training"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of Table 2.

    Attributes:
      name: its number there, counted from 1.
      version: of StyleGAN.
      settings: of the search.
      epochs: of the degradation model; 0 for none.
    """

    name: str
    version: int
    settings: Settings
    epochs: int = 0

    def changed(self, **changes) -> Row:
        """The same row with other settings."""
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **changes))

    @property
    def label(self) -> str:
        """A short name for figures."""
        settings = self.settings
        if settings.space == "z":
            return f"{self.name}: PULSE, v{self.version}"
        words = [
            "mean" if settings.mean_init else "random",
            "MMD" if settings.mmd_weight else "no MMD",
            *([] if settings.sphere != "none" else ["free"]),
            *([f"NLL x{settings.nll_weight:g}, {TRAINED[self.epochs]}"] if self.epochs else []),
            *([f"{settings.steps} steps"] if settings.steps != 100 else []),
        ]
        return f"{self.name}: {', '.join(words)}"

    @property
    def words(self) -> dict[str, str]:
        """The columns of Table 2."""
        settings, yes = self.settings, ("N", "Y")
        return {
            "StyleGAN V": f"v{self.version}",
            "mean Init": yes[settings.mean_init],
            "MMD": yes[settings.mmd_weight > 0],
            "Spherical": yes[settings.sphere != "none"],
            "pixelcnn coff": f"{settings.nll_weight:g}" if self.epochs else "-",
            "Epoch": str(self.epochs) if self.epochs else "-",
            "step": str(settings.steps),
        }


def _searched_by_nll(name: str, weight: float, epochs: int, steps: int = 100) -> Row:
    """The likelihood takes the place of the squared error (Sec. 1: 'instead of')."""
    settings = Settings(pixel_weight=0.0, nll_weight=weight, steps=steps)
    return Row(name, 2, settings, epochs)


_OURS = Settings()
# PULSE without the threshold at which it stops, as Sec. 4.1 for all rows.
_PULSE = dataclasses.replace(PULSE, epsilon=0.0)
ROWS = {
    row.name: row
    for row in (
        Row("1", 1, _PULSE),
        Row("2", 2, _PULSE),
        Row("3", 2, dataclasses.replace(_OURS, mmd_weight=0.0)),
        Row("4", 2, dataclasses.replace(_OURS, mean_init=False)),
        Row("5", 2, _OURS),
        Row("6", 2, dataclasses.replace(_OURS, steps=1000)),
        Row("7", 2, dataclasses.replace(_OURS, sphere="none")),
        _searched_by_nll("8", 1, 29),
        _searched_by_nll("9", 1, 379),
        _searched_by_nll("10", 1, 379, 1000),
        _searched_by_nll("11", 10, 29),
        _searched_by_nll("12", 10, 379),
        _searched_by_nll("13", 50, 379),
    )
}
EPOCHS = tuple(TRAINED)  # of the two degradation models
