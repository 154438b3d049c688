"""VBench in an environment of its own: another Python answers as this one would, and what goes wrong there is said."""

import sys
from pathlib import Path

import numpy as np
import pytest
from artv_vbench import metric
from artv_vbench.inside.bench import Lacking
from artv_vbench.remote import bench_of, said

from artv.errors import UserError


@pytest.fixture
def python(tmp_path, stand_in):
    """The interpreter of an environment in which the stand-in is: another process, with a path of its own."""
    file = tmp_path / "python"
    folder = Path(stand_in.__file__).parents[1]
    file.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    yield str(file)
    bench_of.cache_clear()  # ends the process


def test_another_python_gives_the_same_scores_digests_and_speeds(python, clips, tmp_path, monkeypatch):
    here = metric.imaging_quality()
    monkeypatch.setitem(sys.modules, "vbench", None)  # it is not in this environment
    there = metric.imaging_quality(python=python)
    assert there.digest == here.digest
    monkeypatch.undo()
    shown = clips(["x", "y"], [51, 204])
    np.testing.assert_array_equal(there.describe(shown), here.describe(shown))
    file = tmp_path / "clip.npy"
    np.save(file, np.stack([next(iter(shown))[1].frames[0]] * 2))
    bench = bench_of(python, "cpu")
    assert bench.speeds(str(file)) == bench_of(None, "cpu").speeds(str(file)) and bench is bench_of(python, "cpu")


def test_what_is_lacking_or_breaks_there_is_said(python, stand_in, cache):
    module = Path(stand_in.__file__).with_name("color.py")
    module.write_text("import package_of_nobody\n", encoding="utf-8")
    Path(stand_in.__file__).with_name("scene.py").write_text("import os\nos._exit(3)\n", encoding="utf-8")
    (cache / "nets/imaging_quality.pth").unlink()
    with pytest.raises(UserError, match=r"lacks a network for imaging_quality: .* \(of .*/python\)"):
        metric.imaging_quality(python=python)
    bench = bench_of(python, "cpu")
    with pytest.raises(Lacking, match=r"needs the package package_of_nobody, which is not installed"):
        bench.check(["color"])
    with pytest.raises(RuntimeError, match=r"VBench: KeyError: 'dimension'"):
        bench.score("motion_smoothness", [{"nothing": 1}], str(cache))
    with pytest.raises(RuntimeError, match=r"own environment: the program ended with exit code 3"):
        bench.check(["scene"])
    assert bench.check(["motion_smoothness"]) is None  # and is started again


def test_no_such_python_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"python is '.*nowhere', which cannot be started .* give the interpreter"):
        metric.motion_smoothness(python=str(tmp_path / "nowhere"))


def test_an_import_that_fails_for_another_reason_names_the_pins_and_the_way_out(stand_in):
    module = Path(stand_in.__file__).with_name("scene.py")
    module.write_text("from numpy.no_such_part import disp\n", encoding="utf-8")
    said_so = r"does not import here: .*no_such_part.* numpy below 2 .* setting python=PATH"
    with pytest.raises(UserError, match=said_so), said():
        bench_of(None, "cpu").check(["scene"])
