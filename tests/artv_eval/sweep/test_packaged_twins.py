"""The first command: packaged twins under several seeds, on long clips; and the pair that was first, as it was."""

import json


def plan(cli, *arguments):
    return json.loads(cli("sweep", "--ablation", "mask", "--dry-run", "--format", "json", *arguments).out)


def test_the_first_command_compares_three_pairs_on_long_clips(cli):
    found = plan(cli)
    cells = [(cell["cell"], cell["seed"]) for cell in found["cells"] if cell["method"] == "artv"]
    assert cells == [(f"mask={state}", seed) for state in ("on", "off") for seed in (1, 2, 3)]
    assert found["protocol"] == "shapes@2" and len({cell["checkpoint"] for cell in found["cells"][:6]}) == 6
    assert {cell["ran"]["steps"] for cell in found["cells"][:6]} == {4}
    assert {cell["ran"]["steps"] for cell in plan(cli, "--steps", 6)["cells"][:6]} == {6}


def test_their_values_are_over_trainings(cli):
    metrics = ("--metrics", "clipsim", "--frames", 3, "--num-videos", 4, "--steps", 1, "--no-sanity")
    found = json.loads(cli("sweep", "--ablation", "mask", "--format", "json", *metrics).out)
    assert [(row["seeds"], row["about"]) for row in found["rows"]] == [(3, "method")] * 2
    (pair,) = found["comparisons"]
    assert (pair["about"], pair["seeds"]) == ("method", 3) and pair["p_checkpoints"] <= pair["p_value"]


def test_the_first_pair_stays_what_it_was(cli):
    found = plan(cli, "--protocol", "shapes@1")
    # as they have been since the package had these weights
    ids = ["3aa7afd9925e4158", "3e46e7eaf9cebc49", "cc7f44d3ca41c921", "d06c9d521931eefb", "1dd7a219b269cbc0"]
    assert [cell["id"] for cell in found["cells"]] == ids and found["run"] == "runs/mask-68dbd1c3"
    assert found["protocol_hash"] == "3cc45364e4eb"


def test_what_the_user_chooses_is_compared_on_the_usual_protocol(cli):
    assert plan(cli, "--checkpoint", "shapes")["protocol"] == "shapes@1"
    assert plan(cli, "--set", "mask.twin=shapes:no-mask")["protocol"] == "shapes@1"
    assert plan(cli, "--ablation", "anchor")["protocol"] == "shapes@1"
