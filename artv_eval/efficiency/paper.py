"""Table 2 of the supplementary, beside which every measurement is printed (one A100-80GB; a batch is 16 frames)."""

from typing import NamedTuple


class Published(NamedTuple):
    """FLOPs in 10⁹ multiply–accumulates of Linear and Conv a batch, batches a second, GB a forward."""

    flops_g: float
    throughput_batch_s: float
    memory_gb: float


class Training(NamedTuple):
    """Training columns. ``gpus`` is None where the paper gives a dash."""

    batch: int
    iterations_k: int
    gpus: int | None
    gpu: str


TABLE_2: dict[str, dict[int, Published]] = {
    "modelscope": {
        320: Published(3689.72, 7.87, 10.91),
        448: Published(7201.22, 3.43, 16.67),
        768: Published(21100.92, 0.78, 75.08),
    },
    "artv": {
        320: Published(3163.20, 12.16, 10.52),
        448: Published(6162.88, 5.55, 11.08),
        768: Published(18036.96, 1.35, 13.44),
    },
}

TRAINING: dict[str, Training] = {
    "modelscope": Training(3200, 267, None, "A100-80GB"),
    "artv": Training(480, 258, 4, "A100-80GB"),
}
