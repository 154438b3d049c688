"""The same networks for sampling only: fused layers, Triton kernels, one captured graph an evaluation."""
