"""Training: the loss, the loop, moving averages, checkpoints, and the three stages of a preset."""
