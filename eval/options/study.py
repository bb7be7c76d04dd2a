"""Options of `lossylab eval study_page` and `lossylab eval study_tally`."""

from __future__ import annotations

from lossylab.core.options import Options, argument, option, option_class, require

QUESTION = "Which image is more natural and of better visual quality?"  # Sec. 4.4.2


@option_class
class StudyPageOptions(Options):
    """Writes a page on which raters choose the better of two images, pair by pair.

    lossylab eval study_page restored/pulse restored/ours study.html --names=PULSE,Ours

    For the user study of "Perceptual Image Restoration with High-Quality Priori and Degradation
    Learning", Sec. 4.4.2. The page holds everything: it is opened from a disk or any web server,
    asks for nothing else and sends nothing. Each rater sees the pairs in another order, each method
    on the left in half of them, and saves the answers as a CSV file; `lossylab eval study_tally`
    counts them. With ?seed=N after its address, or --seed, order and sides are those of that seed.
    """

    folder_a: str = argument("Folder of one method's images.")
    folder_b: str = argument("Folder of the other's, under the same names.")
    output: str = argument("The page to write, an .html file.")
    names: tuple[str, ...] = option(
        help="Names of the two methods; raters do not see them, answers have them."
    )
    seed: int | None = option(
        None,
        "Seed of the order and the sides, which are the same for all raters then; without it each "
        "browser draws them.",
        minimum=0,
        maximum=2**32 - 1,
    )
    title: str = option("Image quality study", "Title of the page.")
    question: str = option(QUESTION, "What raters are asked.")
    reference: str | None = option(None, "Folder of images to show between the two.")
    max_mb: int = option(
        300, "The largest page that is written: browsers have limits.", minimum=1, unit="MiB"
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        names = self.methods
        require(
            len(names) == 2 and all(names) and names[0] != names[1],
            f"`names` takes two different names, such as PULSE,Ours, got '{','.join(names)}'",
        )
        require(
            self.output.endswith((".html", ".htm")),
            f"`output` must be an .html file, got {self.output}",
        )

    @property
    def methods(self) -> list[str]:
        """Names of the two methods, without spaces around them."""
        return [name.strip() for name in self.names]


@option_class
class StudyTallyOptions(Options):
    """Counts the answers of a user study: which method raters prefer, and how sure that is.

    lossylab eval study_tally answers_*.csv --out=results/mmd_restoration

    Files are those that the pages of `lossylab eval study_page` save; all must be of the same two
    methods. Preferences have Wilson's 95 % interval and a two-sided binomial test against 50 %.
    Both take answers as independent, though those of one rater are alike: the table of raters
    shows how much. With --out tables are written there, among them Table 3 of "Perceptual Image
    Restoration with High-Quality Priori and Degradation Learning" as paper | ours.
    """

    answers: tuple[str, ...] = argument("CSV files of answers.")
    out: str | None = option(None, "Folder for the tables.")
