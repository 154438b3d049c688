"""What an ablation varies no setting changes; cells are two things, not one; what each ran is said."""

import json
import re
from pathlib import Path

import pytest

from artv.presets import PAPER, SHAPES
from artv_eval.plugins.manager import PluginManager
from artv_eval.sweep.assignments import Assignments
from artv_eval.sweep.plan import ProtocolRef, SweepRequest, plan_cells

PLAN = ("--dry-run", "--format", "json", "--metrics", "drift", "--num-videos", 2)
ROUTES = {
    "name": lambda field, value: ("--set", f"artv.{field}={value}"),
    "role": lambda field, value: ("--set", f"method.{field}={value}"),
    "file": lambda field, value: ("--settings", "mine.yaml"),
}
SWEPT = {  # ablation → the setting that it varies, and another value of it
    "mask": ("checkpoint", "shapes"),
    "anchor": ("checkpoint", "shapes:no-anchor"),
    "mask-switched": ("use_mask", "false"),
    "sampler": ("sampler", "ddim"),
    "steps": ("steps", "1"),
    "guidance": ("guidance", "joint"),
    "guidance-rule": ("guidance", "none"),
    "mask-rule": ("mask", "hard"),
    "anchor-strategy": ("anchor", "none"),
    "ref-noise": ("ref_noise", "uniform"),
}


@pytest.fixture
def plan(cli):
    return lambda *arguments: cli("sweep", *arguments, *PLAN)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("ablation", SWEPT)
def test_what_an_ablation_varies_is_refused_by_every_way_to_set_it(plan, ablation, route):
    field, value = SWEPT[ablation]
    Path("mine.yaml").write_text(f"artv: {{{field}: {value}}}", encoding="utf-8")
    outcome = plan("--ablation", ablation, *ROUTES[route](field, value))
    assert outcome.code == 2 and outcome.out == "" and outcome.err.count("\n") == 1
    assert field in outcome.err and f"ablation '{ablation}'" in outcome.err and "leave it out" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("steps", "--steps", 1), "--steps 1: ablation 'steps' itself sets artv.steps (steps=50: 50, steps=25: 25"),
        (("steps", "--steps", 1), "or choose its cells with --set steps.values=…"),
        (("mask", "--set", "artv.use_mask=false"), "something else than its name says"),
        (("mask", "--set", "method.mask=constant:0"), "something else than its name says"),
        (("mask-rule", "--set", "artv.use_mask=false"), "something else than its name says"),
        (("anchor", "--set", "method.anchor=none"), "cell anchor=on of ablation 'anchor' something else"),
        (("mask", "--set", "mask.twin=shapes"), "(cell mask=off: mask=False); add --train"),
        (("mask", "--checkpoint", "shapes:no-mask"), "the twin of 'shapes:no-mask' is not known"),
        (("speed", "--set", "artv.steps=4"), "speed=exact and speed=steps-4 of ablation 'speed' are one and the same"),
        (("baselines", "--set", "baselines.names=artv,artv:shapes"), "artv and artv:shapes of ablation"),
        (("mask", "--steps", 3, "--set", "artv.steps=4"), "--steps is 3 and --set artv.steps is 4; give one"),
        (
            ("mask", "--set", "joint.scale=2"),
            "is 'joint'; choose it with --set method.guidance=joint",
        ),
        (("mask", "--set", "acceleration.every=3"), "say first which one, with --set method.acceleration=NAME"),
        (("mask", "--set", "guidance.txt=3"), "no guidance here has the setting 'txt'; did you mean text"),
        (("guidance", "--set", "guidance.text=0"), "scales 0 alone"),
    ],
)
def test_other_ways_to_make_a_comparison_what_it_is_not(plan, arguments, words):
    outcome = plan("--ablation", *arguments)
    assert outcome.code == 2 and words in outcome.err, outcome.err


def test_weights_in_another_place_are_the_same_weights(plan, tmp_path):
    """Cells are told apart by what their weights are: here by one and the same checkpoint under two names."""
    from artv import ArtVPipeline

    pipe = ArtVPipeline.from_pretrained("shapes")
    for name in ("one", "other"):
        pipe.save_pretrained(tmp_path / name)
    same = plan("--ablation", "mask", "--checkpoint", "one", "--set", "mask.twin=other")
    assert same.code == 2 and "are one and the same" in same.err


def ran(outcome):
    assert outcome.code == 0, outcome.err
    return {cell["cell"]: cell["ran"] for cell in json.loads(outcome.out)["cells"]}


def scales(cell):
    return [cell.get(f"guidance.{name}") for name in ("ref", "anchor", "text")]


def test_guidance_starts_from_the_presets_scales(plan):
    rules = ran(plan("--ablation", "guidance-rule"))
    assert [SHAPES.guidance.ref, SHAPES.guidance.anchor, SHAPES.guidance.text] == [0, 0, 2]
    for rule in ("three_term", "nested", "interval", "rescaled"):
        assert scales(rules[f"guidance={rule}"]) == [0, 0, 2], rule
    assert rules["guidance=joint"]["guidance.scale"] == 2
    terms = ran(plan("--ablation", "guidance"))
    assert scales(terms["guidance=full"]) == [0, 0, 2] and terms["guidance=none"]["guidance"] == "none"
    assert "guidance=no-ref" not in terms  # the preset has no such term to leave out
    more = ran(plan("--ablation", "guidance", "--set", "guidance.ref=0.5"))
    assert scales(more["guidance=no-ref"]) == [0, 0, 2] and scales(more["guidance=no-text"]) == [0.5, 0, 0]


@pytest.mark.parametrize("path", ["three_term.text", "guidance.text"])
def test_what_a_guidance_cell_leaves_out_stays_out(path):
    """In the paper's preset, where all three terms are used; its checkpoint need not be there to plan."""
    manager = PluginManager()
    request = SweepRequest(ablations=("guidance",), preset="paper", settings={path.split(".")[0]: {"text": 2.0}})
    assignments = Assignments(request.settings)
    cells = plan_cells(manager, request, ProtocolRef(name="p", hash="0"), assignments)
    assignments.finish(manager)
    found = {cell.name: scales(cell.ran) for cell in cells if not cell.sanity}
    assert [PAPER.guidance.ref, PAPER.guidance.anchor] == [0.25, 0.25]
    assert found == {
        "guidance=full": [0.25, 0.25, 2],
        "guidance=no-ref": [0, 0.25, 2],
        "guidance=no-anchor": [0.25, 0, 2],
        "guidance=no-text": [0.25, 0.25, 0],
        "guidance=none": [None, None, None],
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("guidance.text=3",), {"guidance": "three_term", "guidance.text": 3, "guidance.ref": 0}),
        (("three_term.anchor=0.5",), {"guidance": "three_term", "guidance.anchor": 0.5, "guidance.text": 2}),
        (("method.guidance=joint", "joint.scale=1"), {"guidance": "joint", "guidance.scale": 1}),
        (("method.guidance={name: nested, text: 4}", "nested.ref=1"), {"guidance.text": 4, "guidance.ref": 1}),
        (("method.ref_noise=constant:0.1",), {"ref_noise": "constant", "ref_noise.level": 0.1}),
        (("sampler.eta=0.5",), {"sampler": "dpmpp_2s_ancestral", "sampler.eta": 0.5}),
        (("artv.steps=3",), {"steps": 3}),
        ((), {"steps": SHAPES.steps, "ref_noise.level": 0, "use_mask": True, "acceleration": None}),
    ],
)
def test_a_setting_reaches_its_component_in_every_cell(plan, given, expected):
    cells = ran(
        plan("--ablation", "mask", "--protocol", "shapes@1", *(word for text in given for word in ("--set", text)))
    )
    for name in ("mask=on", "mask=off"):
        assert {key: cells[name].get(key) for key in expected} == expected


USING = [  # a component, one of its settings with a value, and the words that make a run use it
    ("ddim", "eta", "0.5", "--ablation grid --set method.sampler=ddim"),
    ("joint", "scale", "3", "--ablation grid --set method.guidance=joint"),
    ("hard", "threshold", "0.4", "--ablation grid --set method.mask=hard"),
    ("reuse-guidance", "every", "3", "--ablation grid --set method.acceleration=reuse-guidance"),
    ("steps", "values", "4,2", "--ablation steps"),
    ("artv", "steps", "4", "--ablation grid"),
    ("window_fvd", "place", "anywhere", "--ablation grid --metrics window_fvd"),
    ("ray", "cpus", "0.5", "--ablation grid --executor ray"),
    ("artv-train", "preset", "shapes", "--ablation mask --train --train-steps 2"),
]


@pytest.mark.parametrize(("name", "field", "value", "words"), USING)
def test_what_plugins_show_prints_is_a_setting_that_a_sweep_takes(cli, name, field, value, words):
    (printed,) = re.findall(rf"--set (\S+)\.{field}=…", cli("plugins", "show", f"artv/{name}").out)
    given = ("--set", f"{printed}.{field}={value}", "--num-videos", 2, "--dry-run")
    outcome = cli("sweep", *words.split(), *given)
    if "ray" in words:
        pytest.importorskip("ray")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(("given", "right"), [("ray.address", "executor.address, with --executor ray")])
def test_a_setting_of_what_a_run_has_one_of_is_written_by_its_role(plan, given, right):
    outcome = plan("--ablation", "grid", "--executor", "serial", "--set", f"{given}=x")
    assert outcome.code == 2 and f"write {right}" in outcome.err


def test_a_role_setting_reaches_those_components_that_have_it(plan):
    cells = ran(plan("--ablation", "sampler", "--set", "sampler.names=euler,ddim", "--set", "sampler.eta=0.5"))
    assert cells["sampler=ddim"]["sampler.eta"] == 0.5 and "sampler.eta" not in cells["sampler=euler"]


def test_half_of_the_steps_is_half_of_those_asked_for(plan):
    cells = ran(plan("--ablation", "speed", "--steps", 4))
    assert cells["speed=exact"]["steps"] == 4 and cells["speed=steps-2"]["steps"] == 2


def test_ref_noise_compares_several_distributions(plan):
    assert {"ref_noise=constant", "ref_noise=uniform", "ref_noise=half_normal"} <= ran(
        plan("--ablation", "ref-noise")
    ).keys()


def test_what_ids_are_the_hash_of_is_what_was_given_and_nothing_filled_in():
    """So folders of before continue: only the scales of guidance rules on shapes are new in it."""
    manager = PluginManager()
    request = SweepRequest(ablations=("mask", "steps", "guidance-rule"))
    assignments = Assignments({})
    cells = plan_cells(manager, request, ProtocolRef(name="p", hash="0"), assignments)
    settings = {cell.name: cell.identity()["method"]["settings"] for cell in cells if not cell.sanity}
    whole = {name: [*given] for name, given in settings.items()}
    assert whole["mask=on"] == whole["mask=off"] == ["anchor", "checkpoint", "sampler"]
    assert settings["steps=5"]["steps"] == 5 and settings["steps=5"]["sampler"]["settings"] == {}
    assert settings["guidance=three_term"]["guidance"]["settings"] == {"anchor": 0, "ref": 0, "text": 2}
    assert settings["guidance=none"]["guidance"]["settings"] == {}


def test_table_and_report_say_what_each_cell_ran_and_that_two_made_the_same_clips(toy):
    outcome = toy("--ablation", "noise", "--out", "run", "--set", "noisy.masked=true")
    line = (
        "noise ran noisy: noise=little with strength=2, steps=3, masked=True, together=False; noise=much with strength"
    )
    assert line in " ".join(outcome.out.split()) and line in " ".join(outcome.err.split())
    assert line in Path("run/report.html").read_text(encoding="utf-8")
    manifest = json.loads(Path("run/manifest.json").read_text(encoding="utf-8"))
    assert next(cell["ran"]["strength"] for cell in manifest["cells"] if cell["cell"] == "noise=much") == 40
    assert "made the same clips" not in outcome.out
    idle = toy("--ablation", "idle", "--format", "json", "--out", "idle")
    notes = json.loads(Path("idle/results.json").read_text(encoding="utf-8"))["notes"]
    assert idle.code == 0 and "idle: steps=4 made the same clips as steps=3, bit for bit" in notes


def test_the_guides_examples_of_settings_can_be_planned(cli):
    guide = (Path(__file__).parents[3] / "plugins" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"artv-eval (sweep .*--settings mine.yaml)", guide)
    Path("mine.yaml").write_text("artv: {ref_noise: uniform}", encoding="utf-8")
    cells = ran(cli(*example.split(), *PLAN))
    assert {(cells[name]["steps"], cells[name]["sampler.eta"]) for name in ("mask=on", "mask=off")} == {(20, 0.5)}
