"""Options of `lossylab eval rankiqa`."""

from __future__ import annotations

from lossylab.core.options import argument, option, option_class
from lossylab.core.trust import EXPORT, TrustOptions
from lossylab.eval.options.base import skip_small

CROPS = 100  # Sec. 4.4.3
SCORINGS = ("crops", "resize", "both")


@option_class
class RankiqaOptions(TrustOptions):
    """Scores images without a reference by a trained RankIQA network: larger is worse.

    lossylab eval rankiqa restored --model=runs/finetuned/export --out=scores.csv

    As in "Perceptual Image Restoration with High-Quality Priori and Degradation Learning", Sec.
    4.4.3, 100 random crops of each image are scored, or of the image resized to 256x256 first;
    their mean and median per image, averaged over images, are the four score columns of its
    Table 2.
    """

    input: str = argument("Image file, folder, glob or named collection.")
    model: str = option(help=f"Exported network: {EXPORT}.")
    scoring: str = option(
        "both",
        "What is scored. crops: crops of the images; resize: crops of the images resized to "
        "256x256; both: both, as the paper.",
        choices=SCORINGS,
    )
    num_crops: int = option(CROPS, "Number of crops of each image.", minimum=1, source="Sec. 4.4.3")
    skip_small: bool = skip_small("the network's patch, which `scoring`=resize does not need")
    seed: int = option(0, "Decides where the crops lie.", minimum=0, maximum=2**31 - 1)
    out: str | None = option(None, "File for the scores of each image.")
