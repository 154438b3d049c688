"""A training step of several GPUs by how these exchange gradients, beside the same step of each GPU for itself.

    torchrun --nproc-per-node 4 benchmarks/training_exchange.py --out results
    torchrun --nproc-per-node 2 benchmarks/training_exchange.py --out results --device cpu    # a rehearsal

``alone`` exchanges nothing. ``fp32`` and ``bf16`` are the settings of ``reduce_dtype``, and go through the same draws:
their losses are told as well. The others are bf16 with NCCL's kernels first in line, on fewer of the card's
multiprocessors, with the two networks on two streams, or with the update and the average in one pass. Milliseconds are
between CUDA events, the medians of every GPU; a step that waits for the others is as slow as the slowest. Each row is
written to ``training_exchange.json`` as soon as it is there.
"""

import argparse
import gc
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from training_speed import Bench, make_step, settings_of

from artv.training import processes
from artv.training.config import with_loop
from artv.training.launch import exchange
from artv_eval.efficiency.cuda import clocks
from artv_eval.efficiency.rows import versions

WAYS: dict[str, dict[str, Any]] = {
    "alone": {"steps": 20},
    "bf16": {"reduce_dtype": "bf16", "steps": 36},
    "fp32": {"reduce_dtype": "fp32", "steps": 36},
    "bf16, first": {"reduce_dtype": "bf16", "first": True, "steps": 24, "env": "TORCH_NCCL_HIGH_PRIORITY=1"},
    "bf16, first, 16 blocks": {
        "reduce_dtype": "bf16", "first": True, "blocks": 16, "steps": 26,
        "env": "TORCH_NCCL_HIGH_PRIORITY=1 NCCL_MAX_CTAS=16",
    },
    "two streams": {"reduce_dtype": "bf16", "first": True, "overlap": True, "steps": 24},
    "one pass": {"reduce_dtype": "bf16", "first": True, "fused_update": True, "steps": 24},
    "one pass, two streams": {
        "reduce_dtype": "bf16", "first": True, "fused_update": True, "overlap": True, "steps": 24,
    },
    "bf16, 8 blocks": {"reduce_dtype": "bf16", "blocks": 8, "steps": 26, "env": "NCCL_MAX_CTAS=8"},
}  # fmt: skip
"""``env``: what gives a whole training the same."""
EAGERLY = 13
"""Steps until one is captured, and that one."""


def group_of(way: dict[str, Any], device: torch.device) -> Any:
    """Processes whose exchange runs as asked."""
    if device.type == "cpu":
        return dist.new_group(backend="gloo")
    options = dist.ProcessGroupNCCL.Options(is_high_priority_stream=way.get("first", False))
    if "blocks" in way:
        options.config.max_ctas = way["blocks"]
    return dist.new_group(backend="nccl", pg_options=options)


def wrapped(module: nn.Module, group: Any) -> nn.Module:
    """The module as accelerate wraps it for the command."""
    return DistributedDataParallel(module, process_group=group, **exchange().to_kwargs())


def measured(name: str, way: dict[str, Any], bench: Bench, batch: int) -> dict[str, Any]:
    """One row, of all processes together; the same in each."""
    group = group_of(way, bench.device) if "reduce_dtype" in way else None
    prepare = None if group is None else partial(wrapped, group=group)
    pixels = 320 if bench.real else 128
    config = settings_of("paper", "fused, two streams" if "overlap" in way else "fused", pixels, batch, bench)
    over = {name: way.get(name) for name in ("reduce_dtype", "fused_update")}
    config = with_loop(config, "model", precision="bf16", **over)
    step = make_step(config, bench, pixels // 8, prepare)
    torch.manual_seed(1 + processes.rank())
    numbers = iter(range(way["steps"]))
    losses: list[torch.Tensor] = []

    def one() -> None:
        losses.append(step(next(numbers)).clone())

    for _ in range(EAGERLY if bench.real else 1):
        one()
    captured = step._graph is not None
    bench.repeats = way["steps"] - len(losses)
    times = bench.milliseconds(one)
    while not bench.real and len(losses) < way["steps"]:
        one()
    mine = {"ms": statistics.median(times), "range": [min(times), max(times)], "loss": torch.stack(losses).tolist()}
    if bench.real:
        mine |= {"peak_gib": torch.cuda.max_memory_allocated() / 2**30, "clocks": clocks()}
    step.close()
    all_ = processes.gather(mine)
    slowest = max(each["ms"] for each in all_)
    loss = [statistics.fmean(losses) for losses in zip(*(each.pop("loss") for each in all_), strict=True)]
    rate = 1e3 * batch * sum(1 / (slowest if group is not None else each["ms"]) for each in all_)
    return {"way": name, "samples_per_s": rate, "captured": captured, "gpus": all_, "loss": loss, **way}


def let_go(bench: Bench) -> None:
    """The memory of the way before."""
    gc.collect()
    if bench.real:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rates relative to all GPUs each for itself, the best way's environment, and how far losses are apart."""
    by = {row["way"]: row for row in rows}
    told: dict[str, Any] = {}
    if "alone" in by:
        told["share"] = {n: row["samples_per_s"] / by["alone"]["samples_per_s"] for n, row in by.items()}
    if {"fp32", "bf16"} <= by.keys():
        pairs = zip(by["bf16"]["loss"], by["fp32"]["loss"], strict=True)
        told["loss_apart"] = max(abs(a - b) / b for a, b in pairs)
    exchanged = [row for row in rows if "reduce_dtype" in row]
    if exchanged:
        best = max(exchanged, key=lambda row: row["samples_per_s"])
        told |= {"best": best["way"], "reduce_dtype": best["reduce_dtype"], "env": best.get("env", "")}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--way", action="append", choices=WAYS, help="default: all, in this order")
    parser.add_argument("--batch", type=int, default=120)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--seconds", type=float, default=600, help="no way is begun after it")
    arguments = parser.parse_args()
    started = time.monotonic()
    from accelerate import Accelerator

    device = Accelerator(cpu=arguments.device == "cpu").device
    bench = Bench(argparse.Namespace(**vars(arguments), repeats=1, variant=[], pixels=None, profile=False, card=None,
                                     steps=0))  # fmt: skip
    bench.device = device
    if bench.real:
        torch.backends.cudnn.benchmark = True
        torch.cuda.set_stream(torch.cuda.Stream())
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name in arguments.way or WAYS:
        (late,) = processes.any_of(time.monotonic() - started > arguments.seconds)
        if late:
            break
        rows.append({**measured(name, WAYS[name], bench, arguments.batch), "at_s": time.monotonic() - started})
        let_go(bench)
        if processes.is_main():
            record = {"made_with": versions(arguments.device), "batch": arguments.batch, **summary(rows), "rows": rows}
            file = arguments.out / "training_exchange.json"
            file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "loss"}), summary(rows), flush=True)
    processes.leave()


if __name__ == "__main__":
    main()
