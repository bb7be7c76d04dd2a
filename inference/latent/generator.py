"""Exported StyleGAN generators: images of latents.

  generate(latents float32 [B, latent], psi float32 [])  -> images uint8 [B, R, R, 3]

Noise is the stored one. Searches in the latent space need gradients: they take the Keras network,
which `find_generator` gives.
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from lossylab.core.errors import UsageError
from lossylab.core.options import require
from lossylab.inference.export import network_file
from lossylab.inference.export.base import Export, Served, network_path, to_uint8
from lossylab.inference.importers import stylegan_files
from lossylab.models.layers.stylegan_base import StyleGAN, served


class Generator(Export):
    """A loaded export: seeds or latents in, images out.

    Attributes:
      latent: numbers that an image is made of.
      resolution: height and width of the images in pixels.
    """

    kind = "generator"
    signatures = ("generate",)

    def __init__(self, path: str | os.PathLike) -> None:
        """Loads an export; raises ExportError if `path` is no generator's."""
        super().__init__(path)
        self.latent: int = self.card["latent"]
        self.resolution: int = self.card["resolution"]

    @classmethod
    def serve(cls, network: StyleGAN) -> Served:
        """The function that makes images; all layers are truncated alike."""
        latents = tf.TensorSpec((None, network.latent), tf.float32, name="latents")
        psi = tf.TensorSpec((), tf.float32, name="psi")

        @tf.function(autograph=False, input_signature=[latents, psi])
        def generate(latents: tf.Tensor, psi: tf.Tensor) -> dict[str, tf.Tensor]:
            with served():
                images = network(latents, psi=psi, cutoff=network.num_layers)
            return {"images": to_uint8(images)}

        sizes = {"latent": network.latent, "resolution": network.resolution}
        return Served(network, {"generate": generate}, sizes)

    def generate(self, count: int = 1, seed: int = 0, psi: float = 1.0) -> np.ndarray:
        """Images of random latents.

        Args:
          count: of images, at least 1.
          seed: decides them, at least 0; `lossylab generate` draws others, with noise of their own.
          psi: truncation: 0 gives the mean image, 1 truncates nothing.

        Returns:
          uint8 [count, R, R, 3].

        Raises:
          UsageError: if one of them is out of range.
        """
        require(count >= 1 and seed >= 0, f"count={count} or seed={seed} is too small")
        require(0 <= psi <= 1, f"psi={psi} is not within 0..1")
        random = np.random.default_rng(seed)
        images = [self._made(random.standard_normal(self.latent), psi) for _ in range(count)]
        return np.stack(images)

    def _made(self, latent: np.ndarray, psi: float) -> np.ndarray:
        latents = latent[None].astype(np.float32)
        return self._only("generate", latents=latents, psi=np.float32(psi))[0].numpy()


def find_generator(path: str | os.PathLike) -> StyleGAN:
    """The network of an export, of a model that has a name, or of an imported file.

    Raises:
      UsageError: if it is no generator, or a damaged file.
      ExportError: if there is nothing, or a damaged export.
    """
    if os.path.isfile(path) or os.fspath(path).endswith(".npz"):
        return stylegan_files.load(os.fspath(path))
    network = network_file.read(network_path(path))
    if not isinstance(network, StyleGAN):
        raise UsageError(f"{path} is an export of a {type(network).__name__}, no generator's")
    return network
