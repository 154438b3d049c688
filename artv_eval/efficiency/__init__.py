"""The paper's Table 2: parameters, FLOPs, throughput and memory of one forward, and the cost of a finished clip."""
