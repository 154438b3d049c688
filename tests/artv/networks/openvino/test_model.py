"""OpenVINO's graphs against the model itself; what is kept on disk and when it is used; that nobody is told of it.

Skipped without OpenVINO (an extra, which neither development nor CI installs), but for the lines that say so.
"""

import copy
import os
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from artv.anchors import anchor_strategy
from artv.errors import UserError
from artv.guidance import ThreeTerm
from artv.networks import ArtVModel, Conditions, InferenceModel, deep_features
from artv.networks.openvino import graph as openvino_graph
from artv.networks.openvino import kept_graphs
from artv.networks.openvino.model import OpenVinoModel
from artv.pipeline import ArtVPipeline
from artv.requests import check_openvino
from artv.rollout import Sampling, rollout
from tests import warm

needs_openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="OpenVINO is not installed (the extra openvino), and CI has no need of it"
)
PROMPT = "a red circle moves left"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Graphs are kept from test to test, since converting takes seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


@pytest.fixture
def no_converter(monkeypatch):
    def converted(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr(openvino_graph, "_converted", converted)


def small(mask=True, anchor=True, seed=0):
    torch.manual_seed(seed)
    model = ArtVModel.from_config(preset="shapes", mask=mask, anchor=anchor)
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks if network is not None else ():
            torch.nn.init.normal_(block.proj_out.weight, std=0.2)  # zero would hide what comes before
    return model.eval()


@torch.no_grad()
def asked(model, B=3):
    """Latents, text and features; the second row has no reference, the third no anchor."""
    torch.manual_seed(1)
    f_BKCHW, text_BLD = torch.randn(B, 5, 4, 16, 16), torch.randn(B, 9, 96)
    keep_ref_B, keep_anchor_B = torch.ones(B), torch.ones(B)
    keep_ref_B[1:2], keep_anchor_B[2:3] = 0, 0
    conditions = Conditions(f_BKCHW[:, :2], f_BKCHW[:, 2], f_BKCHW[:, 3], keep_ref_B, keep_anchor_B, text_BLD)
    return f_BKCHW[:, 4], text_BLD, model.encode(conditions)


def assert_same(actual, expected):
    torch.testing.assert_close(actual.eps_BCHW, expected.eps_BCHW, atol=2e-5, rtol=2e-5)
    assert (actual.mask_B1HW is None) == (expected.mask_B1HW is None)
    if expected.mask_B1HW is not None:
        torch.testing.assert_close(actual.mask_B1HW, expected.mask_B1HW, atol=1e-5, rtol=0)
        torch.testing.assert_close(actual.dynamic_BCHW, expected.dynamic_BCHW, atol=2e-5, rtol=2e-5)


def latents(model, clips):
    text, null = torch.randn(clips, 9, 96, generator=torch.Generator().manual_seed(2)), torch.zeros(1, 9, 96)
    frames = rollout(
        model,
        [text],
        null,
        frames_per_prompt=4,
        seeds=list(range(3, 3 + clips)),
        shape=(4, 16, 16),
        sampling=Sampling(guidance=ThreeTerm(), steps=2),
        anchor=anchor_strategy("last-of-prompt"),
    )
    return torch.stack([frame.latent_BCHW for frame in frames])


@needs_openvino
@pytest.mark.parametrize(("mask", "anchor"), [(True, True), (False, True), (True, False)])
@torch.no_grad()
def test_one_evaluation_and_a_whole_rollout(mask, anchor):
    model = small(mask, anchor)
    fast = OpenVinoModel(model)
    for B in (1, 3, 2):
        z, text, encoded = asked(model, B)
        for t in (3, 700):
            assert_same(fast.predict_at(z, t, text, encoded), model.predict_at(z, t, text, encoded))
    for clips in (1, 2):  # four branches each
        expected = latents(model, clips)
        assert expected.std() > 0.1
        torch.testing.assert_close(latents(fast, clips), expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
    assert len(fast._rows) == 1, "one graph serves all of them"


@needs_openvino
@torch.no_grad()
def test_results_are_not_overwritten_by_the_next_ones():
    model = small()
    fast = OpenVinoModel(model)
    z, text, encoded = asked(model)
    first = fast.predict_at(z, 3, text, encoded)
    fast.predict_at(-z, 700, text, encoded)
    assert_same(first, model.predict_at(z, 3, text, encoded))


@needs_openvino
def test_out_of_reach_it_does_what_inference_models_do(no_converter, monkeypatch):
    """Exactly: by the same operations. Another folder, so that asking OpenVINO would convert."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
    model = small()
    fast, plain = OpenVinoModel(model), InferenceModel(model)
    z, text, encoded = asked(model, 9)
    assert torch.equal(*(m.predict_at(z, 5, text, encoded).eps_BCHW.detach() for m in (fast, model)))  # gradients
    with torch.no_grad():
        assert torch.equal(*(m.predict_at(z, 5, text, encoded).eps_BCHW for m in (fast, plain)))  # many rows
        z, text, encoded = asked(model)
        for more in ({"use_mask": False}, {"deep": deep_features(2)}):
            assert torch.equal(*(m.predict_at(z, 5, text, encoded, **more).eps_BCHW for m in (fast, plain)))


@needs_openvino
@torch.no_grad()
def test_changed_weights_are_noticed():
    model = small()
    fast = OpenVinoModel(model)
    z, text, encoded = asked(model)
    before = fast.predict_at(z, 5, text, encoded).eps_BCHW
    model.dynamic_network.unet.conv_out.weight.mul_(-1)
    assert not fast.stands_for(model)
    after = OpenVinoModel(model).predict_at(z, 5, text, encoded)
    assert_same(after, model.predict_at(z, 5, text, encoded))
    assert (after.eps_BCHW - before).abs().max() > 0.1


@needs_openvino
@torch.no_grad()
def test_a_kept_graph_is_not_converted_again(request):
    model = small(mask=False, anchor=False)
    z, text, encoded = asked(model)
    OpenVinoModel(model).predict_at(z, 5, text, encoded)
    request.getfixturevalue("no_converter")
    again = small(mask=False, anchor=False)
    assert_same(OpenVinoModel(again).predict_at(z, 5, text, encoded), model.predict_at(z, 5, text, encoded))
    again.dynamic_network.unet.conv_out.weight.mul_(-1)
    with pytest.raises(AssertionError, match="converted again"):
        OpenVinoModel(again).predict_at(z, 5, text, encoded)


@needs_openvino
@torch.no_grad()
def test_a_damaged_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = small(mask=False, anchor=False)
    z, text, encoded = asked(model)
    expected = model.predict_at(z, 5, text, encoded)
    OpenVinoModel(model).predict_at(z, 5, text, encoded)
    (file,) = kept_graphs.folder().iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        file.write_bytes(damaged)
        assert kept_graphs.read(file.stem) is None
    kept_graphs.write(file.stem, b"of another program")  # whole, but no graph
    assert_same(OpenVinoModel(model).predict_at(z, 5, text, encoded), expected)
    assert len(file.read_bytes()) > 2**20, "the graph took its place"
    assert list(file.parent.iterdir()) == [file]


@needs_openvino
@torch.no_grad()
def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    model = small(mask=False, anchor=False)
    z, text, encoded = asked(model)
    with pytest.warns(UserWarning, match="cannot be kept") as told:
        actual = OpenVinoModel(model).predict_at(z, 5, text, encoded)
    assert len([w for w in told if "cannot be kept" in str(w.message)]) == 1
    assert_same(actual, model.predict_at(z, 5, text, encoded))


def test_the_files_longest_unused_go_when_there_are_too_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kept_graphs, "_MOST_BYTES", 120)  # three graphs of five bytes with their digests
    for i in range(3):
        kept_graphs.write(f"g{i}", b"graph")
        os.utime(kept_graphs.folder() / f"g{i}.blob", (i, i))
    assert kept_graphs.read("g0") == b"graph"  # used now, so g1 is the oldest
    kept_graphs.write("g3", b"graph")
    assert [kept_graphs.read(f"g{i}") for i in range(4)] == [b"graph", None, b"graph", b"graph"]
    kept_graphs.write("large", bytes(121))
    assert kept_graphs.read("large") is None and kept_graphs.read("g0") == b"graph"


def test_only_an_absolute_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("", "here"):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert kept_graphs.folder() == tmp_path / ".cache" / "artv" / "openvino"


WATCHED = """
import socket, sys
calls = []

class Recorder:
    def __init__(self, *_, **about):
        calls.append(about)
    def send_event(self, *event):
        calls.append(event)

def no_network(*a, **k):
    calls.append(a)
    raise OSError("no network here")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
import openvino_telemetry
openvino_telemetry.Telemetry = Recorder
"""
OURS = """
import torch
from test_model import asked, small
from artv.networks.openvino import kept_graphs
from artv.networks.openvino.model import OpenVinoModel
model = small(mask=False, anchor=False)
z, text, encoded = asked(model)
with torch.no_grad():
    OpenVinoModel(model).predict_at(z, 5, text, encoded)
assert list(kept_graphs.folder().iterdir()), "nothing was converted"
assert not calls, calls
import openvino_telemetry
assert openvino_telemetry.Telemetry is Recorder
"""


@needs_openvino
def test_nothing_is_reported_to_anyone(tmp_path):
    """In processes of their own: what is watched would notice an import of OpenVINO, and notices none of ours."""
    pytest.importorskip("openvino_telemetry", reason="OpenVINO is installed without its telemetry")

    def run(code):
        homes = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
        return warm.run("-c", WATCHED + code, cwd=Path(__file__).parent, **homes)

    theirs = run("import openvino\nassert calls")
    assert theirs.returncode == 0, theirs.stderr
    ours = run(OURS)
    assert ours.returncode == 0, ours.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["cache"], "telemetry leaves its identity in the home folder"


@pytest.fixture(scope="module")
def pipe():
    return ArtVPipeline.from_pretrained("shapes")


@needs_openvino
def test_a_pipeline_makes_the_same_clip(pipe):
    def clip(fast, seed=0):
        pipe.fast = fast
        return pipe(PROMPT, num_frames=3, steps=2, seed=seed).frames.astype(int)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick = clip("openvino")
    assert isinstance(pipe.sampled_model(), OpenVinoModel)
    assert np.abs(quick - clip(True)).max() <= 1
    assert isinstance(pipe.sampled_model(), InferenceModel) and not isinstance(pipe.sampled_model(), OpenVinoModel)
    assert np.array_equal(clip("openvino"), quick)
    assert np.abs(clip("openvino", seed=1) - quick).max() > 1


@needs_openvino
def test_modes_around_a_call_do_no_harm(pipe):
    """What is made within them is used outside of them."""

    def clip(which):
        which.fast = "openvino"
        return which(PROMPT, num_frames=2, steps=2).frames.astype(int)

    expected = clip(pipe)
    other = copy.deepcopy(pipe)  # it has evaluated, and can still be copied
    with torch.inference_mode():
        assert np.abs(clip(other) - expected).max() <= 1
    assert np.abs(clip(other) - expected).max() <= 1
    with torch.no_grad():
        other.model.dynamic_network.unet.conv_out.bias.add_(0.5)  # a graph of its own
    with torch.autocast("cpu"):
        under = clip(other)
    assert np.abs(clip(other) - under).max() <= 16  # the autoencoder computed in half precision


def test_where_it_cannot_be_one_line_says_why(pipe, monkeypatch):
    pipe.fast = "onnx"
    with pytest.raises(UserError, match="fast is 'onnx'; it must be True, False or 'openvino'"):
        pipe.sampled_model()
    monkeypatch.setattr("artv.requests.find_spec", lambda name: name)
    with pytest.raises(UserError, match="device is cuda, and OpenVINO is for the CPU"):
        check_openvino("cuda")
    with pytest.raises(UserError, match=r"the model is in torch\.bfloat16"):
        OpenVinoModel(small().to(torch.bfloat16))
    monkeypatch.setattr("artv.requests.find_spec", lambda name: None)
    pipe.__dict__.pop("_inference_model", None)  # of another test
    pipe.fast = "openvino"
    with pytest.raises(UserError, match=r'not installed; pip install "artv\[openvino\]"'):
        pipe(PROMPT, num_frames=1, steps=1)


def sampled(tmp_path, *options, **environment):
    command = ("artv", "sample", "--prompt", PROMPT, "--out", tmp_path / "c.gif", *options)
    return warm.run(*command, **environment)


@needs_openvino
def test_the_command_takes_it(tmp_path):
    own = tmp_path / "cache"
    done = sampled(tmp_path, "--openvino", "--frames", "2", "--steps", "1", XDG_CACHE_HOME=str(own))
    assert done.returncode == 0 and (tmp_path / "c.gif").is_file(), done.stderr
    assert list(own.rglob("*.blob")), "nothing was converted"
    done = sampled(tmp_path, "--openvino", "--device", "cuda")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "is for the CPU" in done.stderr


@pytest.mark.skipif(find_spec("openvino") is not None, reason="OpenVINO is installed")
def test_the_command_says_what_to_install(tmp_path):
    done = sampled(tmp_path, "--openvino")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "artv[openvino]" in done.stderr
