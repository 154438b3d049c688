"""One of two processes that evaluate together: python ranks.py RANK FILE. Rank 1 has no clips. Prints the values."""

import sys

import torch
import torch.distributed as dist

from artv_eval.metrics import FrechetVideoDistance
from artv_eval.metrics.clip_modules import Flicker
from artv_eval.metrics.set_modules import KernelVideoDistance


def features(seed, dtype=torch.bfloat16):
    return torch.randn(30, 4, generator=torch.Generator().manual_seed(seed)).to(dtype)


def main(rank, file):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    metrics = [KernelVideoDistance(), FrechetVideoDistance(dim=4), Flicker()]
    if rank == 0:
        for metric in metrics[:2]:
            metric.update(features(0), real=True)
            metric.update(features(1), real=False)
        clips = torch.randint(0, 256, (3, 4, 3, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
        metrics[2].update(clips)
    print(*(float(metric.compute()) for metric in metrics), len(metrics[2].per_clip()))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
