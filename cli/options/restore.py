"""Options of `lossylab restore`."""

from __future__ import annotations

import os

from lossylab.cli.options.files import ImageFilesOptions, max_pixels, output_beside
from lossylab.core import export_folder
from lossylab.core.options import (
    default_of,
    option,
    option_class,
    require,
    specs,
)
from lossylab.core.trust import EXPORT
from lossylab.inference.latent.settings import METHODS, SearchOptions, settings_of

NETWORK = "network"
SADCT = "sadct"


@option_class
class NetworkOptions(ImageFilesOptions):
    """Options of a restoration by a network, or by SA-DCT."""

    output: str = output_beside(".restored.png")
    method: str = option(
        NETWORK,
        "An exported network, PULSE, or the search under an MMD constraint.",
        choices=(NETWORK, *METHODS),
    )
    model: tuple[str, ...] = option(
        (),
        f"Exported network, {EXPORT}, or '{SADCT}'. Of several, or of a folder of exports or runs, "
        "the one is taken for each file that suits its quantization tables best, then its colors, "
        f"then the largest; '{SADCT}' where none suits. By default all of `lossylab models`, "
        f"{SADCT} where none of them suits, and nothing where the tables are too fine to improve.",
        may_differ=True,
    )
    any_quality: bool = option(
        False,
        "Restore JPEG files of whatever quality by the network whose own is nearest.",
        may_differ=True,
    )
    quality: int | None = option(
        None,
        "Quality at which images were coded before, for what needs to know it. It goes before the "
        "tables of JPEG files, too: for those that were saved again at a finer quality.",
        minimum=1,
        maximum=100,
    )
    max_pixels: int = max_pixels(2**19, "tiles that do not show")


@option_class
class RestoreOptions(SearchOptions, NetworkOptions):
    """Restores images with an exported network, with SA-DCT, or by a search in a StyleGAN.

    lossylab restore photo.jpg
    lossylab restore photos restored
    lossylab restore INPUT OUTPUT --model=runs/wcdgan_q10/export
    lossylab restore photos restored --model=runs,sadct
    lossylab restore faces restored --method=mmd --generator=generator.npz

    JPEG files say how they were coded, by whatever encoder: for each the network is chosen that was
    trained for the nearest quality, and it is said which and why. A network that was trained for
    one JPEG quality refuses files of quite another (--any_quality); other formats do not say what
    they were coded at (--quality), nor do JPEG files that were coded twice: their tables are the
    last ones. Gray stays gray. A network for luma restores the luma of color images. Large images
    are restored in tiles that do not show. A table of what was written goes to standard output, as
    CSV.

    --method=pulse and --method=mmd search a generator's latent space (by default that of the emoji
    that comes with lossylab) for images that degrade to the given ones, which are square: low
    resolution, or compressed (--size=256 scales them first, as the paper). They must look as what
    the generator has learned: for FFHQ's networks one face, upright and in the middle, cut out as
    FFHQ's are (PULSE's align_face.py does it). Each result has a report beside it, of the losses
    reached and whether the constraint was met, and NAME.npz, its styles and noise, for `lossylab
    generate --styles`. Files are written from the first steps on; given again, a killed command
    begins anew with the images that are not finished.
    """

    def check(self) -> None:
        """Refuses options of other methods than the one that is asked for."""
        super().check()
        common = {"input", "output", "method", "overwrite", "trusted_hash"}
        by_network = set(specs(NetworkOptions))
        for_others = set(specs(type(self))) - by_network
        if self.method != NETWORK:
            for_others = by_network - common
        given = ", ".join(f"`{name}`" for name in sorted(for_others) if not self._is_default(name))
        require(not given, f"{given}: not for `method`={self.method}")
        if self.method != NETWORK:
            settings_of(self, self.method)
            return
        one = len(self.model) == 1 and self.model[0] != SADCT and not _is_folder(self.model[0])
        require(
            self.quality is None or not one,
            f"`quality` goes with `model`={SADCT} or several: a network knows its own",
        )

    def _is_default(self, name: str) -> bool:
        return getattr(self, name) == default_of(type(self), name)


def _is_folder(model: str) -> bool:
    """Whether it may hold several exports."""
    return os.path.isdir(model) and not export_folder.is_saved_model(model)
