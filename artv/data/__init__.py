"""Training data: the synthetic shapes world, video files with captions, readers and latent caches."""
