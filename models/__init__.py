"""Networks and codecs: tensors in, tensors out; no files, no flags.

Every published network is a `tf.keras.Model` that is imported when it is first asked for:

    from lossylab.models import BLS2017, WCDGAN
"""

import importlib

_MODULES = {
    "ARCNN": "arcnn",
    "BLS2017": "bls2017",
    "BMSHJ2018": "bmshj2018",
    "ConditionalPixelCNN": "pixelcnn",
    "Discriminator": "wcdgan",
    "DnCNN": "dncnn",
    "JPEGEncoder": "jpeg_encoder",
    "MWCNN": "mwcnn",
    "MemNet": "memnet",
    "PatchGAN": "patchgan",
    "ProxIQA": "proxiqa",
    "RankIQA": "rankiqa",
    "ResidualUNet": "unet",
    "StyleGAN1": "stylegan1",
    "StyleGAN2": "stylegan2",
    "StyleGAN2Discriminator": "stylegan2_discriminator",
    "TNRD": "tnrd",
    "WCDGAN": "wcdgan",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> type:
    """The network of that name; imports TensorFlow."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Also the networks that are not imported yet."""
    return sorted({*globals(), *_MODULES})
