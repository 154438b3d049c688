"""Run by test_step_on_gpus, alone or by torchrun: fifty steps of the small networks and their losses."""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from artv import ArtVModel
from artv.data.latents import Batch
from artv.training import processes
from artv.training.config import load_config, with_loop
from artv.training.launch import exchange
from artv.training.model import loss_drawer, prepare_networks
from artv.training.step import Step

out, at_once, reduced = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
accelerator = Accelerator(kwargs_handlers=[exchange()])
torch.cuda.set_stream(torch.cuda.Stream())
config = with_loop(
    load_config("shapes"), "model",
    batch_size=at_once, global_batch=8, warmup=1, steps=50, lr=1e-4, reduce_dtype=reduced,
    fused_update=reduced == "bf16",
)  # fmt: skip
torch.manual_seed(0)
with accelerator.device:
    model, null_text = ArtVModel.from_config(config.sizes()), torch.randn(32, 96)
prepare_networks(model, config, accelerator.device)


def draw(count: int) -> Batch:
    with accelerator.device:
        return Batch(torch.randn(count, config.num_frames, 4, 16, 16), torch.randn(count, 32, 96))


draw_loss = loss_drawer(model, draw, null_text, config)
prepare = accelerator.prepare_model if processes.world() > 1 else None
step = Step(model, draw_loss, config.model, accelerator.device, prepare)
losses = [step(number).item() for number in range(50)]
everyones = torch.tensor(processes.gather(losses)).mean(0)
if processes.is_main():
    torch.save({"losses": everyones, "captured": step._graph is not None}, out)
step.close()
processes.leave()
