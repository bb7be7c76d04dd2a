"""What a trained model does for its user: exports, codecs, latent search, importers."""
