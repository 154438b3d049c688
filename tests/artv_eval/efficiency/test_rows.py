"""``artv-eval efficiency``: rows, formats and mistakes; everything that runs without a GPU."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from artv.errors import UserError
from artv_eval.cli.efficiency import choose_device, efficiency, parse_resolutions
from artv_eval.efficiency import cuda
from artv_eval.efficiency import rows as efficiency_rows
from artv_eval.efficiency.cases import CASES, AsPublished, Case, Companions, find_cases, like
from artv_eval.efficiency.formats import FORMATS
from artv_eval.efficiency.paper import Published
from artv_eval.efficiency.report import TABLE, grid
from artv_eval.efficiency.rows import Plan, measure
from artv_eval.efficiency.settings import Run, check_setting, prepare, weights_of

INTERFACE = {
    *("method", "resolution", "frames", "device", "dtype", "setting", "params_m", "flops_g", "flops_full_g"),
    *("throughput_batch_s", "memory_gb", "paper"),
}


@pytest.fixture(scope="module")
def rows():
    return list(measure(find_cases(["artv", "modelscope"]), Plan(resolutions=(320,))))


def test_rows_have_the_agreed_fields(rows):
    assert [(row["method"], row["resolution"]) for row in rows] == [
        ("artv", 320),
        ("modelscope", 320),
    ]
    for row in rows:
        assert set(row) >= INTERFACE
        assert row["throughput_batch_s"] is None and row["memory_gb"] is None
        assert row["status"] == "needs a GPU"


def test_values_beside_the_papers(rows):
    ours, theirs = rows
    assert ours["paper"] == {"flops_g": 3163.20, "throughput_batch_s": 12.16, "memory_gb": 10.52}
    assert abs(ours["flops_g_ratio"] - 1) < 0.003 and abs(theirs["flops_g_ratio"] - 1) < 0.001
    assert ours["paper_training"] == {"batch": 480, "iterations_k": 258, "gpus": 4, "gpu": "A100-80GB"}
    assert math.isclose(theirs["params_m"], 1411.23, rel_tol=1e-4)
    assert math.isclose(ours["params_m"], 1166.00 + 50.84, rel_tol=1e-3)


def test_cost_of_a_finished_clip(rows):
    """15 frames × 99 evaluations × 4 branches, two operations a multiply–accumulate, plus text and decoder."""
    ours = rows[0]
    evaluations = 15 * 99 * 4 * ours["flops_full_g"] / 16 * 2 / 1e6
    assert evaluations < ours["clip_pflop"] < 1.02 * evaluations
    convention = 15 * 99 * 4 * ours["flops_g"] / 16 * 2 / 1e6
    assert math.isclose(convention, 2.345, rel_tol=1e-3)


def test_other_frames_have_no_published_value():
    (row,) = measure(find_cases(["artv"]), Plan(resolutions=(320,), frames=8))
    assert row["paper"] is None and row["flops_g_ratio"] is None
    assert abs(row["flops_g"] * 2 / 3163.20 - 1) < 0.003


@pytest.mark.parametrize("format", FORMATS)
def test_formats_hold_the_values(rows, format):
    text = TABLE.render(rows, format)
    assert "artv" in text and "modelscope" in text
    if format == "json":
        assert json.loads(text) == rows
    elif format == "csv":
        parsed = list(csv.DictReader(io.StringIO(text)))
        assert float(parsed[0]["flops_g"]) == rows[0]["flops_g"] and parsed[0]["paper_memory_gb"] == "10.52"
    else:
        assert "3,158.51" in text and "3,163.20" in text and "batch/s" in text


def cli():
    app = typer.Typer()
    app.command()(efficiency)
    return app


def test_command_prints_one_json_document():
    result = CliRunner().invoke(cli(), ["--res", "320", "--method", "artv", "--device", "cpu", "--format", "json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["device"], row["dtype"], row["setting"]) == ("cpu", "bf16", "eager")


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--res", "300"], "300; it must be a positive multiple of 64, such as 320"),
        (["--res", "big"], "'big'; it must be numbers"),
        (["--method", "modelscop"], "not installed; did you mean modelscope"),
        (["--dtype", "int3"], "dtype is 'int3'"),
        (["--setting", "turned"], "did you mean tuned"),
        (["--setting", "paper", "--dtype", "bf16"], "float16 autocast"),
        (["--format", "jsn"], "did you mean json"),
        (["--device", "tpu"], "'tpu'; it must be cpu, cuda or cuda:N, or meta"),
        (["--repeats", "3"], "at least 20"),
        (["--frames", "1"], "at least 2"),
        (["--out", "/"], "--out / is a folder; give the name of a file"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    result = CliRunner().invoke(cli(), ["--device", "meta", *arguments])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception) and "\n" not in str(result.exception)
    assert result.stdout == ""


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="this machine has 0 GPUs; use --device meta"):
        choose_device("cuda")
    assert choose_device(None) == "meta"


def test_resolutions():
    assert parse_resolutions("320, 448,") == (320, 448)
    with pytest.raises(UserError, match="-64"):
        parse_resolutions("-64")


def test_paper_setting_is_float16_autocast_of_float32_weights():
    assert check_setting("paper", None) == check_setting("paper", "fp16") == "fp16"
    assert weights_of("paper", "fp16") == torch.float32 and weights_of("eager", "fp16") == torch.float16
    layer = prepare(nn.Linear(2, 2), "paper", "efficient")
    assert layer.weight.requires_grad and not prepare(layer, "eager").weight.requires_grad
    assert check_setting("eager", None) == "bf16"


def test_out_of_memory_is_no_error(monkeypatch):
    released = []
    monkeypatch.setattr(cuda, "release", lambda: released.append(True))

    def explode():
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert cuda.unless_out_of_memory(explode) is None and released == [True]
    assert cuda.unless_out_of_memory(lambda: 7) == 7
    with pytest.raises(RuntimeError, match="else"):
        cuda.unless_out_of_memory(lambda: (_ for _ in ()).throw(RuntimeError("something else")))


def toy_case():
    return Case(
        name="toy",
        build=lambda: nn.Conv2d(4, 4, 3, padding=1),
        inputs=lambda module, res, frames, branches: (like(module, frames * branches, 4, res // 8, res // 8),),
        frames_per_forward=None,
        evaluations=10,
        branches=1,
        sampler_runs=lambda frames: 1,
    )


@pytest.fixture
def pretend_gpu(monkeypatch):
    """Runs the GPU's path on the CPU: 2 ms a call, 3 GiB, and no room for more than ``room`` pixels of input."""
    state = {"room": math.inf, "calls": 0, "built": []}

    def runner(module, inputs, setting):
        if inputs[0].numel() > state["room"]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        state["calls"] += 1
        module(*inputs)
        return Run(lambda: None, lambda: cuda.Peak(allocated=3.0, reserved=4.0))

    def time_calls(call, repeats):
        return cuda.Timing(median_s=2e-3, low_s=1e-3, high_s=4e-3, repeats=repeats)

    def on_gpu(build, plan, attention):
        state["built"].append(build)
        return build()

    monkeypatch.setattr(efficiency_rows, "_on_gpu", on_gpu)
    monkeypatch.setattr(efficiency_rows, "runner", runner)
    monkeypatch.setattr(efficiency_rows, "time_calls", time_calls)
    monkeypatch.setattr(efficiency_rows, "clocks", lambda: {"clock_mhz": 1980.0, "max_clock_mhz": 1980.0})
    for module in (cuda, efficiency_rows):
        monkeypatch.setattr(module, "release", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "pretended")
    return state


def frame_case():
    """Like ART-V: one frame at a time, four branches."""
    return replace(toy_case(), frames_per_forward=1, branches=4, sampler_runs=lambda frames: frames - 1)


def test_memory_in_tensors_is_compared_in_the_papers_unit(pretend_gpu):
    published = {64: Published(flops_g=1.0, throughput_batch_s=250.0, memory_gb=8.0)}
    (row,) = measure([replace(toy_case(), published=published)], Plan(resolutions=(64,), frames=16, device="cuda"))
    assert row["throughput_batch_s_ratio"] == pytest.approx(2)
    assert row["memory_gb_ratio"] == pytest.approx(3 * 2**30 / 8e9)
    header, cells = grid([row])
    assert cells[header.index("GB held")] == "4.29" and cells[header.index("GB/forward")] == "3.22"


def test_speeds_of_a_forward_and_of_a_clip(pretend_gpu):
    (row,) = measure([frame_case()], Plan(resolutions=(64,), frames=4, device="cuda"))
    assert row["status"] == "ok" and row["hardware"] == "pretended"
    assert row["throughput_batch_s"] == pytest.approx(500)
    assert (row["throughput_low"], row["throughput_high"]) == (pytest.approx(250), pytest.approx(1000))
    assert (row["memory_gb"], row["memory_reserved_gb"], row["memory_batch_gb"]) == (3.0, 4.0, 3.0)
    assert row["clip_s"] == pytest.approx(3 * 10 * 2e-3) and row["first_frame_s"] == pytest.approx(10 * 2e-3)
    (video,) = measure([toy_case()], Plan(resolutions=(64,), frames=4, device="cuda"))
    assert video["clip_s"] == video["first_frame_s"] == pytest.approx(10 * 2e-3)


class Decoder(nn.Linear):
    """Takes latents (1, 4, 8, 8)."""

    def __init__(self):
        super().__init__(8, 8)

    decode = nn.Linear.forward


def test_setting_paper_measures_all_frames_and_what_lies_beside_them(pretend_gpu):
    """ART-V's memory column holds the text encoder, the autoencoder and 16 frames at once; a step is one frame."""
    shapes = []

    def encoder():
        return nn.Embedding(8, 4)

    def inputs(module, *sizes):
        shapes.append(sizes)
        return frame_case().inputs(module, *sizes)

    beside = Companions(
        text_encoder=encoder,
        text_inputs=lambda module: (torch.zeros(1, dtype=torch.long, device=module.weight.device),),
        autoencoder=Decoder,
    )
    how = AsPublished(attention="efficient", companions=True)
    case = replace(frame_case(), inputs=inputs, companions=beside, as_published=how)
    (row,) = measure([case], Plan(resolutions=(64,), frames=4, device="cuda", setting="paper", dtype="fp16"))
    assert pretend_gpu["built"][:3] == [case.build, encoder, Decoder]
    assert (64, 4, 1) in shapes and (64, 1, 4) in shapes  # a batch, whose memory it is; four branches of one frame
    weights = 4 * (4 * 4 * 9 + 4) + 4 * (8 * 4 + 8 * 8 + 8)
    assert row["memory_simulated_gb"] * 1e9 > weights and row["memory_gb"] == 3.0 and row["setting"] == "paper"


def test_what_does_not_fit_is_a_row_and_the_smaller_ones_still_run(pretend_gpu):
    one_frame = 4 * 8 * 8
    pretend_gpu["room"] = 4 * one_frame
    small, large = measure([frame_case()], Plan(resolutions=(64, 128), frames=8, device="cuda"))
    assert small["status"] == "out of memory: batch"
    assert small["throughput_batch_s"] is None and small["memory_gb"] == 3.0 and small["clip_s"] is not None
    assert large["status"] == "out of memory: batch, evaluation" and large["clip_s"] is None
    assert large["flops_g"] == 4 * small["flops_g"]
    for format in FORMATS:
        assert "out of memory" in TABLE.render([small, large], format)


class Toy:
    efficiency_case = staticmethod(toy_case)


class FakeManager:
    """Two methods: one that can be measured, one that cannot."""

    def names(self, kind):
        return ["toy", "folder"]

    def find(self, kind, name):
        return name

    def target(self, entry):
        return {"toy": Toy, "folder": object}[entry]


def test_registered_methods_can_be_measured():
    (case,) = find_cases(["toy"], FakeManager())
    (row,) = measure([case], Plan(resolutions=(64,), frames=2))
    assert row["flops_g"] * 1e9 == 2 * 4 * 64 * 4 * 9 and row["paper"] is None
    assert row["clip_pflop"] == pytest.approx(2 * 10 * 2 * 4 * 64 * 4 * 9 / 1e15)
    with pytest.raises(UserError, match=r"'folder' has no efficiency_case\(\)"):
        find_cases(["folder"], FakeManager())
    with pytest.raises(UserError, match="not installed; did you mean toy"):
        find_cases(["toyy"], FakeManager())
    assert set(CASES) == {"artv", "modelscope"}
