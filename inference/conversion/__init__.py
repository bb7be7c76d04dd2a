"""Exports as files of other runtimes: ONNX and TensorFlow Lite."""
