"""Options of `lossylab train proxiqa`."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.models.names import CODECS
from lossylab.train.options.loop import (
    batch,
    export_precision,
    patch,
    positive,
    require_multiple,
    steps,
)
from lossylab.train.options.rates import OPTIMIZERS, RateOptions

MODES = ("proxy", "frozen_proxy", "pretrain_proxy", "direct")
STRIDE = 16  # pixels of the image per latent sample
# Smallest patches by metric: MS-SSIM's last scale holds 7 pixels, libvmaf's windows 32.
METRICS = {"mse": 1, "ssim": 32, "ms_ssim": 97, "vmaf": 32, "vif": 32}
DIFFERENTIABLE = ("ssim", "ms_ssim")
PROXY_LOSSES = ("score", "abs")
SSIM_CHANNELS = ("rgb", "luma")


def proxy_loss() -> str:
    """The form of Eq. 9."""
    return option(
        "score",
        "What the codec minimizes of the proxy's scores. score: 100 - score, as Eq. 9 prints it, "
        "which goes on falling above 100; abs: |100 - mean score|, as the authors' code.",
        choices=PROXY_LOSSES,
        source="Eq. 9",
    )


def ssim_channels() -> str:
    """What the direct losses see."""
    return option(
        "rgb",
        "Channels of SSIM and MS-SSIM with `optimize`=direct. rgb: the mean over the three; luma: "
        "luma alone, which leaves chroma to the pixel loss, and with `alpha`=1 to nothing.",
        choices=SSIM_CHANNELS,
        assumed="as the authors' code, in a comment; the paper does not say",
    )


@option_class
class ProxiqaOptions(RateOptions):
    """Trains a learned codec for a perceptual metric through a proxy network (ProxIQA).

      lossylab train proxiqa --train_data=FOLDER --metric=vmaf --run_dir=runs/vmaf

    The codec is updated through the proxy (Eq. 10), the proxy toward the true metric (Eq. 11),
    in every step. --metric=mse trains the paper's baseline (Eq. 8). Killed or stopped, the same
    command resumes the run; the trained codec is written to run_dir/export.

    L.-H. Chen, C. G. Bampis, Z. Li, A. Norkin, A. C. Bovik: "ProxIQA: A Proxy Approach to
    Perceptual Optimization of Learned Image Compression", IEEE Trans. Image Processing 2021.
    """

    steps: int = steps(2_100_000, source="Sec. III-D")
    batch: int = batch(8, source="Sec. III-D")
    patch: int = patch(128, source="Sec. III-D")
    min_scale: float = option(
        0.5,
        "Images are scaled down by a random factor between this and 1; 1 is off.",
        above=0.0,
        maximum=1.0,
        assumed="the paper says 'random factors'",
    )
    noise: float = positive(
        1.0,
        "Width in pixel values of the uniform noise added before scaling; 0 is off.",
        maximum=255.0,
        assumed="the paper says 'small amounts'; one level hides 8-bit quantization",
    )
    metric: str = option(
        "vmaf", "Metric to optimize for.", choices=tuple(METRICS), source="Sec. III"
    )
    optimize: str = option(
        "proxy",
        "How to optimize. proxy: alternate codec and proxy; frozen_proxy: keep the proxy of "
        "`proxy_from` (Sec. III-C); pretrain_proxy: train only the proxy, on synthetic distortions "
        "or, with `init_from`, on what that run's codec makes; direct: use ssim or ms_ssim itself "
        "as the loss (Eq. 13, with `alpha`=1 Eq. 14).",
        choices=MODES,
        source="Sec. III",
    )
    codec: str = option("bls2017", "Codec to train.", choices=CODECS, source="Sec. IV-A")
    filters: int = option(
        192, "Filters of every layer.", minimum=1, maximum=1024, source="Sec. IV-A"
    )
    latent_filters: int = option(
        0,
        "Filters of the layer that makes the latent, if not `filters`: a codec has no more than "
        "these for 16x16 pixels, and needs them at high rates.",
        minimum=0,
        maximum=1024,
        source="Sec. IV-A: as all",
    )
    lmbda: float = positive(
        0.01,
        "Lambda of Eq. 8 and 10, per squared pixel value.",
        assumed="the paper gives no grid; 0.01 is tfc 1.0's default, 0.0005 to 0.22 spans about "
        "0.05 to 2 bpp",
    )
    alpha: float = positive(
        0.5,
        "Weight of the perceptual loss in Eq. 10, that of the pixel loss is the rest.",
        maximum=1.0,
        assumed="not printed; the authors' code weighs both alike, which is alpha = .5 at twice "
        "its lambda",
    )
    proxy_loss: str = proxy_loss()
    ssim_channels: str = ssim_channels()
    ssim_scale: int = option(
        1,
        "Side of the squares of pixels whose means SSIM is of while training. libvmaf takes "
        "max(1, round(shorter side / 256)): 1 of patches of 128 pixels, but 2 of Kodak's images, "
        "so that a proxy learns a finer SSIM than results are measured by unless this is 2.",
        minimum=1,
        maximum=8,
        assumed="as libvmaf of the patches",
    )
    pixel_norm: str = option("l2", "The d of Eq. 7.", choices=("l2", "l1"), source="Eq. 7")
    learning_rate: float = positive(1e-4, "Learning rate of the codec.", source="Sec. III-D")
    proxy_learning_rate: float = positive(
        1e-4, "Learning rate of the proxy; the authors' code has 1e-3.", source="Sec. III-D"
    )
    drop_step: int = option(
        2_000_000,
        "Step from which both rates are a tenth; with `final_learning_rate` the proxy's alone.",
        minimum=1,
        source="Sec. III-D",
    )
    identical_pairs: bool = option(
        True,
        "Show the proxy, with probability 1/2, one pair of equal patches a step.",
        assumed="as the authors' code",
    )
    proxy_bias: float = positive(
        0.0,
        "Score that the proxy begins with. From 0, Adam's small steps make the offset of what the "
        "patches show, and brightness decides the score for tens of thousands of steps: the "
        "metric's mean on what the codec makes, such as 85, spares that.",
        maximum=100.0,
        assumed="not printed; the default of the authors' library",
    )
    proxy_optimizer: str = option(
        "adam",
        "Optimizer of the proxy. By adam, what both patches show decides its score for thousands "
        "of steps; muon finds their differences within hundreds, at a `proxy_learning_rate` of "
        "1e-3, with `proxy_bias` and `proxy_differences`.",
        choices=OPTIMIZERS,
        assumed="the paper has adam",
    )
    proxy_differences: bool = option(
        False,
        "Begin with first kernels of opposite sign for the two images and a dense layer of zeros.",
        assumed="not printed; the default of the authors' library",
    )
    scale_errors: float = positive(
        0.0,
        "Largest a of pairs x, x^ + a (x^ - x) that the proxy learns from beside x, x^, with a in "
        "-`scale_errors`..`scale_errors` varying over the patch; 0 is none. They show where the "
        "metric minds errors.",
        maximum=4.0,
        assumed="the paper has none",
    )
    sharpen: float = positive(
        0.0,
        "Largest a of pairs x, x^ + a (x^ - its 5x5 mean) that the proxy learns from beside x, x^, "
        "with a in -`sharpen`..`sharpen` varying over the patch; 0 is none. A proxy that knows "
        "only what codecs make does not know which way its metric rises.",
        maximum=8.0,
        assumed="the paper has none",
    )
    adversarial: float = positive(
        0.0,
        "Largest a of pairs x, x^ + a g that the proxy learns from beside x, x^, where g is the "
        "direction in which its own score rises fastest, of one level (root mean square), and a "
        "is in -`adversarial`..`adversarial`; 0 is none. A proxy whose score rises where its "
        "metric does not misleads the codec: such pairs show it where.",
        maximum=16.0,
        assumed="the paper has none",
    )
    altered_share: float = positive(
        0.5,
        "Fraction of the pairs with `scale_errors`, with `sharpen` and with `adversarial`, each "
        "drawn by itself: a pair may be scaled, then sharpened, then moved along the gradient.",
        maximum=1.0,
    )
    versions: int = option(
        1,
        "Newest checkpoints of `init_from` that pretrain_proxy takes in turn.",
        minimum=1,
        assumed="the paper's proxy sees the codec's whole training",
    )
    validate_images: bool = option(
        True, "Also code the images of `validation_data` whole, and measure them by all metrics."
    )
    proxy_patches: int = option(
        256, "Patches of the images of `validation_data` that proxies are judged by.", minimum=2
    )
    oracle: str = option(
        "overlapped",
        "When pairs are scored. overlapped: the proxy learns from the previous step's pairs, "
        "scored meanwhile; sequential: from this step's, which waits for the metric. ms_ssim is "
        "computed in the graph either way; its windows have 7 pixels, because libvmaf's need "
        "images of 176.",
        choices=("overlapped", "sequential"),
    )
    init_from: str | None = option(
        None, "Run or export whose codec, and proxy if it has one, to begin with."
    )
    export_precision: str = export_precision(
        "the export's encoder computes (its decoder always in float32)"
    )
    proxy_from: str | None = option(None, "Run whose proxy to begin with.")

    def check(self) -> None:
        """Refuses options that contradict each other."""
        super().check()
        metric, mode = self.metric, self.optimize
        require(
            metric != "mse" or mode == "proxy",
            f"`optimize`={mode} needs a perceptual `metric`: mse is trained by itself (Eq. 8)",
        )
        require(
            mode != "direct" or metric in DIFFERENTIABLE,
            f"`optimize`=direct needs a differentiable `metric`, ssim or ms_ssim, not {metric}",
        )
        require(
            mode != "frozen_proxy" or self.proxy_from,
            "`optimize`=frozen_proxy needs `proxy_from`, a run with a trained proxy",
        )
        require(
            not self.proxy_from or self.uses_proxy,
            "`proxy_from` makes no sense here: no proxy is used",
        )
        require(
            self.versions == 1 or (mode == "pretrain_proxy" and self.init_from),
            "`versions` goes with `optimize`=pretrain_proxy and `init_from`",
        )
        require(
            not self.jit or not self.uses_proxy or metric == "ms_ssim",
            f"`jit`: a step that waits for ffmpeg's {metric} cannot be compiled",
        )
        require_multiple("patch", self.patch, STRIDE)
        require(
            self.ssim_scale == 1 or metric == "ssim", "`ssim_scale` goes with `metric`=ssim alone"
        )
        smallest = METRICS[metric] * self.ssim_scale
        require(
            self.patch >= smallest,
            f"`metric`={metric} needs `patch` of at least {smallest} pixels, got {self.patch}",
        )

    @property
    def uses_proxy(self) -> bool:
        """Whether a proxy stands for the metric."""
        return self.metric != "mse" and self.optimize != "direct"

    @property
    def trains_codec(self) -> bool:
        """Whether the codec learns."""
        return self.optimize != "pretrain_proxy"

    @property
    def trains_proxy(self) -> bool:
        """Whether a proxy learns."""
        return self.uses_proxy and self.optimize != "frozen_proxy"
