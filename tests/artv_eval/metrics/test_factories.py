"""What metrics are made of: without weights there is none, and the message says how to get them."""

import pytest

from artv.errors import UserError
from artv_eval.metrics import factories


def test_absent_weights_make_no_metric(monkeypatch, tmp_path):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for factory in (factories.lpips, factories.warping_error, factories.inception_score):
        with pytest.raises(UserError, match="are absent"):
            factory()
    with pytest.raises(UserError, match="fetch i3d"):
        factories.fvd("i3d")


class Clips:
    name, digest, dim = "of clips", "1", 2

    def __call__(self, clips):
        return clips.float().mean((1, 3, 4))


class Pictures:
    name, digest, dim = "of pictures", "1", 2

    def images(self, frames):
        return frames.float().mean((2, 3))


@pytest.mark.parametrize(
    ("factory", "wrong", "words"),
    [
        (factories.fvd, Pictures(), "'of pictures' describes pictures, not clips; take one such as shapes, i3d"),
        (factories.kvd, Pictures(), "describes pictures, not clips"),
        (factories.frame_fid, Clips(), "'of clips' describes clips, not pictures; take one such as shapes-clip"),
        (factories.clipsim, Clips(), "describes clips, not pictures"),
        (factories.clipsim, Pictures(), "'of pictures' describes pictures, no sentences; take one such as shapes-clip"),
    ],
)
def test_an_extractor_of_something_else_is_told_with_those_that_fit(factory, wrong, words):
    with pytest.raises(UserError, match=words):
        factory(feature=wrong)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ddof": 2}, "ddof is 2; it must be 1 .* or 0"),
        ({"subset": 1}, "subset is 1 and repeats 1; give subsets of at least 2 clips"),
        ({"subset": 4, "repeats": 0}, "subset is 4 and repeats 0"),
        ({"subset": 4, "first": 3}, "first is 3; give at least 4 prompts"),
        ({"first": 1}, "first is 1; give at least 2 prompts"),
        ({"transform": {"size": "wide"}}, "transform is {'size': 'wide'}"),
    ],
)
def test_settings_of_fvd_that_mean_nothing(settings, words):
    with pytest.raises(UserError, match=words):
        factories.fvd(feature=Clips(), **settings)
