"""Training: the loss against its formula, resumption bit for bit, and the stages end to end at toy size."""

import json
import math
import resource
import subprocess
import threading
import time

import pytest
import torch

from artv.composition import compose, copied_noise
from artv.conditioning import ConditionDropout, constant, noise_levels, reference_frames
from artv.data.latents import Batch, LatentCache
from artv.errors import UserError, WorkFailed
from artv.networks import ArtVModel
from artv.training.checkpoint import load_state, save_state
from artv.training.config import load_config, with_loop
from artv.training.ema import Ema
from artv.training.loop import LoopConfig, optimise
from artv.training.loss import draw_conditions, noise_prediction_loss
from artv.training.run import _claim

CPU = torch.device("cpu")


@pytest.fixture
def cache():
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(6, 5, 4, 16, 16, generator=generator).half()
    return LatentCache(latents, torch.randn(6, 32, 96, generator=generator).half())


def test_composition_in_noise_equals_composition_in_x0():
    z0, ref, eps, dynamic = torch.randn(4, 2, 4, 3, 3)
    mask, a, s = torch.rand(2, 1, 3, 3), torch.tensor(0.6).view(1, 1, 1, 1), torch.tensor(0.8).view(1, 1, 1, 1)
    z = a * z0 + s * eps
    composed = compose(mask, copied_noise(z, ref, a, s), dynamic)
    x0 = (z - s * composed) / a
    assert torch.allclose(x0, mask * ref + (1 - mask) * (z - s * dynamic) / a, atol=1e-5)


def test_a_full_mask_copies_exactly():
    z, ref = torch.randn(2, 1, 4, 3, 3).unbind()
    a = s = torch.tensor(0.5**0.5)
    eps = compose(torch.ones(1, 1, 3, 3), copied_noise(z, ref, a, s), torch.randn_like(z))
    assert torch.allclose((z - s * eps) / a, ref, atol=1e-5)


def test_reference_frames():
    frames = torch.arange(5.0).view(1, 5, 1, 1, 1).expand(3, -1, -1, -1, -1)
    assert reference_frames(frames, torch.tensor([1, 2, 4]), 2).flatten(1).tolist() == [[0, 0], [0, 1], [2, 3]]


def test_first_frames_have_no_references_and_dropout_drops(cache):
    batch = Batch(cache.latents_NTChw.float(), cache.text_NLD.float())
    i, null = torch.tensor([0, 1, 2, 3, 4, 1]), torch.zeros(32, 96)
    kept = draw_conditions(batch, i, null, ConditionDropout(text=0, ref=0, anchor=0), constant(0.0), 2)
    assert kept.keep_ref_B.tolist() == [0, 1, 1, 1, 1, 1] and kept.keep_anchor_B.tolist() == [0, 1, 1, 1, 1, 1]
    assert torch.equal(kept.copy_BCHW[2], batch.latents_BTChw[2, 1])
    assert torch.equal(kept.anchor_BCHW, batch.latents_BTChw[:, 0])
    dropped = draw_conditions(batch, i, null, ConditionDropout(text=1, ref=1, anchor=1), constant(0.5), 2)
    assert dropped.text_BLD.abs().max() == 0 and dropped.keep_ref_B.sum() + dropped.keep_anchor_B.sum() == 0
    assert torch.equal(dropped.copy_BCHW, kept.copy_BCHW)  # what is copied stays clean
    assert not torch.allclose(dropped.refs_BKCHW, kept.refs_BKCHW)
    starts = draw_conditions(batch, i, null, ConditionDropout(), constant(0.0), 2, start_share=1.0)
    assert torch.equal(starts.refs_BKCHW[:, 0], starts.refs_BKCHW[:, 1])


def test_loss_of_a_perfect_prediction_is_zero(cache):
    model = ArtVModel.from_config(preset="shapes", mask=False)

    class Knows(torch.nn.Module):
        """Sees the clean target: with one clip and one target frame, the noise is known."""

        def forward(self, z, t, conditions):
            from artv.networks import Prediction

            a, s = model.schedule.a_s(t)
            target = conditions.anchor_BCHW  # the first frame is the target below
            return Prediction((z - a * target) / s, None)

    batch = Batch(cache.latents_NTChw.float()[:, :1].expand(-1, 2, -1, -1, -1), cache.text_NLD.float())
    settings = {"null_text_LD": torch.zeros(32, 96), "dropout": ConditionDropout(), "levels": constant(0.0)}
    loss = noise_prediction_loss(model, batch, first_frame_share=0.5, predict=Knows(), **settings)
    assert loss < 1e-8
    torch.manual_seed(0)
    plain = noise_prediction_loss(model, batch, first_frame_share=0.5, **settings)
    torch.manual_seed(0)
    capped = noise_prediction_loss(model, batch, first_frame_share=0.5, weight_cap=5.0, **settings)
    assert plain < capped < 5 * plain


@pytest.mark.parametrize(
    "spec", ["normal:1", "uniform:a", "uniform:0:2", "uniform:0.3:0.1", "constant:0:1:2", {"name": "uniform", "hi": 1}]
)
def test_bad_noise_levels(spec):
    with pytest.raises(UserError):
        noise_levels(spec)


def test_noise_levels_have_the_distribution_they_name():
    u = (torch.arange(4096) + 0.5) / 4096
    spread = noise_levels("uniform:0.1:0.3")(u)
    assert torch.equal(spread, noise_levels({"name": "uniform", "low": 0.1, "high": 0.3})(u))
    assert spread.mean().item() == pytest.approx(0.2, abs=1e-3) and spread.min() >= 0.1 and spread.max() <= 0.3
    half = noise_levels("half_normal:0.1")(u)  # E|N(0, s²)| = s √(2/π), E|N(0, s²)|² = s²
    assert half.mean().item() == pytest.approx(0.1 * (2 / math.pi) ** 0.5, rel=1e-2)
    assert half.square().mean().item() == pytest.approx(0.01, rel=1e-2)
    assert noise_levels("half_normal:1")(u).max() == 1
    assert (noise_levels("constant:0.05")(u) == 0.05).all()


def test_ema_follows_its_formula():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    ema, expected = Ema(model, decay=0.5), 0.0
    for step in range(4):
        with torch.no_grad():
            model.weight.fill_(step + 1.0)
        weight = ema.weight(step)
        assert weight == 1 - min(0.5, (1 + step) / (10 + step))
        ema.update(weight)
        expected += weight * (step + 1.0 - expected)
    assert ema.model.weight.item() == pytest.approx(expected)


def toy_training(out, steps, stop=None):
    """A tiny regression trained by the real loop; ``stop`` interrupts it."""
    torch.manual_seed(0)
    model, calls = torch.nn.Linear(3, 1), 0

    def draw_loss():
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        x = torch.randn(8, 3)
        return (model(x) - x.sum(1, keepdim=True)).square().mean()

    config = LoopConfig(steps=steps, batch_size=8, lr=0.05, warmup=1, save_minutes=0, schedule="cosine")
    ema, outcome = optimise(model, draw_loss, config, out, name="toy", device=CPU)
    return model, ema, outcome


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    model, ema, outcome = toy_training(tmp_path / "a", 30)
    with pytest.raises(KeyboardInterrupt):
        toy_training(tmp_path / "b", 30, stop=18)
    resumed, resumed_ema, _ = toy_training(tmp_path / "b", 30)
    assert torch.equal(model.weight, resumed.weight)
    assert torch.equal(ema.model.weight, resumed_ema.model.weight)
    torch.manual_seed(0)
    start = torch.nn.Linear(3, 1)
    assert outcome.finished and (model.weight - 1).norm() < 0.5 * (start.weight - 1).norm()
    log = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 30 and log[-1]["samples_per_s"] > 0


def test_a_broken_state_is_named(tmp_path):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    save_state(tmp_path / "state", model, Ema(model), optimizer, 3)
    assert load_state(tmp_path / "state", model, Ema(model), optimizer) == 3
    (tmp_path / "state" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot resume"):
        load_state(tmp_path / "state", model, Ema(model), optimizer)


@pytest.mark.parametrize("writer", ["save_file", "torch.save"])
def test_a_disk_that_fills_up_while_saving_is_one_line_and_keeps_the_old_state(tmp_path, writer):
    """A limit on the size of files fails in the libraries' own writers as a full disk does."""
    model = torch.nn.Linear(*(200, 200) if writer == "save_file" else (2, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    save_state(tmp_path / "state", model, Ema(model), optimizer, 3)
    model(torch.ones(model.in_features)).sum().backward()
    optimizer.step()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(WorkFailed) as caught:
            save_state(tmp_path / "state", model, Ema(model), optimizer, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot write" in str(caught.value) and "is kept" in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]  # nothing half-written beside it
    assert load_state(tmp_path / "state", model, Ema(model), torch.optim.AdamW(model.parameters())) == 3


def test_a_really_full_disk_is_told_as_such_wherever_it_fills_up(tmp_path):
    """On file systems that have room for the weights and for part of the rest, where one can be mounted."""
    model = torch.nn.Linear(150, 150)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(150)).sum().backward()
    optimizer.step()
    ends = []
    for size in range(356, 388, 4):  # model, average and moments have 360 KB
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", tmp_path]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting a file system needs privileges that this user has not")
        try:
            save_state(tmp_path / "state", model, Ema(model), optimizer, 3)
            ends.append("saved")
        except WorkFailed as error:
            ends.append(str(error).split(";")[0].removeprefix(f"cannot write {tmp_path / 'state'}: "))
        finally:
            subprocess.run(["umount", tmp_path], check=True)
    assert set(ends) == {"the disk is full", "saved"} and ends == sorted(ends, reverse=True)


def test_a_kill_between_the_renames_loses_nothing(tmp_path):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    save_state(tmp_path / "state", model, Ema(model), optimizer, 3)
    (tmp_path / "state").rename(tmp_path / "state.old")
    assert load_state(tmp_path / "state", model, Ema(model), optimizer) == 3


def test_settings_from_yaml_and_their_errors(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("drop_text: 0.2\nmodel: {lr: 0.001}\n")
    config = load_config("shapes", file, clips=32)
    assert config.drop_text == 0.2 and config.model.lr == 0.001 and config.clips == 32
    assert with_loop(config, "model", steps=7, lr=None).model.steps == 7
    for text, reason in (
        ("drop_txt: 1", "drop_text"),
        ("model: {learning_rate: 1}", "lr"),
        ("drop_text: x", "drop_text"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=reason):
            load_config("shapes", file)
    with pytest.raises(UserError, match="did you mean shapes"):
        load_config("shape")


def test_another_reader_is_no_other_training(tmp_path):
    """Both give the same frames, so a run may go on with the other one, as on a machine that lacks decord."""
    config = load_config("shapes", None)
    _claim(tmp_path, config)
    _claim(tmp_path, config.model_copy(update={"reader": "pyav"}))
    with pytest.raises(UserError, match="reader = 'pyaf'"):
        load_config("shapes", None, reader="pyaf")


def test_the_paper_preset_has_the_tables_settings():
    config = load_config("paper")
    loop = config.model
    assert (loop.lr, loop.ema_decay, loop.steps, config.fps, config.size) == (1e-5, 0.9999, 258_000, 8.0, 320)
    assert 4 * loop.batch_size == 480 and config.weight_cap == 1.0 and config.start_share == 0.0


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_state_that_is_not_finite_is_never_kept(tmp_path, broken):
    """Saved as often as the disk can; once there is a state the loss is NaN, or it is finite and its gradient not."""
    model, saved, whole = torch.nn.Linear(3, 1), threading.Event(), []

    def draw_loss():
        time.sleep(0.01)
        loss = model(torch.ones(2, 3)).square().mean()
        if not saved.is_set():
            whole.append(loss)
            return loss
        return loss * math.nan if broken == "loss" else loss + (model.weight - model.weight).abs().sqrt().sum()

    config = LoopConfig(steps=300, batch_size=2, lr=0.01, save_minutes=0)
    with pytest.raises(WorkFailed, match=f"(loss became nan|no longer finite).*; kept: {tmp_path / 'state'}"):
        optimise(model, draw_loss, config, tmp_path, name="toy", device=CPU, on_save=lambda *_: saved.set())
    again = torch.nn.Linear(3, 1)
    assert load_state(tmp_path / "state", again, Ema(again), torch.optim.AdamW(again.parameters())) <= len(whole)
    assert again.weight.isfinite().all() and again.bias.isfinite().all()


def test_a_training_that_diverges_before_it_saved_says_that_nothing_is_kept(tmp_path):
    model = torch.nn.Linear(3, 1)
    config = LoopConfig(steps=3, batch_size=2, lr=0.01)
    with pytest.raises(WorkFailed, match=r"loss became nan before step .*; nothing was saved before"):
        optimise(model, lambda: model.weight.sum() * math.nan, config, tmp_path, name="toy", device=CPU)
    assert not (tmp_path / "state").exists()
