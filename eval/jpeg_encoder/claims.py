"""What decides the claims of the JPEG encoder's paper, and their trivial competitors."""

from __future__ import annotations

import math

from lossylab.eval.jpeg_encoder.decisions import (
    all_gain,
    beats_the_others,
    better_in_both,
    decoders_agree,
    everywhere,
    faster_than_bls,
    gains_at_mean_rate,
    in_place_of,
    moves_with_steps,
    nearly_equal,
    next_file,
    no_training,
    ours,
    random_backbones,
    timed_as,
    trained,
    trained_backbones,
    trains_faster,
    without_attention,
)
from lossylab.eval.jpeg_encoder.evidence import JPEG
from lossylab.eval.report.claims import Check, published_size, timed_on_a_gpu

_LSTMS = ("lstm", "bilstm")

CHECKS = {
    "1a": Check(
        all_gain(
            *(
                (n, JPEG, m)
                for n in ("vgg", "resnet", "vgg_ms_ssim")
                for m in ("mse", "ms_ssim_rgb")
            )
        ),
        without_attention("vgg", "resnet", "vgg_ms_ssim"),
        for_failing=(trained_backbones("vgg", "resnet", "vgg_ms_ssim"), published_size),
    ),
    "1b": Check(all_gain(("tables", JPEG, "mse")), in_place_of("tables")),
    "1c": trained(
        all_gain(("vgg", "tables", "mse"), ("vgg", "tables", "ms_ssim_rgb")),
        *("vgg", "tables"),
        rival="tables",
        models=("vgg",),
    ),
    "2a": trained(
        all_gain(("vgg_ms_ssim", "vgg", "ms_ssim_rgb")),
        *("vgg_ms_ssim", "vgg"),
        rival="vgg",
        models=("vgg_ms_ssim",),
    ),
    "2b": trained(
        all_gain(("vgg_ms_ssim", "vgg", "mse"), not_worse=True),
        *("vgg_ms_ssim", "vgg"),
        rival=JPEG,
        models=("vgg_ms_ssim",),
    ),
    "2d": trained(
        all_gain(
            ("vgg_half_weights", "vgg", "ms_ssim_rgb"),
            ("vgg_ms_ssim", "vgg_half_weights", "ms_ssim_rgb"),
        ),
        *("vgg", "vgg_half_weights", "vgg_ms_ssim"),
        rival="vgg",
        models=("vgg_half_weights", "vgg_ms_ssim"),
    ),
    "3a": Check(
        trains_faster,
        {"VGG-19 in ResNet's place": timed_as("resnet152", "vgg19")},
        (timed_on_a_gpu,),
    ),
    "3b": trained(nearly_equal, "resnet", "vgg", rival=JPEG, models=("resnet",)),
    "3c": trained(
        gains_at_mean_rate("vgg", "resnet", 0.26, 0.31),
        *("resnet", "vgg"),
        rival="vgg",
        models=("resnet",),
    ),
    "3d": trained(
        gains_at_mean_rate("resnet_ms_ssim", "vgg_ms_ssim", 0.30, 0.38),
        *("resnet_ms_ssim", "vgg_ms_ssim"),
        rival="vgg_ms_ssim",
        models=("resnet_ms_ssim",),
    ),
    "3e": trained(
        all_gain(
            *(("resnet_ms_ssim", other, "ms_ssim_rgb") for other in ("resnet", "vgg_ms_ssim"))
        ),
        *("resnet_ms_ssim", "resnet", "vgg_ms_ssim"),
        rival="resnet",
        models=("resnet_ms_ssim",),
    ),
    "4a": trained(
        all_gain(*(("vgg", name, "ms_ssim_rgb") for name in _LSTMS), low=0.0, high=math.inf),
        *("vgg", *_LSTMS),
        rival="vgg",
        models=_LSTMS,
    ),
    "4b": trained(
        all_gain(("lstm", "bilstm", "ms_ssim_rgb"), low=0.0, high=math.inf),
        *_LSTMS,
        rival="lstm",
        models=("bilstm",),
    ),
    "4c": trained(
        all_gain(("lstm", "lstm_minmax", "ms_ssim_rgb"), low=0.0, high=math.inf),
        *("lstm", "lstm_minmax"),
        rival="lstm",
        models=("lstm_minmax",),
    ),
    "4d": trained(
        all_gain(*((JPEG, name, "ms_ssim_rgb") for name in _LSTMS), not_worse=True, low=0.0),
        *_LSTMS,
        rival="tables",
        models=_LSTMS,
    ),
    "5a": Check(
        faster_than_bls,
        {"BLS in VGG-19's place": timed_as("vgg19", "bls2017, 192 filters")},
        (timed_on_a_gpu,),
    ),
    # Standard JPEG's own files are no rival: that all decoders agree on them is what is claimed.
    "6": Check(decoders_agree, {"a decoder that shows the file of the next rate": next_file}),
    "7a": Check(
        moves_with_steps("with"),
        no_training("with"),
        for_failing=(trained_backbones("vgg_ms_ssim"), published_size),
    ),
    "7b": Check(
        moves_with_steps("without"),
        no_training("without"),
        for_failing=(published_size,),
    ),
    "8a": better_in_both("vgg16", "tables", trained_backbones("vgg16")),
    "8b": better_in_both("vgg", "tables"),
    "8c": better_in_both(
        "vgg16", "vgg16_random", trained_backbones("vgg16"), random_backbones("vgg16_random")
    ),
    "8d": ours(everywhere("vgg16_ms_ssim", "vgg16", "ms_ssim_rgb"), "vgg16_ms_ssim", "vgg16"),
    "8e": better_in_both("vgg16_bits", "tables_bits"),
    **{
        number: ours(
            all_gain(("vgg16", name, "ms_ssim_rgb"), low=0.0, high=math.inf), "vgg16", name
        )
        for number, name in (("8f", "lstm_logits"), ("8g", "bilstm_logits"))
    },
    "9a": beats_the_others("psnr_rgb"),
    "9b": beats_the_others("ms_ssim_rgb"),
    "9c": beats_the_others("vmaf"),
}
