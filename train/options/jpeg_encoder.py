"""Options of `lossylab train jpeg_encoder`."""

from __future__ import annotations

from lossylab.core.downloads import OfflineOptions
from lossylab.core.options import option, option_class, require
from lossylab.models.names import ATTENTION_RANGES, BACKBONES, LPIPS_NETWORKS, VGGS
from lossylab.train.options.loop import (
    batch,
    changed,
    export_precision,
    patch,
    positive,
    steps,
)
from lossylab.train.options.rates import RateOptions

ATTENTIONS = ("none", "conv", "lstm", "bilstm")
LPIPS_SMALLEST, MS_SSIM_SMALLEST = 32, 161  # pixels


@option_class
class JpegEncoderOptions(OfflineOptions, RateOptions):
    """Trains a JPEG encoder: attention over DCT coefficients and quantization tables.

      lossylab train jpeg_encoder --train_data=FOLDER --lmbda=0.01 --lpips=alex.npz \\
          --nooffline --run_dir=runs/vgg_0.01

    Network and tables learn together by Eq. 7-9. Validation writes real files and measures what
    Pillow decodes of them. Killed or stopped, the same command resumes the run; the encoder is
    written to run_dir/export, for `lossylab jpeg`.

    R. Liu, Y. Liu, S. Mantravadi: "Deep Neural Network Based Image Compression Encoders".
    """

    steps: int = steps(20_000, source="Sec. 6.2")
    batch: int = batch(8, assumed="not printed; the baseline's code has 8")
    patch: int = patch(224, source="Sec. 6.1")
    attention: str = option(
        "conv",
        "Network that weighs the DCT coefficients; none learns tables alone.",
        choices=ATTENTIONS,
        source="Sec. 3.2",
    )
    backbone: str = option(
        "vgg19", "Network whose features the attention sees.", choices=BACKBONES, source="Sec. 3.2"
    )
    weights: str = option(
        "imagenet",
        "The backbone's initial values: imagenet, random (by `seed`), or a Keras file without top; "
        "of VGGs also an .npz archive.",
        source="Sec. 3.2",
    )
    preprocess: bool = option(
        False,
        "Feed Keras's preprocessing to the backbone instead of RGB in 0..1, as the baseline's "
        "code.",
    )
    train_backbone: bool = option(
        True,
        "Let the backbone learn, too, as the baseline's code; else only what looks at its features "
        "learns, in a third of the time.",
    )
    lstm_input: str = option(
        "features",
        "Input of LSTMs: 64 features a block, or the block's DCT.",
        choices=("features", "dct"),
        assumed="the paper says both",
    )
    lstm_output: str = option(
        "sigmoid",
        "Function that makes attention of an LSTM's outputs: their sigmoid, which stays within "
        ".27 to .73; tanh, the outputs themselves; minmax, stretched to 0..1 in each image; or "
        "sigmoid_logits, the sigmoid of a 1x1 convolution of them, which reaches 0..1.",
        choices=ATTENTION_RANGES,
        assumed="Eq. 1 needs 0..1; the paper tried minmax too",
    )
    lmbda: float = option(
        0.01,
        "Weight of the distortion (Eq. 7).",
        above=0.0,
        assumed="not printed; the baseline's code takes .001, .0025, .005, .01, .05 and .1",
    )
    lpips_weight: float = positive(500.0, "The gamma of Eq. 8.", source="Sec. 6.2")
    ms_ssim_weight: float = positive(
        1000.0, "The sigma of Eq. 8; 0 is the baseline.", source="Sec. 6.2"
    )
    rate: str = option(
        "tables",
        "Rate that MSE is weighed against: that of tables and attention, or of coefficients, the "
        "bits a pixel that these take by an estimate.",
        choices=("tables", "coefficients"),
        source="Eq. 9",
    )
    table_weight: float = positive(10.0, "The alpha of Eq. 9.", source="Sec. 6.2")
    attention_weight: float = positive(1.0, "The beta of Eq. 9.", source="Sec. 6.2")
    lpips: str | None = option(
        None, "LPIPS's weights: a file of `lossylab import lpips`, or random."
    )
    perceptual: str = option(
        "lpips",
        "The perceptual distance of Eq. 8: LPIPS or, where none of its weights are at hand, the "
        "distance of a VGG's features with equal weights, whose numbers are not LPIPS's.",
        choices=("lpips", *VGGS),
        source="Eq. 8",
    )
    perceptual_weights: str = option(
        "",
        "Weights of that VGG: imagenet, random, or a file without top, Keras's (.h5) or a NumPy "
        "archive (.npz).",
    )
    perceptual_blocks: int = option(
        5,
        "Blocks of that VGG whose last convolutions are compared; LPIPS compares all five.",
        minimum=1,
        maximum=5,
    )
    lpips_network: str = option(
        "alex", "Network whose features LPIPS compares.", choices=LPIPS_NETWORKS
    )
    learning_rate: float = positive(
        1e-6, "Learning rate of Adam, for everything.", source="Sec. 6.2"
    )
    table_scale: float = option(
        1e-5,
        "The s of Sec. 6.2: a step of Adam moves a table by learning_rate / table_scale.",
        above=0.0,
        source="Sec. 6.2",
    )
    attention_gain: float = positive(
        1.0,
        "Variance of the initial kernel, times its inputs, of the 1x1 convolution before the "
        "sigmoid.",
        assumed="not printed",
    )
    attention_offset: float = option(
        0.0,
        "Initial bias of that convolution: attention begins near its sigmoid.",
        assumed="not printed",
    )
    feature_scale: float = option(
        1.0,
        "Number that the backbone's features are divided by. Those of a trained VGG-16 with "
        "`preprocess` are of some 18 (root mean square) and up to hundreds, by which attention "
        "begins partly shut and LSTMs cannot learn; a random VGG-19's of RGB in 0..1 are of .6.",
        above=0.0,
        assumed="the paper's are not divided",
    )
    initial_entry: float = positive(
        0.0,
        "Initial entry of all tables; 0 is the paper's, uniform in 1..2.",
        maximum=255.0,
    )
    tables_from: str | None = option(
        None, "Run, export or name of a model whose tables to begin with."
    )
    init_from: str | None = option(None, "Run or export whose encoder to begin with.")
    export_precision: str = export_precision("convolutions of the export compute")

    @property
    def terms(self) -> dict[str, float]:
        """Weights of the distortions beside MSE that are not left out, by their metrics' names."""
        name = "lpips" if self.perceptual == "lpips" else "feature_distance"
        weights = {name: self.lpips_weight, "ms_ssim": self.ms_ssim_weight}
        return {name: weight for name, weight in weights.items() if weight}

    def check(self) -> None:
        """Refuses options that contradict each other."""
        super().check()
        require(
            not 0 < self.initial_entry < 1,
            f"`initial_entry`={self.initial_entry}: table entries are at least 1",
        )
        require(
            not self.lpips_weight or self.perceptual != "lpips" or self.lpips,
            "`lpips` is needed, the file of LPIPS's weights (see `lossylab import --help`): or "
            "`lpips`=random for tests, or another `perceptual`, or `lpips_weight`=0",
        )
        require(
            (self.perceptual != "lpips") == bool(self.perceptual_weights),
            f"`perceptual_weights` goes with `perceptual`=vgg16 or vgg19, got "
            f"{self.perceptual_weights or 'none'} with {self.perceptual}",
        )
        require(
            not self.lpips_weight or self.patch >= LPIPS_SMALLEST,
            f"`lpips_weight` needs `patch` of at least {LPIPS_SMALLEST} pixels, got {self.patch}",
        )
        require(
            not self.ms_ssim_weight or self.patch >= MS_SSIM_SMALLEST,
            f"MS-SSIM needs `patch` of at least {MS_SSIM_SMALLEST} pixels, got {self.patch}: or "
            "`ms_ssim_weight`=0",
        )
        idle = changed(self, ("table_weight", "attention_weight"))
        require(
            self.rate == "tables" or not idle,
            f"`{'` and `'.join(idle)}` make no sense with `rate`={self.rate}, which counts bits",
        )
        begins = [n for n in ("initial_entry", "tables_from", "init_from") if getattr(self, n)]
        require(len(begins) < 2, f"`{'` and `'.join(begins)}` contradict each other")
        self._check_attention()

    def _check_attention(self) -> None:
        """Refuses options of other attention networks."""
        lstm, logits = self.attention in ("lstm", "bilstm"), self.lstm_output == "sigmoid_logits"
        fitting = {
            ("lstm_input", "lstm_output"): lstm,
            ("attention_gain", "attention_offset"): self.attention == "conv" or (lstm and logits),
            ("train_backbone", "feature_scale"): self.attention == "conv"
            or (lstm and self.lstm_input != "dct"),
        }
        for names, fits in fitting.items():
            for name in changed(self, names):
                require(fits, f"`{name}` makes no sense for `attention`={self.attention}")
