"""Options of `lossylab sample`."""

from __future__ import annotations

from lossylab.cli.options.files import ImageFilesOptions
from lossylab.core.options import option, option_class
from lossylab.core.trust import EXPORT


@option_class
class SampleOptions(ImageFilesOptions):
    """Draws degraded versions of images from a trained degradation model (Fig. 5).

    lossylab sample image.png degraded.png --model=runs/jpeg5/export
    lossylab sample photos drawn --model=runs/jpeg5/export --seed=7

    Images are taken as the model knows them: they are not scaled down. Gray images come out in
    color, if only a little: the model draws red, green and blue of each pixel. Pixels are drawn in
    their order. A table of what was written goes to standard output, as CSV; the column named model
    has the hash of the model's weights.
    """

    model: str = option(help=f"Exported degradation model: {EXPORT}.", may_differ=True)
    seed: int = option(
        0,
        "Decides what is drawn, with the name of the file.",
        minimum=0,
        maximum=2**31 - 1,
    )
    temperature: float = option(
        1.0,
        "Temperature: 1 draws from the model. Below 1 the mixture's logits are divided by it and "
        "its scales multiplied: images are likelier than the model's own. The table says it.",
        above=0.0,
        maximum=2.0,
    )
    sampler: str = option(
        "wavefront",
        "How pixels are drawn; both draw the same image. wavefront: a diagonal at once, keeping "
        "what was computed; naive: by the whole network for each pixel.",
        choices=("wavefront", "naive"),
    )
