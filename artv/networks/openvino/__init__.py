"""Sampling through OpenVINO on a CPU: a row of the networks as one compiled graph, kept on disk."""
