"""What papers call the methods that rows name by a word of code."""

from __future__ import annotations

import re

NAMES = {
    # Classical codecs.
    "jpeg": "JPEG",
    "jpeg_optimized": "JPEG (optimized codes)",
    "jpeg_flat": "JPEG (flat tables)",
    "jpeg2000": "JPEG 2000",
    "hevc444": "HEVC 4:4:4",
    "hevc420": "HEVC 4:2:0",
    "webp": "WebP",
    "avif444": "AVIF 4:4:4",
    "avif420": "AVIF 4:2:0",
    "jpegxl": "JPEG XL",
    # ProxIQA.
    "bls_mse": "BLS MSE",
    "bls_vmaf": "BLS VMAF_p",
    "bmshj_vmaf": "BMSHJ VMAF_p",
    "bls_vmaf_p": "BLS VMAF_p",
    "bls_ssim_p": "BLS SSIM_p",
    "bls_ms_ssim_p": "BLS MSIM_p",
    "bls_ssim": "BLS SSIM",
    "bls_ssim_mse": "BLS SSIM + L_d",
    "bls_frozen_proxy": "BLS (frozen proxy)",
    "bmshj_mse": "BMSHJ MSE",
    "bmshj_vmaf_p": "BMSHJ VMAF_p",
    "tuned": "codec trained on for VMAF",
    "jpeg_tables": "learned JPEG tables",
    # WCDGAN.
    "sadct": "SA-DCT",
    "arcnn": "ARCNN",
    "arcnn_official": "ARCNN (official weights)",
    "downscale": "scaled down",
    "tnrd": "TNRD",
    "dncnn": "DnCNN",
    "dncnn3_official": "DnCNN-3 (official weights)",
    "dncnn_rgb": "DnCNN (12 layers, packaged)",
    "memnet": "MemNet",
    "mwcnn": "MWCNN",
    "wcdgan": "WCDGAN",
    "wcdgan_content": "WCDGAN (without perceptual and adversarial loss)",
    "wcdgan_content_continued": "WCDGAN (without perceptual and adversarial loss, continued)",
    "wcdgan_perceptual": "WCDGAN (without adversarial loss)",
    "wcdgan_adversarial": "WCDGAN (without perceptual loss)",
    "restore": "as chosen by `restore`",
    "wcdgan_content_no_mixed_conv": (
        "WCDGAN (without perceptual and adversarial loss, no mixed convolution)"
    ),
    "wcdgan_content_no_mixed_attention": (
        "WCDGAN (without perceptual and adversarial loss, no mixed attention)"
    ),
    "live1": "LIVE1",
    "classic5": "Classic5",
    # The JPEG encoder.
    "tables": "tables alone",
    "vgg": "VGG-19",
    "vgg16": "VGG-16",
    "vgg19": "VGG-19",
    "vgg_ms_ssim": "VGG-19 + MS-SSIM",
    "vgg_half_weights": "VGG-19 + half MS-SSIM",
    "vgg_no_lpips": "VGG-19 without LPIPS",
    "resnet": "ResNet-152",
    "resnet152": "ResNet-152",
    "resnet_ms_ssim": "ResNet-152 + MS-SSIM",
    "resnet_block1": "ResNet-152 (first block)",
    "resnet152_block1": "ResNet-152 (first block)",
    "lstm": "LSTM",
    "lstm_tanh": "LSTM without sigmoid",
    "lstm_minmax": "LSTM (min-max)",
    "bilstm": "Bi-LSTM",
    "vgg16_ms_ssim": "VGG-16 + MS-SSIM",
    "vgg16_random": "VGG-16 (random)",
    "vgg16_perceptual": "VGG-16 + distance of features",
    "vgg16_bits": "VGG-16 (counting bits)",
    "tables_bits": "tables alone (counting bits)",
    "lstm_logits": "LSTM (reaching 0..1)",
    "bilstm_logits": "Bi-LSTM (reaching 0..1)",
    "jpegli": "jpegli",
    "mozjpeg": "MozJPEG",
    "mozjpeg444": "MozJPEG 4:4:4",
    "bls2017": "BLS",
    # The distortion GAN.
    "white": "white noise",
    "pink": "pink noise",
    "white_noise_input": "white noise (noise input)",
    "pink_noise_input": "pink noise (noise input)",
    "jpeg_grid16": "JPEG (blocks in place)",
    "jpeg_lambda_0": "JPEG (lambda = 0)",
    "jpeg_lambda_0.01": "JPEG (lambda = 0.01)",
    "jpeg_lambda_1": "JPEG (lambda = 1)",
    "jpeg_l1": "JPEG (l1)",
    "jpeg_l2": "JPEG (l2)",
    "untouched": "untouched image",
}
_REAL = "real "  # before the name of a distortion that was not generated
STOP = re.compile(r"(.+)_at_(\d+)")  # codecs that a study exported on the way
_SEED = re.compile(r"(.+)_seed(\d+)")  # further trainings of a network


def published_name(code: str) -> str:
    """The published name of a codec, method or network; other words stay as they are."""
    if found := STOP.fullmatch(code):
        return f"{published_name(found[1])} ({found[2]} steps)"
    if found := _SEED.fullmatch(code):
        return f"{published_name(found[1])} (training {found[2]})"
    real = _REAL if code.startswith(_REAL) else ""
    return real + NAMES.get(code.removeprefix(real), code.removeprefix(real))


def published_label(label: str) -> str:
    """A label of a figure with the published name for its first word."""
    return re.sub(r"^[\w.]+", lambda found: published_name(found[0]), label)
