"""From the options of ``artv sample`` to the clip: what the pipeline is asked for; its frames are in the file."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from artv import ArtVPipeline
from artv.cli import app
from artv.cli import sample_command as module
from artv.data.readers import open_video, read_video
from artv.errors import UserError


def run(*options):
    done = CliRunner().invoke(app, ["sample", *map(str, options)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.fixture
def asked(monkeypatch):
    """What a pipeline is asked for, in whose place five grey levels come."""
    found = {}

    class Pipeline:
        defaults, model, fast = SimpleNamespace(fps=4.0), SimpleNamespace(mask_network=object()), True

        def stream(self, prompts, **settings):
            found.update(prompts=prompts, **settings)
            return (np.full((1, 16, 16, 3), 50 * i, np.uint8) for i in range(5))

        def __call__(self, prompts, **settings):
            frames = np.stack([frame[0] for frame in self.stream(prompts, **settings)])[None]
            return SimpleNamespace(frames=frames, masks=np.ones((1, 3, 4, 4, 4)))

    monkeypatch.setattr(module, "_load", lambda *source: found.update(source=source) or Pipeline())
    return found


def test_nothing_said_leaves_the_presets_choice(asked, tmp_path):
    run("--prompt", "a red circle", "--out", tmp_path / "x.mp4")
    assert asked["prompts"] == [["a red circle"]] and asked["source"] == ("shapes", None, None)
    assert [asked[key] for key in ("steps", "guidance", "image", "height", "width")] == [None] * 5
    assert (asked["num_frames"], asked["seed"], asked["sampler"], asked["anchor"]) == (
        16, [0], "dpmpp_2s_ancestral", "last-of-prompt",
    )  # fmt: skip
    assert open_video(tmp_path / "x.mp4").fps == 4, "its own rate"


@pytest.mark.parametrize(
    ("option", "value", "setting", "expected"),
    [
        ("--frames", 7, "num_frames", 7),
        ("--steps", 3, "steps", 3),
        ("--guidance", "text=2", "guidance", "text=2"),
        ("--sampler", "heun", "sampler", "heun"),
        ("--anchor", "sliding", "anchor", "sliding"),
        ("--seed", 9, "seed", [9]),
        ("--height", 32, "height", 32),
        ("--width", 48, "width", 48),
    ],
)
def test_each_option_is_its_setting(asked, tmp_path, option, value, setting, expected):
    run("--prompt", "x", "--out", tmp_path / "x.mp4", option, value)
    assert asked[setting] == expected


def test_prompts_come_in_a_row_and_a_picture_is_the_first_frame(asked, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    run("--prompt", "one", "--prompt", "two", "--image", tmp_path / "a.png", "--out", tmp_path / "x.gif")
    assert asked["prompts"] == [["one", "two"]] and asked["image"] == tmp_path / "a.png"


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize("fps", [5, 20])
def test_the_file_has_the_frames_at_the_rate_that_is_asked_for(asked, tmp_path, suffix, fps):
    said = run("--prompt", "x", "--out", tmp_path / f"x{suffix}", "--fps", fps)
    clip = open_video(tmp_path / f"x{suffix}")
    assert len(clip) == 5 and clip.fps == pytest.approx(fps)
    levels = read_video(tmp_path / f"x{suffix}").mean((1, 2, 3))
    np.testing.assert_allclose(levels, [0, 50, 100, 150, 200], atol=3)
    assert said == f"wrote {tmp_path / f'x{suffix}'} (5 frames)\n"


def test_masks_are_a_picture_beside_the_clip(asked, tmp_path):
    said = run("--prompt", "x", "--out", tmp_path / "x.mp4", "--save-masks", tmp_path / "m.png")
    assert asked["return_masks"] and f"wrote {tmp_path / 'm.png'}" in said and len(open_video(tmp_path / "x.mp4")) == 5
    picture = np.asarray(Image.open(tmp_path / "m.png"))
    assert picture.shape[2] == 3 and (picture[-18:-2, -18:-2] == 255).all(), "a mask of ones is white"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--anchor", "slidng"], "did you mean sliding"),
        (["--anchor", "image:none.png"], "none.png"),
        (["--checkpoint", "shapes:no-maks"], "did you mean shapes:no-mask"),
        (["--height", 20_000], "height is 20000; it must be at most 16384"),
        (["--steps", 1_001], "steps is 1001; it must be at most 1000"),
        (["--save-masks", "m.jpg"], "--save-masks is m.jpg; its name must end in .png"),
        (["--device", "cuda:x"], "--device is 'cuda:x'"),
    ],
    ids=lambda x: " ".join(map(str, x)) if isinstance(x, list) else "",
)
def test_mistakes_are_told_before_a_model_is_loaded(asked, tmp_path, options, words):
    with pytest.raises(UserError) as caught:
        run("--prompt", "x", "--out", tmp_path / "x.mp4", *options)
    assert words in str(caught.value) and "source" not in asked and not list(tmp_path.iterdir())


def test_the_clip_in_the_file_is_the_pipelines(tmp_path):
    """H.264 is lossy: off by some levels on average, where another seed's clip is off by many times as much."""
    options = {"num_frames": 2, "steps": 1, "guidance": "none", "height": 32, "width": 32}
    run("--prompt", "a red circle moves left", "--out", tmp_path / "x.mp4", "--seed", 3, "--frames", 2, "--steps", 1,
        "--guidance", "none", "--height", 32, "--width", 32, "--device", "cpu")  # fmt: skip
    pipe = ArtVPipeline.from_pretrained("shapes")
    same, other = (pipe("a red circle moves left", seed=seed, **options).frames.astype(int) for seed in (3, 4))
    made = read_video(tmp_path / "x.mp4").astype(int)
    assert 4 * np.abs(made - same).mean() < np.abs(made - other).mean()
