"""Options of the commands that make a paper's tables, figures and claims, `lossylab eval STEM`."""

from __future__ import annotations

import pathlib
from typing import ClassVar

from lossylab.core.options import Options, option, option_class, require

_RESULTS = "Folder of measured rows."


@option_class
class PaperOptions(Options):
    """Makes a paper's tables, figures and claims from measured rows."""

    stem: ClassVar[str] = "STEM"
    rows_from: ClassVar[str] = "lossylab eval"  # the command that measures rows.csv

    results: str = option("results", _RESULTS)
    out: str = option("", "Folder to write to. The results folder itself if not given.")
    claims: str = option(
        "",
        "Ledger of several papers to write this one's section of, beside OUT/claims.md. Sections "
        "of other papers stay.",
    )
    check_only: bool = option(
        False,
        "Write nothing, and fail if tables, claims or figures are not as the rows say. Figures "
        "are compared if the same version of matplotlib drew them.",
    )

    def sources(self) -> pathlib.Path:
        """The results folder; raises UsageError if there is none."""
        folder = pathlib.Path(self.results)
        where = "" if folder.is_absolute() else f" in {pathlib.Path.cwd()}"
        require(
            folder.is_dir(),
            f"`results`={folder}: no such folder{where}; give a folder of rows, "
            f"which `{self.rows_from} --out=FOLDER` measures",
        )
        return folder

    def target(self) -> pathlib.Path:
        """The folder to write to."""
        return pathlib.Path(self.out or self.results)

    def ledger(self) -> pathlib.Path | None:
        """The ledger of several papers, if one is named."""
        return pathlib.Path(self.claims) if self.claims else None

    def remedy(self) -> str:
        """The command that makes the files anew."""
        words = [f"--{name}={value}" for name in ("results", "out", "claims")
                 if (value := getattr(self, name))]  # fmt: skip
        return f"lossylab eval {self.stem} {' '.join(words)}"


@option_class
class ProxiqaPaperOptions(PaperOptions):
    """Makes ProxIQA's Tables I to V and Figures 6 to 12 from measured rows, and decides its claims.

    lossylab eval proxiqa --results=results/mine

    The results folder holds rows.csv and about.json (`lossylab eval rd`, `lossylab train
    proxiqa_study --results`), and for more than the BD-rates: timing/rows.csv (the same with
    --jobs=1) for Table V and Fig. 12, training/frozen.csv and alternating.csv (metrics.csv of two
    runs) for Fig. 7, and for the claim that compares them training/about.json (their options by
    the names of the files, as in options.json, and "scores": "all pairs" where altered
    pairs were scored too), crops/fig06_adversarial, fig08_crops and
    fig10_ssim_crops (`lossylab eval crops`). What is missing is said and left out. Nothing is
    trained or measured: tables.md, tables/ (CSV, LaTeX), figures/ and claims.md are written.
    """

    stem: ClassVar[str] = "proxiqa"
    rows_from: ClassVar[str] = "lossylab eval rd"

    results: str = option("results/proxiqa", _RESULTS)


@option_class
class WcdganPaperOptions(PaperOptions):
    """Makes WCDGAN's Tables 1 to 6 and figures from measured rows, and decides its claims.

    lossylab eval wcdgan --results=results/mine

    The results folder holds rows.csv and sets.csv (`lossylab eval restoration`), timing.jsonl
    (`lossylab benchmark --sections=restoration --json`) for Table 3, and folders of crops
    (`lossylab eval restoration --crops_dir`). What is missing is said and left out. Nothing is
    trained or measured: tables.md, tables/ (CSV, LaTeX), figures/ and claims.md are written.
    """

    stem: ClassVar[str] = "wcdgan"
    rows_from: ClassVar[str] = "lossylab eval restoration"

    results: str = option("results/wcdgan", _RESULTS)


@option_class
class JpegEncoderPaperOptions(PaperOptions):
    """Makes the JPEG encoder's Figures 5 to 15, tables and claims from measured rows.

    lossylab eval jpeg_encoder --results=results/mine

    The results folder holds rows.csv and about.json (`lossylab eval jpeg_rd`), timing.jsonl
    (`lossylab benchmark --sections=jpeg,jpeg_training --json`) for Fig. 11 and 12,
    training/with_attention.csv and without_attention.csv (validation.csv of two runs) for Fig. 13
    and 14, and crops (`lossylab eval crops`) for Fig. 6 and 9. What is missing is said and left
    out. Nothing is trained or measured: tables.md, tables/ (CSV, LaTeX), figures/ and claims.md
    are written.
    """

    stem: ClassVar[str] = "jpeg_encoder"
    rows_from: ClassVar[str] = "lossylab eval jpeg_rd"

    results: str = option("results/jpeg_encoder", _RESULTS)


@option_class
class DistortionGanPaperOptions(PaperOptions):
    """Makes the distortion GAN's Table I, comparison grids, studies and claims from measured rows.

    lossylab eval distortion_gan --results=results/mine

    The results folder holds rows.csv (`lossylab eval distortions`), severity.csv (the same with
    --search) and folders of crops in grids/ (the same with --crops_dir) for Fig. 2, 3 and 4. What
    is missing is said and left out. Nothing is trained or measured: tables.md, tables/ (CSV,
    LaTeX), figures/ and claims.md are written.
    """

    stem: ClassVar[str] = "distortion_gan"
    rows_from: ClassVar[str] = "lossylab eval distortions"

    results: str = option("results/distortion_gan", _RESULTS)


@option_class
class MmdRestorationPaperOptions(PaperOptions):
    """Makes latent restoration's Tables 1 to 3, figures and claims from measured rows.

    lossylab eval mmd_restoration --results=results/mine

    The results folder holds rows.csv (`lossylab eval latent_study`), nll.csv (`lossylab eval
    degradation_nll`), rank_accuracy.csv (`lossylab eval rank_accuracy`), sampling/wavefront.csv
    and naive.csv (what `lossylab sample` printed), curve.csv (validation.csv of a training),
    votes/ (answers of a user study) and crops/ (`lossylab eval latent_study --crops_dir`). What is
    missing is said and left out. Nothing is trained or measured: tables.md, tables/ (CSV, LaTeX),
    figures/ and claims.md are written.
    """

    stem: ClassVar[str] = "mmd_restoration"
    rows_from: ClassVar[str] = "lossylab eval latent_study"

    results: str = option("results/mmd_restoration", _RESULTS)
