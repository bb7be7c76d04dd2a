"""Options of the commands that import official weights."""

from __future__ import annotations

from lossylab.core.options import Options, argument, option, option_class, require
from lossylab.models.names import LPIPS_NETWORKS
from lossylab.train.options.loop import export_precision


@option_class
class ImportLpipsOptions(Options):
    """Makes the one file that --lpips takes of LPIPS's official weights.

    lossylab import lpips alexnet-owt-7be5be79.pth alex.pth alex.npz --network=alex

    PyTorch is not needed, and nothing in the files is run.
    """

    backbone: str = argument(
        "File of torchvision's network: alexnet, vgg16 or squeezenet1_1 (download.pytorch.org)."
    )
    linear: str = argument(
        "File of the authors' weights of channels (github.com/richzhang/PerceptualSimilarity, "
        "lpips/weights/v0.1)."
    )
    output: str = argument("File to write, a NumPy archive (.npz).")
    network: str = option("alex", "The network that the files are of.", choices=LPIPS_NETWORKS)
    overwrite: bool = option(False, "Replace a file that exists.")

    def check(self) -> None:
        """Refuses an output that is no archive."""
        super().check()
        _require_npz(self.output)


@option_class
class ImportStyleganOptions(Options):
    """Makes the one file that a latent search takes of an official StyleGAN network.

    lossylab import stylegan stylegan2-ffhq-config-f.pkl ffhq.npz
    lossylab import stylegan random:2:64 small.npz --contrast=50
    lossylab import stylegan random:2:64:512 wide.npz --contrast=50 --calibrate=ffhq

    The official networks are NVIDIA's, under licenses of their own, for use that is not commercial:
    github.com/NVlabs/stylegan2 (nvlabs-fi-cdn.nvidia.com/stylegan2/networks), NVlabs/stylegan and
    NVlabs/stylegan2-ada (TensorFlow; in float32 here). The averaged generator is taken. TensorFlow
    1 is not needed, and nothing in the file is run. Files of PyTorch, as stylegan2-ada-pytorch's
    and stylegan3's, are others.
    """

    source: str = argument(
        "The official pickle; or 'random:VERSION:RESOLUTION[:WIDTH]' for a network with random "
        "weights, of at most 64 channels and styles of 64 or WIDTH numbers, for trying things out."
    )
    output: str = argument("File to write, a NumPy archive (.npz).")
    contrast: float | None = option(
        None,
        "What the network adds to its images is scaled so that their standard deviation from the "
        "middle is this. Images of random networks would be clipped otherwise.",
        minimum=1,
        maximum=100,
        unit="pixel values",
    )
    calibrate: str | None = option(
        None,
        "A random network's last mapping layer is rescaled so that its styles have the moments of "
        "a trained one. ffhq: E|w| = 5.62, |E w| = 1.53, as FFHQ's network, which is 512 wide.",
        choices=("ffhq",),
    )
    seed: int = option(0, "Decides random weights.", minimum=0, maximum=2**31 - 1)
    overwrite: bool = option(False, "Replace a file that exists.")

    def check(self) -> None:
        """Refuses an output that is no archive, and what trained networks have already."""
        super().check()
        _require_npz(self.output)
        require(
            self.calibrate is None or self.source.startswith("random:"),
            f"`calibrate` is for random networks, not {self.source}",
        )


@option_class
class ImportRestorerOptions(Options):
    """Makes an export of official weights of ARCNN or DnCNN-3.

    lossylab import restorer arcnn_q10.mat runs/arcnn_official_q10 --quality=10
    lossylab import restorer dncnn3.mat runs/dncnn3_official

    ARCNN: github.com/hkchengrex/PyTorch-ARCNN, weights/q10.mat to q40.mat, one per quality.
    DnCNN-3: github.com/cszn/DnCNN, model/DnCNN3.mat, one for all qualities. Nothing is trained; the
    exports are measured and used like those of a training.
    """

    source: str = argument("MATLAB file of the authors' weights.")
    output: str = argument("Folder of the export.")
    quality: int | None = option(
        None,
        "JPEG quality that an ARCNN file is for: the file does not say.",
        choices=(10, 20, 30, 40),
    )
    export_precision: str = export_precision("convolutions of the export compute")
    overwrite: bool = option(False, "Replace an export that exists.")


@option_class
class ImportIconsOptions(Options):
    """Makes images of packaged icons, such as emoji, to train a generator on and to test it with.

    npm pack @iconify-json/noto && tar xzf iconify-json-noto-*.tgz
    lossylab import icons emoji --packages=package/icons.json --size=64

    Packages are Iconify's (npm, @iconify-json/NAME); emoji that may be used freely are noto
    (Apache-2.0), twemoji (CC-BY-4.0), openmoji (CC-BY-SA-4.0) and fluent-emoji-flat (MIT). Nothing
    is downloaded. Icons are drawn on white by resvg (extra `icons`); about.json names packages,
    versions and licenses. Icons of one outline, and of one subject by their names in all packages,
    are together for training or held out: no variant of what is tested with is learned from.
    """

    output: str = argument("Folder for the images: train/NAME.png, held_out/NAME.png, about.json.")
    packages: tuple[str, ...] = option(
        help="The icons.json of each package; its info.json and package.json lie beside it."
    )
    size: int = option(
        64, "Height and width of the images.", minimum=8, maximum=1024, unit="pixels"
    )
    per_outline: int = option(
        3,
        "At most so many icons of one outline are kept, the first by name: there are hundreds of "
        "flags, and five tones of skin of each person.",
        minimum=1,
    )
    held_out: float = option(
        0.1, "Share of the subjects that is held out, by their hash.", minimum=0.0, below=1.0
    )
    overwrite: bool = option(False, "Write into a folder that has icons.")


def _require_npz(path: str) -> None:
    require(path.endswith(".npz"), f"the output '{path}' must end in .npz")
