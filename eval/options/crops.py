"""Options of `lossylab eval crops` and `lossylab eval metrics`."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.eval.options.base import CropOptions, MeasurementOptions, skip_small
from lossylab.eval.options.rd import CODECS

SCORES = ("vmaf", "vmaf_neg", "ssim", "ms_ssim", "vif", "vif_scale0", "psnr")


@option_class
class CropsOptions(CropOptions, MeasurementOptions):
    """Writes crops of what codecs make of an image at nearly equal rate, beside the original.

    lossylab eval crops --codecs=jpeg2000,hevc444 --models=mse:runs/mse/export --bpp=0.3 \\
        --data=sample_test --out=results/x/crops/fig08

    Of every codec the setting whose rate comes nearest to --bpp is shown, with the file's rate
    and the quality of the whole image; of exports those whose rates lie closest together and to
    it. The title says how far rates differ. `lossylab eval proxiqa` makes figures of the folders.
    """

    skip_small: bool = skip_small("`crop_size`")
    data: str = option(
        "sample_test", "Images: a file, folder, glob or named collection.", images=True
    )
    out: str = option(help="Folder of crops and index.json.")
    codecs: tuple[str, ...] = option((), "Codecs that need no training.", choices=CODECS)
    models: tuple[str, ...] = option(
        (), "Exports of learned codecs, NAME:EXPORT each; see `lossylab eval rd`."
    )
    title: str = option("", "Heading of the figure. The rate if not given.")
    bpp: float = option(0.3, "Rate at which codecs are compared.", above=0, unit="bits per pixel")
    crop_size: int = option(160, "Height and width of the crops.", minimum=32, unit="pixels")
    metrics: tuple[str, ...] = option(("vmaf",), "Scores in the labels.", choices=SCORES)
    proxy_from: str | None = option(
        None,
        "Run whose proxy scores the crops too, beside VMAF of the crops; `crop_size` is its patch "
        "size.",
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(bool(self.codecs or self.models), "nothing to show: give `codecs` or `models`")


@option_class
class MetricAgreementOptions(MeasurementOptions):
    """Measures how far metrics that lossylab and libvmaf both compute agree, on JPEG images.

    lossylab eval metrics --data=kodak --out=results/metrics

    The two differ by definition: planes and their rounding, windows, down-sampling. The table says
    by how much, so that nobody compares numbers of one kind with numbers of the other.
    """

    skip_small: bool = skip_small("176x176 pixels, which libvmaf's MS-SSIM needs")
    out: str = option(help="Folder for agreement.md and agreement.csv.")
