"""Networks and codecs: tensors in, tensors out; no files, no flags."""
