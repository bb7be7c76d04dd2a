"""Options of `lossylab train wcdgan`."""

from __future__ import annotations

import dataclasses

from lossylab.core.downloads import OfflineOptions
from lossylab.core.options import option, option_class, require
from lossylab.models.names import VGGS
from lossylab.train.options.loop import (
    batch,
    export_precision,
    patch,
    positive,
    steps,
)
from lossylab.train.options.rates import RateOptions

MEMNET = ("shared_recursions", "multiple_outputs", "biases")  # what its authors' has
# The networks, and which options are arguments of their constructors.
NETWORKS = {
    "wcdgan": {"filters": "filters", "blocks": "blocks"},
    "arcnn": {},
    "tnrd": {"layers": "stages"},
    "dncnn": {"filters": "filters", "layers": "layers"},
    "memnet": {name: name for name in ("filters", "blocks", *MEMNET)},
    "mwcnn": {"filters": "filters"},
}
TERMS = ("perceptual", "adversarial", "tv")
_OURS = "wcdgan"
_SMALLEST_PERCEPTUAL = 32  # pixels, for the backbone's strides


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The losses of a run: what is given, and what holds for the model where nothing is."""

    content: str
    perceptual: float
    adversarial: float
    tv: float


def _weight(term: str, equation: int) -> float | None:
    return positive(
        None,
        f"Weight of the {term} loss (Eq. {equation}), see `loss_range`; by default 1 for "
        "wcdgan, 0 for the others.",
        assumed="the paper prints no weights",
    )


def _size(text: str) -> int:
    return option(0, f"{text}; 0 is as published.", minimum=0)


@option_class
class WcdganOptions(OfflineOptions, RateOptions):
    """Trains WCDGAN, or a network that it is compared to, to restore JPEG images.

      lossylab train wcdgan --train_data=FOLDER --quality=10 --run_dir=runs/wcdgan_q10

    The generator learns alone at first, then beside the discriminator (Eq. 18-23): in each step
    both change, by the same patches. The other networks (--model) learn by the mean squared error
    under the same protocol, as Sec. III-A has it. Killed or stopped, the same command resumes the
    run; the network is written to run_dir/export.

    B. Xie, H. Zhang, C. Jung: "WCDGAN: Weakly Connected Dense Generative Adversarial Network for
    Artifact Removal of Highly Compressed Images", IEEE Access 2021.
    """

    steps: int = steps(200_000, assumed="not printed; the rates are halved ten times by then")
    batch: int = batch(16, source="Sec. III-A")
    patch: int = patch(80, source="Sec. III-A")
    model: str = option("wcdgan", "Network to train.", choices=tuple(NETWORKS))
    channels: str = option(
        "rgb",
        "What is restored. rgb: color files, 4:2:0; y: studio-range luma, coded as a gray file.",
        choices=("rgb", "y"),
    )
    quality: int = option(
        10,
        "Quality of the JPEG files, for which one model each is trained (5, 10, 20); with "
        "`best_quality` the lowest.",
        minimum=1,
        maximum=100,
    )
    best_quality: int | None = option(
        None,
        "Highest quality of the JPEG files: with it, every image is coded at one between `quality` "
        "and it, drawn anew in each epoch, and one network restores files of all of these.",
        minimum=1,
        maximum=100,
        assumed="the paper trains one model for each quality",
    )
    stride: int = option(
        75, "Distance of the patches.", minimum=1, unit="pixels", source="Sec. III-A"
    )
    filters: int = _size("Filters of the layers")
    blocks: int = _size("Blocks of wcdgan and memnet")
    layers: int = _size("Layers of dncnn, stages of tnrd")
    mixed_conv: bool = option(True, "Mixed convolutions; without, standard ones.", source="Table 4")
    mixed_attention: bool = option(
        True, "Mixed attention; without, it is left out.", source="Table 4"
    )
    shared_recursions: bool = option(
        False,
        "Recursions of a memory block share their convolutions, as those of memnet's authors.",
        source="Table 3",
    )
    multiple_outputs: bool = option(
        False,
        "Every memory block has an output, which learns too, and their learned sum is the image, "
        "as memnet's authors have it.",
        source="Table 3",
    )
    biases: bool = option(
        False, "Convolutions of memnet have biases, as its authors'.", source="Table 3"
    )
    content: str | None = option(
        None,
        "Content loss; by default l1 for wcdgan, l2 for the others.",
        choices=("l1", "l2"),
        source="Eq. 18",
    )
    content_weight: float = positive(
        1.0, "Weight of the content loss.", assumed="the paper prints no weights"
    )
    loss_range: int = option(
        255,
        "Range in which the content and total variation losses see pixel values. Perceptual and "
        "adversarial losses have scales of their own, those of the backbone's weights and of the "
        "scores, and do not change: in 0..1 they weigh 255 times as much beside l1 as in 0..255, "
        "where the adversarial loss, about 1, is a small part of l1's 5 or so; in 0..1 it decides. "
        "With the content loss alone nothing changes, as Adam divides scales out.",
        choices=(255, 1),
        assumed="the paper does not say; its code is not published",
    )
    perceptual_weight: float | None = _weight("perceptual", 19)
    adversarial_weight: float | None = _weight("adversarial", 21)
    tv_weight: float | None = _weight("total variation", 22)
    backbone: str = option(
        "vgg19",
        "Network whose last convolution the perceptual loss compares: block5_conv4 of vgg19, "
        "block5_conv3 of vgg16.",
        choices=VGGS,
        source="Eq. 19",
    )
    weights: str = option(
        "imagenet",
        "The backbone's weights: imagenet, random, or a file without top, Keras's (.h5) or a NumPy "
        "archive (.npz) of block1_conv1/kernel, block1_conv1/bias, ....",
    )
    learning_rate: float = positive(2e-4, "Learning rate of the network.", source="Sec. III-A")
    discriminator_learning_rate: float = positive(
        1e-4, "Learning rate of the discriminator.", source="Sec. III-A"
    )
    beta_1: float = positive(0.5, "The beta_1 of Adam.", below=1.0, source="Sec. III-A")
    halve_every: int = option(
        20_000,
        "Steps after which both rates are halved; with `final_learning_rate` the discriminator's "
        "alone.",
        minimum=1,
        source="Sec. III-A",
    )
    generator_epochs: float = positive(
        4.0,
        "Epochs in which the generator learns alone, without the adversarial loss.",
        source="Sec. III-A",
    )
    init_from: str | None = option(None, "Run or export whose network to begin with.")
    export_precision: str = export_precision("convolutions of the export compute")

    @property
    def recipe(self) -> Recipe:
        """The losses."""
        ours = self.model == _OURS
        given = {term: getattr(self, f"{term}_weight") for term in TERMS}
        weights = {term: float(ours) if w is None else w for term, w in given.items()}
        return Recipe(content=self.content or ("l1" if ours else "l2"), **weights)

    @property
    def network_arguments(self) -> dict[str, int | bool]:
        """What the network's constructor is given beside channels."""
        names = NETWORKS[self.model]
        given = {argument: getattr(self, name) for name, argument in names.items()}
        given = {argument: value for argument, value in given.items() if value}
        if self.model == _OURS:
            given |= {"mixed_conv": self.mixed_conv, "mixed_attention": self.mixed_attention}
        return given

    def check(self) -> None:
        """Refuses options that contradict each other."""
        super().check()
        for name in ("filters", "blocks", "layers", *MEMNET):
            fits = not getattr(self, name) or name in NETWORKS[self.model]
            require(fits, f"`{name}` makes no sense for {self.model}")
        for name in ("mixed_conv", "mixed_attention"):
            fits = getattr(self, name) or self.model == _OURS
            require(fits, f"`{name}`=false makes no sense for {self.model}")
        perceptual = self.recipe.perceptual
        require(
            self.content_weight or perceptual,
            "nothing to restore by: give `content_weight` or `perceptual_weight`",
        )
        require(
            not perceptual or self.patch >= _SMALLEST_PERCEPTUAL,
            f"the perceptual loss needs `patch` of at least {_SMALLEST_PERCEPTUAL} pixels, "
            f"got {self.patch}",
        )
        best = self.best_quality
        require(
            best is None or self.quality <= best,
            f"`best_quality`={best} is below `quality`={self.quality}",
        )
        require(
            best is None or self.model != "tnrd",
            "`best_quality` makes no sense for tnrd, which knows one quantization table",
        )
        aligned = self.patch % 8 == 0 and self.stride % 8 == 0
        require(
            self.model != "tnrd" or aligned,
            f"`model`=tnrd needs patches on JPEG's blocks: `patch`={self.patch} and "
            f"`stride`={self.stride} must be multiples of 8",
        )
