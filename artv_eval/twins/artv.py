"""The built-in trainer: ``artv train`` in a process of its own, from the same settings and with the same resumption."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from artv.errors import UserError, WorkFailed
from artv.files import read_text, write_atomically
from artv.presets import check_components, check_start
from artv.training.config import (
    TrainConfig,
    code_version,
    for_cpu,
    identity,
    load_config,
    technical,
    with_changes,
    with_loop,
)
from artv.training.sizes import check_start_sizes
from artv_eval.results.training_log import logged_losses
from artv_eval.twins.costs import cost_of
from artv_eval.twins.sources import data_digest, start_digest

CLIPS = {"cpu": 2_048, "cuda": 65_536}
SAVING = 120.0  # seconds for the step under way and its checkpoint
KEPT = ("pipeline", "twin.json", "train.log", "lock", "config.json", "outcome.json", "model")


class ArtVTrainer:
    """``artv train --stages model``: the two networks, on a given autoencoder and text encoder.

    Args:
        preset: whose settings a training starts from: ``shapes`` or ``paper``.
        components: where the autoencoder and the text encoder come from: ``shapes``, or a pipeline's folder.
        init: where the networks start: a pipeline's folder, packaged weights, or SD-2.1-base; None: from nothing.
        device: where it runs. Another device is another model: batch, precision and rounding differ.
    """

    def __init__(
        self, *, preset: str = "shapes", components: str | None = None, init: str | None = None, device: str = "cpu"
    ) -> None:
        if preset == "paper" and init is None:
            raise UserError("the paper preset starts from pretrained weights; give --set trainer.init=SD-2.1-base")
        self.preset, self.init, self.device = preset, init, device
        self.components = components or ("shapes" if init is None else None)
        if self.components is not None:
            check_components(self.components)
        if init is not None:
            check_start(init, preset)

    def settings(self, changes: Mapping[str, Any], *, seed: int, steps: int | None) -> dict[str, Any]:
        """The settings file of ``artv train``, with digests of the data and of what it starts from."""
        config = load_config(self.preset, world=changes.get("world"))  # a world brings its length of clips
        config = with_changes(config, {**changes, "seed": seed}, "training")
        config = with_loop(config, "model", steps=steps)
        if self.init is not None:
            check_start_sizes(config, self.init)
        kind = self.device.partition(":")[0]
        if kind == "cpu":
            config = for_cpu(config, changes)
        if config.data == "builtin" and config.clips is None:
            config = config.model_copy(update={"clips": CLIPS[kind]})
        how = technical(config)
        return {
            **({"how": how} if how else {}),
            "config": identity(config),
            "data": data_digest(config.data),
            "start": start_digest(self.components, self.init),
            "device": kind,
            "code": code_version(config),
        }

    def train(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Runs ``artv train`` to its end.

        Raises:
            WorkFailed: it failed; the last line of what it said.
        """
        config = folder / "settings.yaml"
        write_atomically(config, (_config(settings).model_dump_json(indent=1) + "\n").encode())
        command = ["--preset", self.preset, "--config", str(config), "--out", str(folder), "--stages", "model"]
        command += ["--components", self.components] if self.components else []
        command += ["--init", self.init] if self.init else []
        watched = [sys.executable, "-m", "artv_eval.twins.child", str(os.getpid()), "train"]
        command = [*watched, *command, "--device", self.device]
        # with the lock of the folder open, so that nobody else trains there while it lives, and in a group of its own:
        # of two signals, a terminal's and ours, the second would keep it from saving
        with (
            (folder / "train.log").open("a", encoding="utf-8") as log,
            subprocess.Popen(command, stdout=log, stderr=log, close_fds=False, process_group=0) as process,
        ):
            code = _ended(process)
        if code in (130, -signal.SIGINT):
            raise KeyboardInterrupt
        if code:
            raise WorkFailed(last_line(folder / "train.log") or f"artv train ended with {code}")
        self._tidy(folder)

    def steps(self, folder: Path) -> int:
        """Steps done so far, as its log has them."""
        try:
            lines = read_text(folder / "model" / "log.jsonl").splitlines()
            return int(json.loads(lines[-1])["step"])
        except (OSError, ValueError, IndexError, KeyError):
            return 0

    def curves(self, folder: Path) -> dict[str, list[tuple[int, float]]]:
        """Losses, of validation too, as its log has them."""
        return logged_losses(folder / "model" / "log.jsonl")

    def cost(self, settings: Mapping[str, Any]) -> tuple[float | None, int]:
        """Estimated minutes on one device, and bytes on disk while it trains."""
        return cost_of(_config(settings), settings["device"])

    def _tidy(self, folder: Path) -> None:
        """Leaves the pipeline, the settings and the log: what continues a training is of no use after its end."""
        for path in folder.iterdir():
            if path.name not in KEPT and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        for path in (folder / "model").iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)


def _ended(process: subprocess.Popen) -> int:
    """Waits; hands Ctrl-C on and waits until what was trained is saved."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SAVING)
        raise
    finally:
        process.kill()  # does nothing to one that has ended


def _config(settings: Mapping[str, Any]) -> TrainConfig:
    """What determines the model, and how it is made; where neither says something it is the preset's."""
    preset = load_config(settings["config"]["preset"])
    return with_changes(with_changes(preset, settings["config"], "training"), settings.get("how", {}), "training")


def last_line(file: Path) -> str:
    """What a log ends with."""
    lines = [line.strip() for line in read_text(file, errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("artv: ").removeprefix("error: ") if lines else ""
