"""What two plans share is what has the same id, whatever it is called."""

import json
from dataclasses import replace

import pytest

from artv.errors import UserError
from artv_eval.plugins.manager import PluginManager
from artv_eval.results.documents import write_json
from artv_eval.sweep.plan_diff import Side, compared, lines, side

A = Side(
    name="a.yaml", protocol="toy@1 (abc)", clips=8, cells={"01": "mask · on", "02": "mask · off"},
    trainings={"t1": "on, seed 1"},
)  # fmt: skip
B = Side(
    name="run", protocol="toy@1 (abc)", clips=20, cells={"02": "else · plain", "03": "mask · far"},
    trainings={"t1": "plain, seed 1", "t2": "far, seed 1"},
)  # fmt: skip


def test_cells_and_trainings_are_shared_by_their_ids():
    found = compared(A, B)
    assert found["cells"] == {
        "shared": {"02": "mask · off"}, "only_a": {"01": "mask · on"}, "only_b": {"03": "mask · far"}
    }  # fmt: skip
    assert found["trainings"] == {"shared": {"t1": "on, seed 1"}, "only_a": {}, "only_b": {"t2": "far, seed 1"}}
    assert found["shared_clips"] == 8 and found["clips_a_cell"] == [8, 20]
    json.dumps(found, allow_nan=False)


def test_the_other_way_round_shares_the_same():
    ab, ba = compared(A, B), compared(B, A)
    assert ab["shared_clips"] == ba["shared_clips"]
    for kind in ("cells", "trainings"):
        assert ab[kind]["shared"].keys() == ba[kind]["shared"].keys() and ab[kind]["only_a"] == ba[kind]["only_b"]


def test_lines_count_and_name_all_of_it():
    shown = lines(A, B)
    assert shown[:2] == ["A a.yaml: toy@1 (abc), 8 clips a cell", "B run: toy@1 (abc), 20 clips a cell"]
    assert "cells: 1 in both, 1 in A alone, 1 in B alone" in shown and "  = mask · off · 02" in shown
    assert "trainings: 1 in both, 0 in A alone, 1 in B alone" in shown and "  B far, seed 1 · t2" in shown
    assert shown[-1] == "clips that one makes and the other finds: 8"


def test_clips_of_another_device_or_other_code_are_found_by_neither():
    assert compared(A, replace(B, makers={"02": "one", "03": "one"}))["shared_clips"] == 8  # A's model is not trained
    here, there = replace(A, makers={"01": "one", "02": "one"}), replace(B, makers={"02": "other", "03": "one"})
    for one, two in ((here, there), (there, here)):
        found = compared(one, two)
        assert found["shared_clips"] == 0 and found["made_otherwise"] == ["02"] and "02" in found["cells"]["shared"]
        assert "1 cell of both, but on another device, by other code or of other weights" in lines(one, two)
    assert compared(here, replace(there, makers=here.makers))["shared_clips"] == 8


def test_a_run_folder_is_read_from_its_manifest(tmp_path):
    cells = [
        {
            "id": "01",
            "ablation": "mask",
            "cell": "on",
            "title": "on, seed 1",
            "training": {"id": "t1", "seed": 1},
            "maker": "m1",
        },
        {"id": "02", "ablation": "mask", "cell": "real", "training": None},
    ]
    document = {"protocol": {"name": "toy@1", "key": "abc", "frames": 4}, "num_videos": 5, "cells": cells}
    write_json(tmp_path / "manifest.json", document)
    found = side(PluginManager(), str(tmp_path))
    assert found.cells == {"01": "mask · on, seed 1", "02": "mask · real"} and found.clips == 5
    assert (
        found.makers == {"01": "m1"}
        and found.trainings == {"t1": "on, seed 1"}
        and found.protocol == "toy@1 frames=4 (abc)"
    )


@pytest.mark.parametrize("make", [lambda folder: folder, lambda folder: folder / "nothing.yaml"])
def test_what_is_neither_a_plan_nor_a_run_is_one_line(tmp_path, make):
    with pytest.raises(UserError, match=r"does not exist|is no"):
        side(PluginManager(), str(make(tmp_path)))


@pytest.mark.parametrize("document", [{"items": []}, {"protocol": {}, "cells": 3}, {"protocol": [], "cells": []}])
def test_another_document_in_a_manifests_place_is_named(tmp_path, document):
    write_json(tmp_path / "manifest.json", document)  # with a checksum of its own, as another file of a run has
    with pytest.raises(UserError, match=r"manifest\.json"):
        side(PluginManager(), str(tmp_path))
