"""Options of `lossylab doctor` and `lossylab benchmark`."""

from __future__ import annotations

from lossylab.core.options import Options, option, option_class, require_known

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
)


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

    Times are medians after warm-up, with the things compared taking turns, so that a busy machine
    disturbs both alike. Ratios of one run mean more than times.
    """

    sections: tuple[str, ...] = option(SECTIONS, "What is measured.")
    filters: tuple[int, ...] = option((128, 192), "Filters of the codecs.", minimum=1)
    rounds: int = option(30, "Number of times that each thing is timed.", minimum=3)
    json: bool = option(False, "Print lines of JSON instead of a table.")

    def check(self) -> None:
        """Refuses unknown sections."""
        super().check()
        require_known("sections", self.sections, SECTIONS)
