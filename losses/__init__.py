"""What is minimized: tensors to scalars, or to one number a sample.

Images are float32 [B, H, W, C] of pixel values 0..255. Arguments come as (reference, distorted) or,
in restoration, (clean, restored). A paper's losses are in the module of its name: several papers
have a `pixel_loss`. Importing this package does not import TensorFlow.
"""

from lossylab.core.lazy import exports

__getattr__, __dir__ = exports(
    __name__,
    {
        "adversarial": (
            "gradient_penalty",
            "hinge_discriminator",
            "hinge_generator",
            "least_squares_discriminator",
            "least_squares_generator",
        ),
        "distortion_gan": ("sparsity",),
        "features": ("FeatureDistance",),
        "jpeg_encoder": ("attention_rate", "coefficient_rate", "mse", "table_rate"),
        "lpips": ("LPIPS",),
        "mmd": ("prior_term", "squared_mmd"),
        "pixelcnn": ("bits_per_dim", "discretized_mixture_nll"),
        "proxiqa": ("metric_loss", "proxy_loss", "rate_loss", "ssim_loss", "total_loss"),
        "pixels": ("finite_gradient", "pixel_error"),
        "pulse": ("geocross", "squared_error"),
        "rankiqa": ("euclidean", "ranking_hinge"),
        "wcdgan": ("content_loss", "perceptual_loss", "total_variation"),
    },
)
