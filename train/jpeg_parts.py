"""What a training of the JPEG encoder is made of: networks, distortions, tables to begin with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lossylab.core.options import naming, require
from lossylab.inference.export import network_file
from lossylab.inference.export.base import is_export, network_path
from lossylab.losses import jpeg_encoder as losses
from lossylab.losses.features import FeatureDistance
from lossylab.losses.lpips import LPIPS
from lossylab.models.backbones.block_features import BACKBONES
from lossylab.models.backbones.vgg import VGG, label, last_conv
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers import attention as attentions
from lossylab.models.layers.base import Layer
from lossylab.models.names import VGGS
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions


def make_encoder(options: JpegEncoderOptions) -> JPEGEncoder:
    """The encoder that the options ask for; raises BackboneError."""
    attention = None
    begin = (options.attention_gain, options.attention_offset, options.feature_scale)
    if options.attention == "conv":
        attention = attentions.ConvAttention(_backbone(options), *begin)
    elif options.attention != "none":
        seen = _backbone(options) if _looks(options) else None
        both = options.attention == "bilstm"
        attention = attentions.LSTMAttention(seen, both, options.lstm_output, *begin)
    encoder = JPEGEncoder(attention, options.table_scale)
    if options.initial_entry:
        encoder.set_tables(np.full((2, 8, 8), options.initial_entry))
    return encoder


def _backbone(options: JpegEncoderOptions) -> Layer:
    make = BACKBONES[options.backbone]
    # Where they are random, another training is of other features.
    seed = options.seed if options.weights == "random" else 0
    found = make(weights=options.weights, preprocess=options.preprocess, seed=seed)
    found.trainable = options.train_backbone
    return found


def check_weights(options: JpegEncoderOptions) -> None:
    """Raises UsageError, before anything is built, of networks' weights that are not there."""
    wanted = [("weights", options.backbone)] if _looks(options) else []
    if "feature_distance" in options.terms:
        wanted.append(("perceptual_weights", options.perceptual))
    for option, network in wanted:
        keras_name = network.partition("_")[0]  # of resnet152_block1 too
        session.require_weights(option, keras_name, getattr(options, option), options.offline)


def features_of(options: JpegEncoderOptions) -> dict[str, str]:
    """What VGGs a run looks through, in words, for its card; nothing where it has none."""
    seen = {}
    if _looks(options) and options.backbone in VGGS:
        seen["backbone_features"] = label(options.backbone, options.weights)
    if "feature_distance" in options.terms:
        seen["perceptual_features"] = label(options.perceptual, options.perceptual_weights)
    return seen


def _looks(options: JpegEncoderOptions) -> bool:
    """Whether attention sees a backbone's features."""
    lstm = options.attention in ("lstm", "bilstm")
    return options.attention == "conv" or (lstm and options.lstm_input == "features")


def make_terms(options: JpegEncoderOptions) -> dict[str, Callable[..., tf.Tensor]]:
    """The distortions of Eq. 8 beside MSE, of (image, decoded image); raises UsageError."""
    terms: dict[str, Callable[..., tf.Tensor]] = {"ms_ssim": losses.ms_ssim_loss}
    if "lpips" in options.terms:
        with session.naming("lpips"):
            terms["lpips"] = LPIPS(options.lpips or "", options.lpips_network)
    elif "feature_distance" in options.terms:
        network = options.perceptual
        layers = [last_conv(network, b + 1) for b in range(options.perceptual_blocks)]
        with session.naming("perceptual_weights"):
            vgg = VGG(network, options.perceptual_weights, layers)
        terms["feature_distance"] = FeatureDistance(vgg)
    return {name: terms[name] for name in options.terms}


def tables_of(source: str) -> np.ndarray:
    """Step sizes [2, 8, 8] of a run, an export or a model that has a name; raises UsageError."""
    checkpoint = "" if is_export(source) else warm_start.checkpoint_of(source, "tables_from")
    scale = warm_start.option_of(source, "table_scale")
    require(scale, f"`tables_from`: {source} is no JPEG encoder's")
    if not checkpoint:
        with naming("tables_from"):
            return network_file.read(network_path(source)).tables.numpy()
    name = "encoder/scaled_tables/.ATTRIBUTES/VARIABLE_VALUE"
    return tf.train.load_variable(checkpoint, name) / scale
