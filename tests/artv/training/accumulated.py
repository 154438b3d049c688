"""Run by test_processes: a step of eight clips of a stream, two at once in each process, with random noise."""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from artv.data.latents import LatentCache
from artv.data.shards import LatentStream, MicroStreams
from artv.training import processes
from artv.training.loop import LoopConfig, optimise
from artv.training.run import shared_cache

shards, out = Path(sys.argv[1]), Path(sys.argv[2])
accelerator = Accelerator(cpu=True)
torch.manual_seed(0)
model = torch.nn.Linear(12, 1)
world, config = processes.world(), LoopConfig(steps=50, batch_size=2, global_batch=8, lr=0.01, warmup=1, grad_clip=None)
places = config.micro_batches(world) * world


def stream(place: int) -> LatentStream:
    return LatentStream(shards, batch_size=2, device=torch.device("cpu"), seed=1, rank=place, world=places, workers=0)


streams = MicroStreams({place: stream(place) for place in range(processes.rank(), places, world)})


def draw_loss() -> torch.Tensor:
    clips = streams.sample(2).latents_BTChw.flatten(1)[:, :12] / 20
    return (model(clips + 0.1 * torch.randn_like(clips)) - clips.mean(1, keepdim=True)).square().mean()


# the same in either way of holding clips
rows = torch.arange(7.0)[:, None]
everyones = shared_cache(LatentCache(rows[processes.rank() :: world], rows[processes.rank() :: world]))
assert torch.equal(everyones.latents_NTChw, rows) and torch.equal(everyones.text_NLD, rows)

prepare = accelerator.prepare_model if world > 1 else None
optimise(model, draw_loss, config, out, name="toy", device=torch.device("cpu"), prepare=prepare, fetch=streams.fetch)
if processes.is_main():
    torch.save({"weight": model.weight.detach()}, out / "result.pt")
processes.leave()
