"""Measurements shared by machines: parts of images, rows put together, workers of a pipeline."""
