"""Search in a generator's latent space."""
