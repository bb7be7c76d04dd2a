"""Options of trainings that may choose their optimizer, its rate's course and a mean of weights."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.train.options.loop import TrainingOptions, positive

OPTIMIZERS = ("adam", "muon")


@option_class
class RateOptions(TrainingOptions):
    """Trains by Adam or Muon, by a rate that may warm up and decay; exports may be a mean."""

    optimizer: str = option(
        "adam",
        "Optimizer of the network. muon moves all directions of a convolution's kernel equally far "
        "and leaves all else to Adam; it wants a `warmup` and a `final_learning_rate`, and reaches "
        "in some hundred steps what takes Adam thousands.",
        choices=OPTIMIZERS,
        assumed="the papers have adam",
    )
    learning_rate: float = positive(1e-4, "Learning rate of the network.")
    warmup: int = option(
        0,
        "Steps in which the network's learning rate rises from 0 on a line; networks that begin as "
        "the identity do not survive high first rates.",
        minimum=0,
        assumed="the paper has none",
    )
    final_learning_rate: float | None = option(
        None,
        "Learning rate of the network after the last step, reached on a half cosine instead of in "
        "the paper's drops.",
        minimum=0.0,
        assumed="the paper has none",
    )
    average: float = positive(
        0.0,
        "Weight of the past in the mean of the network's weights that is validated and exported, "
        "such as 0.999; 0 exports the last weights.",
        below=1.0,
        assumed="the paper has none",
    )

    def check(self) -> None:
        """Refuses a decay from nothing."""
        super().check()
        require(
            self.final_learning_rate is None or self.learning_rate,
            "`final_learning_rate` needs a `learning_rate` above 0",
        )
