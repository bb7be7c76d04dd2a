"""The same work in PyTorch: CompressAI's codecs, and networks in plain torch.

  python -m venv /tmp/peers && /tmp/peers/bin/pip install torch==2.13.0 compressai==1.2.8
  lossylab benchmark --sections=peers --peer="/tmp/peers/bin/python docs/peers/twins.py"

Reads names of `TWINS` from standard input, a line each; does the work once and answers "done" on a
line. A name that ends in ":bfloat16" runs under torch.autocast. Weights are random.
"""

import contextlib
import sys
from unittest import mock

import torch
from torch import nn
from torch.nn import functional as F

# CompressAI imports torchvision for its data sets alone, and none fits torch 2.13.
for part in ("", ".datasets", ".transforms", ".transforms.functional"):
    sys.modules[f"torchvision{part}"] = mock.MagicMock()

from compressai.entropy_models import EntropyBottleneck  # noqa: E402
from compressai.layers import GDN  # noqa: E402
from compressai.models import ScaleHyperprior  # noqa: E402

IMAGE = (512, 768)


class BLS(nn.Module):
    """Balle, Laparra and Simoncelli 2017, as lossylab.models.BLS2017."""

    def __init__(self, n):
        super().__init__()
        self.analysis = nn.Sequential(
            nn.Conv2d(3, n, 9, 4, 4),
            GDN(n),
            nn.Conv2d(n, n, 5, 2, 2),
            GDN(n),
            nn.Conv2d(n, n, 5, 2, 2, bias=False),
        )
        self.synthesis = nn.Sequential(
            nn.ConvTranspose2d(n, n, 5, 2, 2, 1),
            GDN(n, inverse=True),
            nn.ConvTranspose2d(n, n, 5, 2, 2, 1),
            GDN(n, inverse=True),
            nn.ConvTranspose2d(n, 3, 9, 4, 4, 3),
        )
        self.entropy_bottleneck = EntropyBottleneck(n)

    def forward(self, x):
        y, likelihoods = self.entropy_bottleneck(self.analysis(x))
        return {"x_hat": self.synthesis(y), "likelihoods": {"y": likelihoods}}


def leaky(x):
    return F.leaky_relu(x, 0.02)


class WCDB(nn.Module):
    """A block of WCDGAN with mixed convolutions and attention, as lossylab.models.WCDGAN's."""

    def __init__(self, n):
        super().__init__()
        self.standard = nn.ModuleList(nn.Conv2d(n, n // 2, 3, 1, 1) for _ in range(4))
        self.dilated = nn.ModuleList(
            nn.Conv2d(n, n // 2, 3, 1, 2**i, dilation=2**i) for i in range(4)
        )
        self.mix = nn.ModuleList(nn.Conv2d(n, n, 1) for _ in range(4))
        self.compress = nn.Conv2d(5 * n, n, 1)
        few = n // 4
        self.channel = nn.ModuleList(
            [nn.Conv2d(n, few, 1), nn.Conv2d(few, few, 1), nn.Conv2d(few, n, 1)]
        )
        self.spatial = nn.Sequential(nn.Conv2d(n, n, 1), nn.Conv2d(n, 1, 5, 1, 2))

    def forward(self, x):
        features = [x]
        for standard, dilated, mix in zip(self.standard, self.dilated, self.mix):
            last = features[-1]
            features.append(mix(leaky(torch.cat([standard(last), dilated(last)], 1))))
        x = self.compress(torch.cat(features, 1)) + x
        weight = x.mean((2, 3), keepdim=True)
        for conv in self.channel[:-1]:
            weight = leaky(conv(weight))
        x = x * torch.sigmoid(self.channel[-1](weight))
        return x * torch.sigmoid(self.spatial(x))


class WCDGAN(nn.Module):
    """The generator as published, RGB."""

    def __init__(self, n=64):
        super().__init__()
        self.shallow = nn.ModuleList([nn.Conv2d(3, n, 5, 1, 2), nn.Conv2d(n, n, 5, 1, 2)])
        self.blocks = nn.Sequential(*(WCDB(n) for _ in range(8)))
        self.last = nn.ModuleList([nn.Conv2d(n, n, 3, 1, 1), nn.Conv2d(n, 3, 3, 1, 1)])

    def forward(self, x):
        shallow = leaky(self.shallow[1](self.shallow[0](x / 255)))
        deep = self.blocks(shallow) + shallow
        return self.last[1](leaky(self.last[0](deep))) * 255


def dncnn3():
    """DnCNN-3: 20 layers without batch normalization."""
    inner = [each for _ in range(18) for each in (nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(True))]
    return nn.Sequential(
        nn.Conv2d(1, 64, 3, 1, 1), nn.ReLU(True), *inner, nn.Conv2d(64, 1, 3, 1, 1)
    )


class StyleGAN2(nn.Module):
    """Config-f at 1024 pixels: mapping, modulated convolutions of scaled activations, skips."""

    def __init__(self):
        super().__init__()
        self.mapping = nn.Sequential(
            *(each for _ in range(8) for each in (nn.Linear(512, 512), nn.LeakyReLU(0.2)))
        )
        self.channels = [min(2 * 16384 // side, 512) for side in self.sides]
        self.const = nn.Parameter(torch.randn(1, self.channels[0], 4, 4))
        kernels, styles, before = [], [], self.channels[0]
        for i, n in enumerate(self.channels):
            for ins, outs, size in ((before, n, 3), (n, n, 3), (n, 3, 1))[not i :]:
                kernels.append(nn.Parameter(torch.randn(outs, ins, size, size) / 50))
                styles.append(nn.Linear(512, ins))
            before = n
        self.kernels, self.styles = nn.ParameterList(kernels), nn.ModuleList(styles)
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        self.register_buffer("blur", (line[:, None] * line)[None, None])

    sides = [2**i for i in range(2, 11)]

    def forward(self, z):
        w, layers, rgb = self.mapping(z), iter(zip(self.kernels, self.styles)), None
        x = self.const.expand(len(z), -1, -1, -1)
        for i in range(len(self.sides)):
            for up in (True, False) if i else (False,):
                x = self._convolve(x, w, *next(layers), up)
            kernel, style = next(layers)
            more = F.conv2d(x * style(w)[:, :, None, None], kernel)
            rgb = more if rgb is None else self._twice(rgb) + more
        return rgb

    def _convolve(self, x, w, kernel, style, up):
        factors = style(w)
        norm = torch.rsqrt(factors.square() @ kernel.square().sum((2, 3)).T + 1e-8)
        x = x * factors[:, :, None, None]
        if up:
            x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
            filters = self.blur.expand(x.shape[1], 1, 4, 4)
            x = F.conv2d(x, filters, padding=1, groups=x.shape[1])
        else:
            x = F.conv2d(x, kernel, padding=1)
        x = x * norm[:, :, None, None] + torch.randn(1, 1, *x.shape[2:])
        return F.leaky_relu(x, 0.2)

    def _twice(self, rgb):
        return F.conv_transpose2d(rgb, self.blur.expand(3, 1, 4, 4), stride=2, padding=1, groups=3)


def codec_step(codec):
    """A training step, batch 8 of 128x128, as lossylab's: MSE and rate, Adam."""
    adam = torch.optim.Adam(codec.parameters(), 1e-4)
    image = torch.rand(8, 3, 128, 128)

    def step():
        adam.zero_grad()
        out = codec(image)
        bits = sum(-torch.log2(each).sum() for each in out["likelihoods"].values())
        loss = 0.01 * 255**2 * F.mse_loss(out["x_hat"], image) + bits / image[:, 0].numel()
        loss.backward()
        adam.step()
        loss.item()

    return step


def coding(decode):
    """Encoding or decoding a 768x512 image by the hyperprior, N = M = 192."""
    codec = ScaleHyperprior(192, 192).eval()
    codec.update()
    image = torch.rand(1, 3, *IMAGE)
    with torch.inference_mode():
        coded = codec.compress(image)

    def work():
        with torch.inference_mode():
            return codec.decompress(**coded) if decode else codec.compress(image)

    return work


def forward(network, *shape):
    """A pass through a network."""
    network.eval()
    given = 255 * torch.rand(1, *shape)

    def work():
        with torch.inference_mode():
            network(given)

    return work


TWINS = {
    "bls2017_128": lambda: codec_step(BLS(128)),
    "bls2017_192": lambda: codec_step(BLS(192)),
    "bmshj2018_192": lambda: codec_step(ScaleHyperprior(192, 192)),
    "bmshj2018_192 encode": lambda: coding(False),
    "bmshj2018_192 decode": lambda: coding(True),
    "wcdgan_rgb": lambda: forward(WCDGAN(), 3, *IMAGE),
    "dncnn3": lambda: forward(dncnn3(), 1, *IMAGE),
    "stylegan2": lambda: forward(StyleGAN2(), 512),
}


def main():
    """Answers until standard input ends."""
    made = {}
    for line in sys.stdin:
        name, _, dtype = line.strip().partition(":")
        if name not in made:
            made.clear()  # one at a time: memory
            made[name] = TWINS[name]()
        narrow = torch.autocast("cpu", torch.bfloat16) if dtype else contextlib.nullcontext()
        with narrow:
            made[name]()
        print("done", flush=True)


if __name__ == "__main__":
    main()
