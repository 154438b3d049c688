"""A sweep: plan, prepare, generate, score, write down."""
