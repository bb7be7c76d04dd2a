"""Options of `lossylab eval restoration`."""

from __future__ import annotations

from lossylab.core.downloads import OfflineOptions
from lossylab.core.options import option, option_class, require
from lossylab.eval.options.base import CropOptions, MeasurementOptions, named, skip_small
from lossylab.eval.options.beam import BeamOptions

JPEG, SADCT = METHODS = ("jpeg", "sadct")
RESTORE = "restore"
FILE = "file"
CHANNELS = ("rgb", "y", FILE)


@option_class
class RestorationOptions(OfflineOptions, BeamOptions, CropOptions, MeasurementOptions):
    """Measures the restoration of JPEG images: methods x qualities x images to rows.

    lossylab eval restoration --data=live1,classic5 --methods=jpeg,sadct --qualities=10 \\
        --models=wcdgan:runs/wcdgan_q10/export --out=results/mine --budget="my budget"

    Every row has PSNR, SSIM with the Gaussian window of 11 pixels and with the uniform one of 8,
    PSNR-B, and the run time; with --lpips, --features and --vmaf also what these say. With
    --inception the sets get Inception Score and FID (sets.csv). A model is measured at the quality
    it was trained for, official blind ones at all. What is known already is not measured again.
    """

    skip_small: bool = skip_small(
        "16x16 pixels (with `lpips`, `features` or `vmaf` 32x32, with `crops_dir` `crop_size`)"
    )
    data: tuple[str, ...] = option(
        ("live1", "classic5"), "Collections of images to measure on.", images=True
    )
    channels: str = option(
        "y",
        "The protocol: y takes MATLAB's studio-range luma and codes that plane as a gray file, as "
        "the ARCNN, DnCNN and MWCNN papers do; rgb codes color files with 4:2:0, for networks for "
        "RGB; file does the same and restores what is read as `lossylab restore` does, by any "
        "network, and measures RGB (rows of file_rgb), studio-range luma (file_y) and the colors "
        "Cb and Cr (file_c).",
        choices=CHANNELS,
    )
    qualities: tuple[int, ...] = option(
        (5, 10, 20), "JPEG qualities to restore from.", minimum=1, maximum=100
    )
    methods: tuple[str, ...] = option(
        METHODS,
        "Methods that need no training. jpeg: restores nothing; sadct; restore: what `lossylab "
        "restore` chooses for each file among the models, for `channels`=file.",
        choices=(*METHODS, RESTORE),
    )
    models: tuple[str, ...] = option(
        (), "Exports, NAME:EXPORT each; several of one name for several qualities."
    )
    budget: str = option("", "Budget of the models, for their rows.")
    lpips: str | None = option(
        None, "Weights of LPIPS: a file, or random. LPIPS is left out if not given."
    )
    features: str | None = option(
        None,
        "VGG-16's weights: a file or random. With them rows have two distances by its features, of "
        "layers that the perceptual loss does not use.",
    )
    vmaf: bool = option(False, "Also measure VMAF, of luma as gray images.")
    inception: str | None = option(
        None,
        "Weights of Inception: imagenet, random, or a Keras file. Sets are left out if not given.",
    )
    crops_dir: str | None = option(
        None,
        "Folder to write crops of all methods to, at the first quality; `eval wcdgan` draws them.",
    )
    crop_size: int = option(128, "Height and width of the crops.", minimum=32, unit="pixels")

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(bool(self.budget or not self.models), "`budget` is needed: the models' budget")
        require(
            not (self.inception and self.shard), "`inception` measures whole sets, not a `shard`"
        )
        require(not (self.inception and self.beam), "`inception` goes without `beam`")
        require(
            self.offline or not self.beam,
            "`beam`: workers download nothing, leave `offline` on and give files of weights",
        )
        require(bool(self.qualities), "`qualities` is needed: JPEG qualities from 1 to 100")
        for name, _ in named("models", self.models):
            taken = name in (*METHODS, RESTORE)
            require(not taken, f"`models`: {name} is the name of a method")
        require(
            RESTORE not in self.methods or self.channels == FILE,
            f"`methods`={RESTORE} goes with `channels`={FILE}",
        )
