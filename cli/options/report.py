"""Options of `lossylab report`."""

from __future__ import annotations

from lossylab.core.options import Options, argument, option, option_class, require


@option_class
class ReportOptions(Options):
    """Writes one page of what trainings, studies and results folders hold.

    lossylab report demo --out=demo/report.html
    lossylab report results --out=papers.html --title="Five papers"

    The page holds everything: it is opened from a disk or any web server and asks for nothing else.
    It shows what was trained and for how long, learning curves, rate and quality, crops below a
    slider, each paper's tables and claims, protocol and commands. A folder is a training's run
    directory, a study's folder, a folder of measured rows (rows.csv) or of crops (index.json), or
    one that has such folders in it. Nothing is trained or measured.
    """

    folders: tuple[str, ...] = argument("Folders of runs, studies, results or crops.")
    out: str = option(
        "report.html",
        "The page to write, an .html file. An earlier report is replaced, no other file is.",
    )
    title: str = option("", "Title of the page. The names of the folders if not given.")
    max_mb: int = option(20, "The largest page that is written.", minimum=1, unit="MiB")

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(self.folders, "`folders` is needed: runs, studies or results to report")
        require(
            self.out.endswith((".html", ".htm")), f"`out` must be an .html file, got {self.out}"
        )
