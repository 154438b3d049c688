"""Networks that turn clips, pictures and captions into numbers that metrics compare."""
