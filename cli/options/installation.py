"""Options of `lossylab doctor` and `lossylab benchmark`."""

from __future__ import annotations

from lossylab.core.options import Options, option, option_class, require, require_known

SECTIONS = (
    "step",
    "oracle",
    "coding",
    "pipeline",
    "restoration",
    "pairs",
    "large",
    "jpeg",
    "jpeg_training",
    "distortions",
    "latent",
    "sampling",
    "gpu",
    "mixed",
    "profiles",
    "peers",
)
_LONG = 4  # of them, at the end, run only if they are asked for


@option_class
class DoctorOptions(Options):
    """Checks this installation and says what to do about each finding.

    lossylab doctor

    The exit status is 0 if everything that training and measuring need works, else 1.
    """


@option_class
class BenchmarkOptions(Options):
    """Measures speed and memory.

    lossylab benchmark --sections=step,coding,restoration --filters=128,192

    On a machine with a GPU, once: lossylab benchmark --sections=gpu,coding

    Times are medians after warm-up, with the things compared taking turns, so that a busy machine
    disturbs both alike. Ratios of one run mean more than times.
    """

    sections: tuple[str, ...] = option(
        SECTIONS[:-_LONG],
        "What is measured. Beside these: gpu (all trainings in three precisions, with and without "
        "XLA), mixed (bfloat16 against float32), profiles (operations, and the share of the "
        "machine's arithmetic limit), peers (against another program).",
    )
    filters: tuple[int, ...] = option((128, 192), "Filters of the codecs.", minimum=1)
    rounds: int = option(30, "Number of times that each thing is timed.", minimum=3)
    works: tuple[str, ...] = option(
        (), "Only these trainings and networks in gpu, mixed, profiles and peers; empty is all."
    )
    peer: str | None = option(
        None, "For the section peers: the command of a program like docs/peers/twins.py."
    )
    json: bool = option(False, "Print lines of JSON instead of a table.")

    def check(self) -> None:
        """Refuses unknown sections."""
        super().check()
        require_known("sections", self.sections, SECTIONS)
        require(
            bool(self.peer) == ("peers" in self.sections),
            "`peer`, a command as of docs/peers/twins.py, goes with the section peers",
        )
