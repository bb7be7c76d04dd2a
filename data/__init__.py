"""Image files to batches: collections, decoding, distortions and reproducible training data.

Importing this package imports neither TensorFlow nor Pillow: its names are looked up when they are
first asked for.
"""

from lossylab.core.lazy import exports

__getattr__, __dir__ = exports(
    __name__,
    {
        "collections": ("COLLECTIONS", "Collection", "find_images"),
        "color": ("LUMA_CONVENTIONS", "luma_by"),
        "decode": ("DecodedFile", "decode_image", "read_image"),
        "distortions": ("DISTORTIONS", "Distortion", "distort"),
        "jpeg": ("chrominance_table", "degrade", "luminance_table", "nearest_quality"),
        "lattice_pairs": ("Lattice", "LatticeOptions", "lattice_patches"),
        "patch_pairs": ("DistortedOptions", "distorted_patches"),
        "patches": ("CropOptions", "PatchOptions", "random_patches"),
        "rankings": ("DISTORTION_LEVELS", "ranked_crops"),
        "ratings": ("Rated", "rated_crops", "read_ratings"),
        "scaled_pairs": ("DegradedOptions", "degraded_crops", "degraded_pair"),
        "schedule": ("Schedule", "Stream"),
    },
)
