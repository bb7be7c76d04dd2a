"""Image quality, each metric in one module, its protocol in the docstring."""
