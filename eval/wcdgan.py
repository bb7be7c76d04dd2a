"""WCDGAN's Tables 1 to 6 and figures from measured rows, and its claims decided.

  python -m lossylab.eval.wcdgan [--results=results/wcdgan] [--claims=results/claims.md]

The results folder has rows.csv (`lossylab eval restoration`), timing.jsonl
(`lossylab benchmark --sections=restoration --json`) for Table 3, and folders of crops (`lossylab
eval restoration --crops`). What is missing is said. Nothing is trained or measured here: tables.md,
tables/ (CSV, LaTeX), figures/ and claims.md are made anew.
"""

from __future__ import annotations

import pathlib
import sys

from absl import flags

from lossylab.data.files import write_text
from lossylab.eval import claims, tables, wcdgan_figures, wcdgan_tables
from lossylab.eval.app import launch, new_flags, parse, require
from lossylab.eval.wcdgan_claims import CLAIMS
from lossylab.eval.wcdgan_tables import Evidence

_RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"

FLAGS = new_flags()
flags.DEFINE_string(
    "results", str(_RESULTS / "wcdgan"), "Folder of measured rows.", flag_values=FLAGS
)
flags.DEFINE_string(
    "claims", None, "Ledger to write; beside the results folder if not given.", flag_values=FLAGS
)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    place = pathlib.Path(FLAGS.results)
    evidence = wcdgan_tables.load(str(place))
    for name, text in texts(evidence).items():
        write_text(place / name, text)
    drawn = wcdgan_figures.draw(evidence, str(place))
    ledger = pathlib.Path(FLAGS.claims) if FLAGS.claims else place.parent / "claims.md"
    write_text(ledger, claims_text(evidence, ledger.read_text() if ledger.exists() else ""))
    sys.stdout.write(
        f"tables   {place / 'tables.md'}, {place / 'tables'}\n"
        f"figures  {place / 'figures'}: {', '.join(drawn)}\n"
        f"claims   {ledger}\n"
    )


def claims_text(evidence: Evidence, page: str = "") -> str:
    """Contents of claims.md, with other papers' sections of `page` kept."""
    section = claims.ledger("WCDGAN", evidence.title, CLAIMS, evidence)
    return claims.merged(page, section)


def texts(evidence: Evidence) -> dict[str, str]:
    """Contents of the text files, by path in the results folder."""
    made = _made(evidence)
    budget = evidence.title
    files, parts = {}, ["# WCDGAN: paper and ours", "", f"Ours: {budget}", ""]
    for name, (heading, note, lines) in made.items():
        if not lines:
            continue
        files[f"tables/{name}.csv"] = tables.csv_table(lines)
        files[f"tables/{name}.tex"] = tables.latex_table(lines, f"{heading}. {budget}")
        parts += [
            f"## {heading}",
            "",
            f"*{budget}*",
            "",
            note,
            "",
            tables.markdown_table(lines),
            "",
        ]
    files["tables.md"] = "\n".join(parts).rstrip() + "\n"
    return files


def _made(evidence: Evidence) -> dict[str, tuple[str, str, list[dict[str, str]]]]:
    """Heading, note and lines of every table."""
    sources = (
        "JPEG, ARCNN and DnCNN are measured with official encoder and weights where these exist "
        "(arcnn_official: q = 10, 20; dncnn3_official: all, one blind network); the others are "
        "of the small budget and only at q = 10. The paper mixes two windows of SSIM: ours has "
        "both."
    )
    return {
        "table1": (
            "Table 1: luma, Classic5 and LIVE1",
            sources,
            wcdgan_tables.comparison_table(evidence, "1", "y"),
        ),
        "elsewhere": (
            "Methods that need no training here, against their own papers",
            "A difference of 0.01 dB and 1e-3 of SSIM counts as reproduced.",
            wcdgan_tables.elsewhere(evidence),
        ),
        "all": (
            "Everything measured",
            "Means over the pictures of each set.",
            wcdgan_tables.small_budget(evidence),
        ),
        "table2": (
            "Table 2: RGB, LIVE1 and DIV2K validation",
            "Only JPEG and SA-DCT were measured in RGB (4:2:0).",
            wcdgan_tables.comparison_table(evidence, "2", "rgb"),
        ),
        "table3": (
            "Table 3: model size and run time",
            "Networks as published, in RGB, one picture of 768x512; the paper's GPU and ours of "
            "timing.jsonl differ, so only ratios can be compared. MWCNN's journal network has "
            "24.93 M weights, not 25.1 M.",
            wcdgan_tables.complexity(evidence),
        ),
        "table4": (
            "Table 4: without mixed convolution, without mixed attention",
            "Ours: luma, q = 10, all three without perceptual and adversarial loss, whose noise is "
            "larger than these effects; one training each.",
            wcdgan_tables.ablation(evidence, "4"),
        ),
        "table5": (
            "Table 5: without perceptual loss and GAN",
            "The paper's values are of RGB, ours of luma at q = 10, with features of a VGG-19 of "
            "random weights.",
            wcdgan_tables.ablation(evidence, "5"),
        ),
        "table6": (
            "Table 6: Inception Score and FID",
            "Not measured: there are no ImageNet weights at hand, and the sets are too small.",
            wcdgan_tables.realism(),
        ),
    }


if __name__ == "__main__":
    launch(main)
