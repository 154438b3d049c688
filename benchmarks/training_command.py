"""How fast ``artv train`` itself is at full size: latents from disk, checkpoints in the background.

    python benchmarks/training_command.py --out results --work /tmp/work          # one GPU, some 20 GB of host memory
    python benchmarks/training_command.py --out results --work /tmp/work --gpus 4 --no-checkpoint # on the same data
    python benchmarks/training_command.py --preset shapes --batch 4 --device cpu  # a rehearsal: times mean nothing

Makes a pipeline with random weights and shards of random latents, runs the command until a checkpoint is written and
some steps after it (``--no-checkpoint``: some steps once they are captured), and ends it. From its log: samples a
second (median of rows after the start), and by how much the row with the checkpoint in it took longer than its steps
do. Writes ``training_command.json``.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artv import ArtVModel, ArtVPipeline
from artv.autoencoder import paper_autoencoder
from artv.data.shard_index import ShardIndex, claim_shards
from artv.data.shards import digest, write_shards
from artv.text_encoder import OpenClipTextEncoder
from artv.training.config import load_config

START = 15
"""Steps that tell nothing of the speed: compiled, then eager, then captured."""

NEVER = 1e6
"""Minutes between checkpoints."""

LIMITED = """import runpy, torch
torch.cuda.set_per_process_memory_fraction(({} - 0.5) * 2**30 / torch.cuda.get_device_properties(0).total_memory)
runpy.run_module("artv_eval.twins.child", run_name="__main__", alter_sys=True)
"""
"""The command on a card with less memory, in GiB: torch may have so much of it, less the context's 0.5 GiB."""


def make_pipeline(folder: Path, preset: str, device: str) -> ArtVPipeline:
    """Random weights of full size (the text encoder with few layers, since it only names the latents)."""
    if preset == "shapes":
        pipeline = ArtVPipeline.from_pretrained("shapes")
    else:
        with torch.device(device):
            pipeline = ArtVPipeline(
                model=ArtVModel.from_config(preset="paper"),
                autoencoder=paper_autoencoder(),
                text_encoder=OpenClipTextEncoder(layers=2),
            )
    pipeline.save_pretrained(folder)
    return pipeline


def make_shards(folder: Path, pipeline: ArtVPipeline, preset: str, size: int, clips: int) -> None:
    """Random latents and text, in shards as ``artv data latents`` writes them."""
    text = (77, 1024) if preset == "paper" else (32, 96)
    side, frames = size // (8 if preset == "paper" else 4), 16
    index = ShardIndex(
        data="random", clips=clips, num_frames=frames, size=size, fps=8.0, clips_a_shard=64,
        encoders=digest(pipeline.autoencoder, pipeline.text_encoder),
    )  # fmt: skip
    claim_shards(folder, index)

    def read(*groups):
        for group in groups:
            yield torch.zeros(len(group), frames, 1), [""] * len(group)

    def encode(frames: Tensor) -> Tensor:
        return torch.randn(len(frames), 4, side, side)

    write_shards(folder, index, read, encode, lambda captions: torch.randn(len(captions), *text))


def run_command(out: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the command until ``arguments.rows`` rows of log follow a whole checkpoint, or the start; then kills it."""
    settings = out / "settings.json"  # JSON is YAML
    model = {"save_minutes": arguments.save_minutes, "reduce_dtype": arguments.reduce_dtype}
    model["fused_update"] = arguments.fused_update
    over = {"size": arguments.size, "model": model, "overlap": arguments.overlap}
    over |= {"stratified": arguments.stratified, "attention_kernels": arguments.attention_kernels}
    settings.write_text(json.dumps(over), encoding="utf-8")
    run = out / f"run-{arguments.gpus}-{arguments.batch}"
    if arguments.gpus == 1:
        # as a child that dies with this process: what is left on the card would slow down all that is measured after
        start = ["-c", LIMITED.format(arguments.card)] if arguments.card else ["-m", "artv_eval.twins.child"]
        start.append(str(os.getpid()))
    else:
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(arguments.gpus), "-m", "artv"]
    command = ["train", "--preset", arguments.preset, "--out", str(run)]
    command += ["--data", str(out / "latents"), "--config", str(settings), "--device", arguments.device]
    command += ["--init", str(arguments.init or out / "pipeline"), "--stages", "model"]
    command += ["--batch-size", str(arguments.batch)]
    started, after = time.monotonic(), 0
    with (arguments.out / "training_command.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([sys.executable, *start, *command], stderr=log, stdout=log)
        try:
            while process.poll() is None and time.monotonic() - started < arguments.seconds and after < arguments.rows:
                time.sleep(1)
                saved = START if arguments.save_minutes == NEVER else saved_step(run)
                after = sum(row["step"] > saved for row in read_log(run)) if saved is not None else 0
        finally:
            kill(process)
    return summary(read_log(run), saved_step(run), arguments.batch * arguments.gpus)


def kill(process: subprocess.Popen) -> None:
    """At once and with its workers, which torchrun gives sessions of their own: they would save 20 GB first."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for pid in [*(children.read_text(encoding="utf-8").split() if children.exists() else ()), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    process.wait()


def read_log(run: Path) -> list[dict[str, Any]]:
    file = run / "model" / "log.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [row for row in map(json.loads, lines) if "samples_per_s" in row]


def saved_step(run: Path) -> int | None:
    """Step of the newest whole state, if it is not of the first steps, which compile and reserve memory."""
    file = run / "model" / "state" / "step.json"
    step = json.loads(file.read_text(encoding="utf-8"))["step"] if file.is_file() else 0
    return step if step > START else None


def summary(rows: list[dict[str, Any]], saved: int | None, batch: int) -> dict[str, Any]:
    """Speed, and the seconds by which rows took longer than the median step says."""
    steps = [b["step"] - a["step"] for a, b in itertools.pairwise(rows)]
    seconds = [n * batch / row["samples_per_s"] for n, row in zip(steps, rows[1:], strict=True)]
    each = [t / n for t, n in zip(seconds, steps, strict=True)]
    settled = [t for row, t in zip(rows, each, strict=False) if row["step"] >= START] or each
    usual = statistics.median(settled) if steps else float("nan")
    late = {row["step"]: t - n * usual for row, t, n in zip(rows[1:], seconds, steps, strict=True)}
    holding = next((step for step in sorted(late) if saved is not None and step > saved), None)
    return {
        "samples_per_s": batch / usual if steps else None,
        "step_ms": 1e3 * usual,
        "saved_at_step": saved,
        "late_s_at_checkpoint": None if saved is None else max((late.get(saved), late.get(holding)), key=_or_zero),
        "late_s_by_row": late,
        "rows": rows,
    }


def _or_zero(value: float | None) -> float:
    return value or 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--work", type=Path, default=Path("training-command"), help="weights, latents and run")
    parser.add_argument("--init", type=Path, help="where the pipeline is written, or is; default: in --work")
    parser.add_argument("--preset", default="paper", choices=("paper", "shapes"))
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch", type=int, default=120)
    parser.add_argument("--gpus", type=int, default=1)
    flag = argparse.BooleanOptionalAction
    parser.add_argument("--overlap", action=flag, default=True, help="the two networks on two streams")
    parser.add_argument("--fused-update", action=flag, default=True, help="AdamW and the average in one kernel")
    parser.add_argument("--stratified", action=flag, default=True, help="nothing is computed for what is dropped")
    parser.add_argument("--attention-kernels", default="auto", choices=("auto", "fa3"))
    parser.add_argument("--card", type=int, help="memory that the one GPU may have, in GiB")
    parser.add_argument("--reduce-dtype", default="fp32", choices=("fp32", "bf16"), help="of gradients")
    parser.add_argument("--clips", type=int, default=1024)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--save-minutes", type=float, default=0.5)
    parser.add_argument("--no-checkpoint", dest="save_minutes", action="store_const", const=NEVER)
    parser.add_argument("--rows", type=int, default=4, help="rows of log after the checkpoint is whole")
    parser.add_argument("--only-make", action="store_true", help="the pipeline and the shards, for later runs")
    parser.add_argument("--seconds", type=float, default=180, help="the longest that the command may run")
    arguments = parser.parse_args()
    arguments.size = arguments.size or load_config(arguments.preset).size
    for folder in (arguments.out, arguments.work):
        folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    init = arguments.init or arguments.work / "pipeline"
    if not (arguments.work / "latents").exists():
        pipeline = make_pipeline(init, arguments.preset, arguments.device)
        make_shards(arguments.work / "latents", pipeline, arguments.preset, arguments.size, arguments.clips)
        del pipeline
    if arguments.device == "cuda":
        torch.cuda.empty_cache()
    made = time.monotonic() - started
    if arguments.only_make:
        return
    signal.signal(signal.SIGTERM, lambda *_: setattr(arguments, "seconds", 0.0))  # what was measured until then counts
    record = {
        "made_s": made,
        "gpus": arguments.gpus,
        "batch": arguments.batch,
        "size": arguments.size,
        "card_gib": arguments.card,
        "overlap": arguments.overlap,
        "fused_update": arguments.fused_update,
        "stratified": arguments.stratified,
        "attention_kernels": arguments.attention_kernels,
        "reduce_dtype": arguments.reduce_dtype,
        "nccl": {k: v for k, v in os.environ.items() if k.startswith(("NCCL_", "TORCH_NCCL_"))},
        **run_command(arguments.work, arguments),
    }
    file = arguments.out / f"training_command{'' if arguments.gpus == 1 else f'_{arguments.gpus}_gpus'}.json"
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in record.items() if k != "rows"}))


if __name__ == "__main__":
    main()
