"""Options of `lossylab eval distortions`."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.eval.options.base import CropOptions, MeasurementOptions, named, skip_small
from lossylab.eval.options.beam import BeamOptions

UNTOUCHED = "untouched"
REAL = "real "  # before the name of a real distortion among what is generated


@option_class
class DistortionsOptions(BeamOptions, CropOptions, MeasurementOptions):
    """Measures how like real distortions generated ones are, by natural scene statistics: rows.

    lossylab eval distortions --models=jpeg:study/runs/jpeg/export,white:study/runs/white/export \\
        --data=kodak --budget="small budget: ..." --out=results/distortion_gan
    lossylab eval distortions --search --data=kodak --out=results/distortion_gan

    Each model's images, the four real distortions and the reference images are compared with the
    four real distortions: a row an image has the Jensen-Shannon divergence of the histograms of
    products of adjacent MSCN coefficients (Sec. III-B). Killed and given again, the command
    computes nothing twice. `lossylab eval distortion_gan` makes tables, figures and claims.
    """

    skip_small: bool = skip_small("2x2 pixels (with `crops_dir` `crop_size`)")
    out: str = option("", "Folder of rows.csv, or of severity.csv with --search.")
    models: tuple[str, ...] = option((), "Exports of generators, NAME:EXPORT each.")
    budget: str = option("", "Budget of the models, for their rows.")
    severities: tuple[str, ...] = option(
        (),
        "Severities of the real distortions, NAME=VALUE each such as jpeg=20, for models that were "
        "trained for these; by default the distortions' own. A folder's rows are of one choice.",
    )
    search: bool = option(
        False,
        "Only search for severities: how far the real distortions differ is measured for a grid "
        "of them, and severity.csv has the nearest to the paper's Table I first.",
    )
    crops_dir: str = option(
        "",
        "Folder to write crops of the models' images and histograms to, of which figures are "
        "made; nothing else is measured then.",
    )

    def check(self) -> None:
        """See `Options.check`."""
        self.check_center()
        require(bool(self.crops_dir) or bool(self.out), "`out` is needed: the folder of the rows")
        require(bool(self.budget or not self.models), "`budget` is needed: the models' budget")
        require(bool(self.models or not self.crops_dir), "`crops_dir` needs `models`")
        require(
            not (self.search and self.severities),
            "`severities` goes without `search`, which tries many",
        )
        require(
            self.beam is None or not (self.shard or self.search or self.crops_dir),
            "`beam` goes without `shard`, `search` and `crops_dir`",
        )
        taken = [
            name
            for name, _ in named("models", self.models)
            if name == UNTOUCHED or name.startswith(REAL)
        ]
        require(not taken, f"`models`: '{', '.join(taken)}' is the name of something else")
