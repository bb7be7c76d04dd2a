"""Options of `lossylab demo`."""

from __future__ import annotations

from lossylab.core.options import Options, option, option_class, require


@option_class
class DemoOptions(Options):
    """Shows what lossylab does in some minutes, and writes one page of it.

    lossylab demo
    lossylab demo --data=photos --out=mine

    A codec that comes with lossylab is trained on for VMAF; then all that come with it and the
    trained one compress images beside JPEG and JPEG 2000, JPEG files are restored, and a .jpg file
    is written by learned tables. What won and what lost is said as it was measured. Killed and
    given again, the command goes on where it was. Nothing is downloaded.
    """

    out: str = option("demo", "Folder for everything; OUT/report.html is the page.")
    data: str = option(
        "sample_test", "Images: a file, folder, glob or named collection.", images=True
    )
    train_data: str = option(
        "sample_train", "Images to train on: folder, glob or named collection.", images=True
    )
    proxy_steps: int = option(
        400, "Steps for which VMAF's proxy learns alone.", minimum=1, unit="steps"
    )
    steps: int = option(
        240, "Steps for which the codec learns by the proxy.", minimum=1, unit="steps"
    )
    quality: int = option(
        10, "JPEG quality of the files that are restored.", minimum=1, maximum=100
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(bool(self.out), "`out` is needed: the folder to write to")
