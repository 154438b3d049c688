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
