"""Options of `lossylab train stylegan`."""

from __future__ import annotations

from lossylab.core.downloads import OfflineOptions
from lossylab.core.options import option, option_class, require
from lossylab.train.options.loop import (
    TrainingOptions,
    batch,
    export_at,
    patch,
    positive,
    require_exports,
    require_multiple,
    steps,
)

_CODE = "authors' code, config-f"
GROUP = 4  # images whose spread the discriminator sees


@option_class
class StyleganOptions(OfflineOptions, TrainingOptions):
    """Trains a StyleGAN2 generator: a prior for restoration in its latent space.

      lossylab train stylegan --train_data=FOLDER --patch=32 --fmap_base=512 --run_dir=runs/prior

    Images are cut to their central square and scaled to `patch`. Generator and discriminator learn
    at once, from the same images, by the logistic loss with R1 and path lengths every few steps;
    the mean of the generator's weights is exported. Killed or stopped, the same command resumes
    the run; run_dir/export is used like an imported network by `lossylab generate`,
    `lossylab restore --method=mmd` and `lossylab eval latent_study`.

    T. Karras, S. Laine, M. Aittala, J. Hellsten, J. Lehtinen, T. Aila: "Analyzing and Improving the
    Image Quality of StyleGAN", CVPR 2020; it is the prior of "Perceptual Image Restoration with
    High-Quality Priori and Degradation Learning".
    """

    steps: int = steps(781_250, source="25 million images, as the authors' code")
    batch: int = batch(32, help="Images in the global batch, over all devices.", source=_CODE)
    patch: int = patch(64, assumed="the authors' networks have 1024")
    mirror: bool = option(False, "Show images mirrored, too: as many as not.", source=_CODE)
    fmap_base: int = option(
        16384,
        "Layers at a side of s pixels have 2 * fmap_base / s channels, but at most `fmap_max`.",
        minimum=16,
        source=_CODE,
    )
    fmap_max: int = option(512, "Largest number of channels.", minimum=1, source=_CODE)
    width: int = option(512, "Width of z, of the mapping and of w.", minimum=1, source=_CODE)
    depth: int = option(8, "Layers of the mapping network.", minimum=1, maximum=64, source=_CODE)
    learning_rate: float = positive(
        2e-3, "Learning rate of generator and discriminator.", source=_CODE
    )
    beta_1: float = positive(0.0, "The beta_1 of Adam.", below=1.0, source=_CODE)
    beta_2: float = positive(0.99, "The beta_2 of Adam.", below=1.0, source=_CODE)
    r1: float = positive(
        10.0,
        "The gamma of R1, for pixels in -1..1. Small images need less: StyleGAN2-ADA takes "
        "0.0002 * patch^2 / batch.",
        source=_CODE,
    )
    r1_every: int = option(16, "Steps between those with R1.", minimum=1, source=_CODE)
    path_weight: float = positive(2.0, "Weight of path lengths; 0 for none.", source=_CODE)
    path_every: int = option(4, "Steps between those with path lengths.", minimum=1, source=_CODE)
    mixing: float = option(
        0.9,
        "Share of the images that are made of two styles, the second from a random layer on.",
        minimum=0.0,
        maximum=1.0,
        source=_CODE,
    )
    features: str = option(
        "random",
        "VGG-16 whose features validation compares by, as many new images with those of "
        "`validation_data` (a Frechet distance, like FID): imagenet, random, or a file's path.",
        may_differ=True,
    )
    average: int = option(
        10_000,
        "Half-life of the mean of the generator's weights that is exported.",
        minimum=1,
        unit="images",
        source=_CODE,
    )
    export_at: tuple[int, ...] = export_at("a generator may get worse again.")
    init_from: str | None = option(
        None, "Run to begin with: its generator, the mean of that, and its discriminator."
    )

    def check(self) -> None:
        """Refuses sizes that no generator has, and exports after the end."""
        super().check()
        side = self.patch
        require(
            8 <= side <= 1024 and not side & (side - 1),
            f"`patch`={side} must be a power of two in 8..1024",
        )
        require_multiple("batch", self.batch, GROUP)
        require_exports(self.steps, self.export, self.export_at)
