"""What is run to learn: one loop, one entry point per paper, flag files."""

from lossylab.core.lazy import exports

__getattr__, __dir__ = exports(
    __name__,
    {
        "distortion_gan": (),
        "jpeg_encoder": (),
        "mmd_restoration": (),
        "proxiqa": (),
        "rankiqa": (),
        "wcdgan": (),
    },
)
