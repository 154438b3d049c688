"""Twins: the models that an ablation compares, trained as part of its plan, each under several training seeds."""
