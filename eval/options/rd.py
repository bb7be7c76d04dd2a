"""Options of `lossylab eval rd` and `lossylab eval jpeg_rd`."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.eval.options.base import JobsOptions, MeasurementOptions, skip_small
from lossylab.eval.options.beam import BeamOptions
from lossylab.eval.schemas import COMPETITORS, OTHER_FORMATS, OTHER_JPEGS
from lossylab.models.names import LPIPS_NETWORKS

CODECS = ("jpeg", "jpeg_optimized", "jpeg2000", "hevc444", "hevc420", *OTHER_FORMATS, *OTHER_JPEGS)
EXTERNAL = ("hm444", "hm420", "kakadu", "jpegxt")
_MODELS = (
    "Exports of learned codecs, NAME:EXPORT each. Those of one name are points of one curve; "
    "EXPORT may be a pattern of several, such as mse:runs/mse_*/export."
)


@option_class
class RdOptions(BeamOptions, JobsOptions, MeasurementOptions):
    """Measures rate and quality of codecs over images: rows, tables with BD-rates, and a plot.

    lossylab eval rd --codecs=jpeg,jpeg2000,hevc444,hevc420 --data=kodak --out=results/classical
    lossylab eval rd --models=mse:runs/mse/export,vmaf:runs/vmaf/export --data=kodak --out=results/x

    Rates are those of the files that were written and decoded again; quality is measured on what
    the decoder gave. JPEG and HEVC get, per image, the settings whose rates come nearest to eight
    from 0.05 to 2 bits per pixel. Killed and given again, the command computes nothing twice;
    --points adds points that were measured elsewhere.
    """

    skip_small: bool = skip_small("32x32 pixels, which libvmaf's windows need")
    codecs: tuple[str, ...] = option(
        ("jpeg",),
        "Codecs that need no training; jpegli, mozjpeg and jpegxl need the extra `encoders`.",
        choices=CODECS,
    )
    models: tuple[str, ...] = option((), _MODELS)
    external: tuple[str, ...] = option(
        (),
        "A codec you have, NAME:ENCODER:DECODER[:CONFIG] with the paths of its programs; NAME is "
        f"one of {', '.join(EXTERNAL)}.",
        repeated=True,
    )
    points: tuple[str, ...] = option(
        (),
        "Files of points measured elsewhere: columns codec, image, bpp_file and any of the "
        "metrics.",
    )
    anchor: str = option(
        "jpeg",
        "The codec that BD-rates compare with: one of these, or one of which `out` has points.",
    )
    title: str = option("Rate and quality", "Heading of the report.")
    remake: bool = option(False, "Only make tables and plot again, from OUT/rows.csv.")
    keep_files: bool = option(False, "Write learned codecs' files and decoded images too.")

    @property
    def reads_images(self) -> bool:
        """See `Options.reads_images`."""
        return not self.remake

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(not (self.keep_files and self.beam), "`keep_files` goes without `beam`")


@option_class
class JpegRdOptions(BeamOptions, JobsOptions, MeasurementOptions):
    """Measures learned JPEG encoders beside standard JPEG, from real files.

    lossylab eval jpeg_rd --study=study --data=kodak --lpips=alex.npz --out=results/jpeg_encoder
    lossylab eval jpeg_rd --models=mine:runs/mine_*/export --data=kodak --out=results/x

    Every file is written, decoded by Pillow and measured: rate, MSE, MS-SSIM and LPIPS of RGB as
    the paper defines them (Sec. 6.3), VMAF, the size with optimized Huffman codes, and how far
    ffmpeg's decoder differs. Killed and given again, the command computes nothing twice. `lossylab
    eval jpeg_encoder` makes the figures, tables and claims.
    """

    skip_small: bool = skip_small("161x161 pixels, which MS-SSIM needs")
    models: tuple[str, ...] = option((), _MODELS)
    study: str | None = option(None, "Folder of a study: all runs in it are measured, by variant.")
    compare_with: tuple[str, ...] = option(
        OTHER_JPEGS,
        "Other encoders and formats to compare with, most of which need the extra "
        "`encoders`; those that are not installed are left out, which is said.",
        choices=COMPETITORS,
    )
    lpips: str | None = option(
        None, "Weights of LPIPS: a file, or random. LPIPS is left out if not given."
    )
    lpips_network: str = option(
        "alex", "The network whose features LPIPS compares.", choices=LPIPS_NETWORKS
    )
