"""The speed card: figures of known arrivals, and of a program that takes known times."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from artv.errors import UserError
from artv_eval import testing
from artv_eval.api import GeneratedClip, NextFrames
from artv_eval.efficiency.streaming import Arrivals, Conditions, figures, measure, status_of, timed, watched
from artv_eval.methods.command import Command

SLOW = Path(__file__).with_name("slow_program.py")


def arrivals(*seconds, frames=1, total=None, **others):
    return Arrivals(np.array(seconds), np.full(len(seconds), frames), total or seconds[-1], **others)


def test_figures_of_steady_arrivals():
    found = figures(arrivals(2.0, 2.5, 3.0, 3.5), fps=4.0)
    assert found["first_frame_s"] == 2 and found["gap_median_s"] == found["gap_p99_s"] == 0.5
    assert found["frames_s"] == 4 / 3.5 and found["steady_frames_s"] == 2 and found["real_time_factor"] == 0.5
    # a player of 4 frames a second waits 0.25 s for each of three
    assert found["stalls"] == 3 and found["stalled_s"] == pytest.approx(0.75) == found["delay_s"]
    fast = figures(arrivals(2.0, 2.1, 2.2, 2.3), fps=4.0)
    assert fast["stalls"] == 0 and fast["real_time_factor"] == pytest.approx(2.5)


def test_chunks_are_played_before_the_next_is_due():
    found = figures(arrivals(1.0, 1.9, 3.5, frames=4), fps=4.0)  # the second is due at 2.0, the third at 3.0
    assert found["stalls"] == 1 and found["stalled_s"] == pytest.approx(0.5)
    assert found["gap_p95_s"] == pytest.approx(np.quantile([0.9, 1.6], 0.95))
    whole = figures(arrivals(6.0, frames=12), fps=4.0)
    assert whole["gap_median_s"] is None and whole["steady_frames_s"] == 2 and whole["stalls"] == 0


def test_memory_is_told_against_length():
    found = figures(arrivals(1.0, 2.0, 3.0, 4.0, gib=np.array([1.0, 1.0, 1.0, 1.5])), fps=1.0)
    assert found["memory_gib"] == 1.5 and found["memory_growth_mib_frame"] == 512


def test_what_does_not_add_up_is_no_value():
    assert status_of(arrivals(1.0, 2.0, total=2.03)) == "ok" == status_of(arrivals(0.1, total=0.115))
    assert status_of(arrivals(1.0, 2.0, total=2.1)).startswith("failed: the first frame and the gaps take 2.000 s")


@pytest.mark.parametrize("lacking", ["hardware", "precision", "width", "steps", "batch"])
def test_a_speed_without_its_conditions_is_refused(lacking):
    known = dict(method="m", hardware="H", precision="bfloat16", width=8, height=8, frames=4, fps=8.0, steps=3, batch=1)
    assert Conditions.of(**known).steps == 3
    with pytest.raises(UserError, match=rf"the speed of m says nothing without its {lacking}"):
        Conditions.of(**{**known, lacking: None})


class Streamer:
    """A frame every 20 ms, half of which is its decoder's; the first frame is given."""

    def conditions(self):
        return {"precision": "float32", "steps": 2, "given_frames": 1}

    def decoder(self):
        return self, "decode"

    def decode(self, frame):
        time.sleep(0.01)
        return frame

    def stream(self, requests):
        return self._frames(requests)

    def _frames(self, requests):
        for t in range(requests[0].num_frames):
            if t:
                time.sleep(0.01)
            frame = np.zeros((len(requests), 1, requests[0].height, requests[0].width, 3), np.uint8)
            yield NextFrames(self.decode(frame) if t else frame)


def test_a_row_agrees_with_the_clock():
    requests = testing.toy_requests(2, frames=12)
    began = time.perf_counter()
    row = measure("streamer", Streamer(), requests, "a card", gpu=False)
    took = time.perf_counter() - began
    assert row["status"] == "ok" and row["chunks"] == 11 and row["given_frames"] == 1 and row["batch"] == 2
    assert 0.02 <= row["gap_median_s"] <= row["gap_p99_s"] and row["first_frame_s"] >= 0.02
    assert 0.22 <= row["total_s"] < took and row["frames_s"] == pytest.approx(11 / row["total_s"])
    assert 0.25 < row["decode_share"] < 0.75
    assert row["steady_frames_s_undecoded"] == pytest.approx(row["steady_frames_s"] / (1 - row["decode_share"]))


def test_a_method_that_does_not_stream_is_one_chunk():
    class Whole:
        def conditions(self):
            return {"precision": "float32", "steps": 1}

        def generate(self, requests):
            return [GeneratedClip(np.zeros((r.num_frames, r.height, r.width, 3), np.uint8)) for r in requests]

    row = measure("whole", Whole(), testing.toy_requests(1, frames=3), "a card", gpu=False)
    assert row["chunks"] == 1 and not row["streams"] and row["decode_share"] is None
    assert row["first_frame_s"] <= row["total_s"] and row["gap_p95_s"] is None


def test_lost_frames_and_failures_are_refused():
    requests = testing.toy_requests(1, frames=3)
    shape = (1, 2, requests[0].height, requests[0].width, 3)
    with pytest.raises(UserError, match="2 frames came; 3 were asked for"):
        watched(lambda: iter([NextFrames(np.zeros(shape, np.uint8))]), requests)
    with pytest.raises(UserError, match="a clip failed: dark"):
        watched(lambda: iter([NextFrames(np.zeros(shape, np.uint8), failed={0: "dark"})]), requests)


@pytest.mark.parametrize(
    ("chunks", "given", "made"),
    [
        ([1, 4, 4], 1, [4, 4]),  # the picture comes by itself
        ([5, 4], 1, [4, 4]),  # or with the first frames
        ([9], 1, [8]),  # or with all of them
        ([1, 1, 7], 3, [6]),
        ([9], 0, [9]),
    ],
)
def test_frames_that_were_given_are_not_counted_as_made(chunks, given, made):
    requests = testing.toy_requests(1, frames=9)
    parts = [NextFrames(np.zeros((1, count, 4, 4, 3), np.uint8)) for count in chunks]
    found = watched(lambda: iter(parts), requests, given=given)
    assert found.frames.tolist() == made and len(found.seconds) == len(made)
    assert figures(found, fps=8.0)["frames_s"] == pytest.approx((9 - given) / found.total)


def test_timed_calls_are_put_back():
    streamer = Streamer()
    with timed(streamer, "decode") as spent:
        assert streamer.decode(3) == 3
    assert len(spent) == 1 and "decode" not in vars(streamer)


@pytest.fixture
def slow(tmp_path):
    """A program that announces frames, 30 ms each."""

    def make(**fields):
        path = tmp_path / "slow.yaml"
        program = [sys.executable, str(SLOW)]
        path.write_text(yaml.safe_dump({"program": program, "files": "{index}", "streams": True, **fields}))
        return path

    return make


def test_a_program_announces_frames(slow):
    method = Command(str(slow()))
    (request,) = testing.toy_requests(1, frames=6)
    chunks = list(method.stream([request]))
    assert [chunk.frames.shape[1] for chunk in chunks] == [2, 2, 2]
    (whole,) = method.generate([request])
    assert np.array_equal(np.concatenate([chunk.frames[0] for chunk in chunks]), whole.frames)
    assert method.stream([request, request]) is None and Command(str(slow(streams=False))).stream([request]) is None
    with pytest.raises(UserError, match="'files' a name without an ending"):
        Command(str(slow(files="{index}.mp4")))


def test_the_command_makes_a_card(slow, cli, tmp_path):
    path, out = slow(precision="float32", steps=1), tmp_path / "card.json"
    outcome = cli(
        "efficiency", "--streaming", "--method", f"command:{path}", "--frames", 20, "--size", "16x8", "--fps", 8,
        "--format", "markdown", "--out", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (row,) = json.loads(out.read_text(encoding="utf-8"))
    assert row["status"] == "ok" and row["chunks"] == 10 and (row["width"], row["height"]) == (16, 8)
    assert row["gap_median_s"] > 0.05 and "real time is 8 frames a second" in outcome.out
    unsaid = cli("efficiency", "--streaming", "--method", f"command:{slow()}", "--frames", 4, "--size", "16x8")
    assert unsaid.code == 1 and "says nothing without its precision and steps" in unsaid.out
    assert unsaid.err.endswith("nothing was measured, as said above\n")
    assert cli("efficiency", "--streaming", "--size", "wide").code == 2
    assert cli("efficiency", "--streaming", "--method", f"command:{path}", "--set", "artv.steps=2").code == 2


def test_what_a_plugin_raises_costs_its_row_alone(slow, cli, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text(
        "from artv_eval import Component, hookimpl\n\n\n"
        "class Bad:\n    def conditions(self):\n        return {'precision': 'float32', 'steps': 1}\n\n"
        "    def generate(self, requests):\n        raise RuntimeError('CUDA error: device-side assert')\n\n\n"
        "@hookimpl\ndef register_methods():\n    return [Component('bad', f'{__name__}:Bad', 'raises')]\n"
    )
    out = tmp_path / "card.json"
    outcome = cli("efficiency", "--streaming", "--plugins-dir", tmp_path / "plugins", "--frames", 4, "--size", "16x8",
                  "--method", f"bad,command:{slow(precision='float32', steps=1)}", "--out", out)  # fmt: skip
    statuses = [row["status"] for row in json.loads(out.read_text(encoding="utf-8"))]
    assert statuses == ["failed: RuntimeError: CUDA error: device-side assert", "ok"]
    assert outcome.code == 1 and outcome.err.endswith("bad could not be measured, as said above\n")


@pytest.mark.parametrize(
    "words", [["--cells", "run"], ["--size", "8x8"], ["--streaming", "--res", 320], ["--streaming", "--train-batch", 2]]
)
def test_options_that_would_say_nothing_are_refused(cli, words):
    outcome = cli("efficiency", *words)
    assert outcome.code == 2 and f"{words[-2]} is " in outcome.err and outcome.err.count("\n") == 1
