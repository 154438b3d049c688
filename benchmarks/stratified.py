"""What even shares of dropped conditions do to what is learned: a toy, small networks on the built-in world on a CPU.

    python benchmarks/stratified.py --steps 250 --seeds 6      # some 22 minutes on one core

Each seed trains two pairs of networks from the same weights, one with conditions drawn sample by sample, one with even
shares (`stratified`), and takes the loss of the averaged weights on held-out clips, the same frames, timesteps, noise
and conditions (drawn sample by sample) for both. Prints each, and the mean difference with Student's 95 % interval.
"""

import argparse
import statistics
import time
from typing import Any

import torch
from scipy.stats import t as student

from artv import ArtVModel
from artv.autoencoder import encode_frames
from artv.config import ModelConfig, NetworkConfig
from artv.data.latents import LatentCache
from artv.data.shapes import ShapesWorld
from artv.presets import load_components
from artv.training.config import TrainConfig, load_config, with_loop
from artv.training.model import loss_drawer
from artv.training.step import Step

PARTS = load_components("shapes")
COMMON: dict[str, Any] = {
    "attention": (True, False),
    "heads": (2, 2),
    "layers": 1,
    "text_dim": 96,
    "norm_groups": 8,
    "sample_size": 16,
}
SIZES = ModelConfig(
    dynamic=NetworkConfig(channels=(32, 64), out_channels=4, **COMMON),
    mask=NetworkConfig(channels=(16, 32), out_channels=1, **COMMON),
)


@torch.no_grad()
def clips(split: str, count: int) -> LatentCache:
    batch = ShapesWorld(split).batch(range(count))
    latents = torch.stack([encode_frames(PARTS["autoencoder"], frames) for frames in batch.frames])
    return LatentCache(latents.half(), PARTS["text_encoder"].encode(batch.captions).half())


def settings(stratified: bool, batch: int, steps: int) -> TrainConfig:
    """The preset's, without what weights some samples more."""
    config = load_config("shapes", weight_cap=1.0, start_share=0.0)
    config = config.model_copy(update={"stratified": stratified, "networks": SIZES})
    return with_loop(
        config, "model", batch_size=batch, precision="fp32", lr=1e-3, warmup=20, steps=steps, ema_decay=0.98
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train, held, cpu = clips("train", 192), clips("test", 64), torch.device("cpu")
    null = PARTS["text_encoder"].encode([""])[0].detach()

    def trained(seed: int, stratified: bool) -> tuple[float, float]:
        """The loss, and seconds of CPU a step."""
        config = settings(stratified, 20, arguments.steps)
        torch.manual_seed(seed)
        model = ArtVModel.from_config(SIZES)
        step = Step(model, loss_drawer(model, train.sample, null, config), config.model, cpu)
        torch.manual_seed(100 + seed)
        began = time.process_time()
        for k in range(arguments.steps):
            step(k)
        seconds = (time.process_time() - began) / arguments.steps
        averaged = step.ema.model
        assert isinstance(averaged, ArtVModel)
        draw = loss_drawer(averaged, held.sample, null, settings(False, 64, 1))
        torch.manual_seed(7)
        with torch.no_grad():
            return statistics.mean(draw().item() for _ in range(12)), seconds

    rows = []
    for seed in range(arguments.seeds):
        rows.append((*trained(seed, False), *trained(seed, True)))
        print(
            "seed {}: {:.4f} sample by sample ({:.3f} s a step), {:.4f} even shares ({:.3f} s)".format(seed, *rows[-1])
        )
    differences = [even - apart for apart, _, even, _ in rows]
    mean, n = statistics.mean(differences), len(differences)
    half = student.ppf(0.975, n - 1) * statistics.stdev(differences) / n**0.5 if n > 1 else float("nan")
    ratio = statistics.median(row[3] / row[1] for row in rows)
    print(f"difference {mean:+.4f} ± {half:.4f}, of {statistics.mean(row[0] for row in rows):.4f}; time {ratio:.3f}")


if __name__ == "__main__":
    main()
