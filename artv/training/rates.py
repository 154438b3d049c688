"""How fast a training is expected to be: by steps that were measured, and a rule for other batches than theirs.

Rows are of one NVIDIA H200 alone (benchmarks/results/training-h200), fused, in bfloat16, without recomputation.
"""

from dataclasses import dataclass

from artv.training.config import TrainConfig, load_config


@dataclass(frozen=True)
class Row:
    """Steps of ``batch`` samples, so many samples a second."""

    samples_per_s: float
    batch: int

    @property
    def seconds(self) -> float:
        """What a step takes."""
        return self.batch / self.samples_per_s


CAPTURED = {
    ("shapes", 64, False, "auto"): Row(25_000.0, 512),
    ("paper", 320, False, "auto"): Row(276.3, 120),
    ("paper", 640, False, "auto"): Row(53.9, 32),
    ("paper", 320, True, "auto"): Row(297.7, 120),
    ("paper", 640, True, "auto"): Row(56.4, 32),
    ("paper", 320, True, "fa3"): Row(301.3, 120),
    ("paper", 640, True, "fa3"): Row(60.4, 32),
}
"""By preset, size, whether samples lack conditions in even shares (``stratified``), and ``attention_kernels``."""

EAGER = {("paper", 320): Row(189.4, 120), ("paper", 640): Row(42.3, 32)}
"""Steps that are not captured as a CUDA graph, of samples drawn apart, before passes over memory became fewer."""

STEP_SECONDS = {"paper": 0.0452}
"""What a step takes whatever its batch: 447.6 ms of 120 samples at 320 and 152.5 of 32 lie on a line that begins there,
and on which 96 are 367.1 (measured: 368.0)."""

FEWEST = 32
"""The smallest batch at 320 that was measured; at other sizes as many pixels: below, a step may not get shorter."""

SHARE_OF_SEVERAL = 0.95
"""What each of several GPUs that exchange gradients keeps of its speed at the batch of the row (two and four of one
machine): the exchange takes as long at any batch."""


@dataclass(frozen=True)
class Speed:
    """Samples a second of all processes together, at least and at most, and ``by`` what."""

    least: float
    most: float
    by: str


def expected_speed(config: TrainConfig, world: int = 1) -> Speed | None:
    """Speed of the networks' training on ``world`` GPUs; None where nothing like it was measured."""
    kernels = config.attention_kernels
    rows = (CAPTURED.get((config.preset, config.size, config.stratified, each)) for each in (kernels, "auto"))
    row = next(filter(None, rows), None)
    if row is None or config.recompute or not config.fused or config.model.precision != "bf16":
        return None
    if config.model.optimizer != "adamw":
        return None
    least, most, by = _captured(config, row)
    if not config.model.graph or config.model.micro_batches(world) > 1:
        eager = EAGER.get((config.preset, config.size))
        if eager is None:
            return None
        most = eager.seconds * max(1.0, config.model.batch_size / eager.batch)
        by = f"from captured steps to such as are not, which were measured at batch {eager.batch}"
    exchange = row.seconds * (1 / SHARE_OF_SEVERAL - 1) if world > 1 else 0.0
    samples = config.model.batch_size * world
    unlike = _unlike(config, row)
    return Speed(samples / (most + exchange), samples / (least + exchange), by + (f", with {unlike}" if unlike else ""))


def _captured(config: TrainConfig, row: Row) -> tuple[float, float, str]:
    """Seconds of a step, at least and at most, and why."""
    batch, fixed = config.model.batch_size, STEP_SECONDS.get(config.preset, 0.0)
    if batch == row.batch:
        return row.seconds, row.seconds, f"as measured at batch {batch}"
    by_the_sample = fixed + (row.seconds - fixed) * batch / row.batch
    if fixed and batch * config.size**2 >= FEWEST * 320**2:
        rule = f"{1e3 * fixed:.0f} ms a step and the rest by the sample"
        return by_the_sample, by_the_sample, f"about: {row.samples_per_s:g} were measured at batch {row.batch}; {rule}"
    if batch > row.batch:
        return by_the_sample, by_the_sample, f"at least, as measured at batch {row.batch}"
    return by_the_sample, row.seconds, f"measured at batch {row.batch} alone"


def _unlike(config: TrainConfig, row: Row) -> str:
    """What the row was measured with and this is without."""
    found = []
    if (config.preset, config.size, config.stratified, config.attention_kernels) not in CAPTURED:
        found.append("attention_kernels auto")
    if not (config.mask and config.anchor):
        found.append("mask and anchor")
    if config.networks is not None:
        found.append("larger networks")
    if config.preset == "paper" and not (config.model.fused_update and config.overlap):
        found.append("fused_update and overlap")
    usual = load_config(config.preset)
    shares = ("drop_ref", "drop_anchor", "first_frame_share")
    if config.stratified and any(getattr(config, name) != getattr(usual, name) for name in shares):
        found.append("the preset's shares of dropped conditions")
    return ", ".join(found)
