"""Names that scripts and other packages rely on: they stay, with what they are called with."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

NAMES = {
    "artv": "ArtVPipeline",
    "artv.schedule": "NoiseSchedule",
    "artv.samplers": "sample_dpmpp_2s_ancestral",
    "artv.guidance": "three_term",
    "artv.networks": "ConditionalUNet ArtVModel",
    "artv_eval": "hookimpl Component",
    "artv_eval.metrics": "FrechetVideoDistance ClipSim",
    "artv_eval.metrics.frechet": "frechet_distance",
    "artv_eval.features.i3d": "InceptionI3d",
    "artv_eval.testing": "check_method check_sampler",
}
CALLED = {
    "artv.samplers:sample_dpmpp_2s_ancestral": "denoise x sigmas * eta=1.0 s_noise=1.0 noise=None",
    "artv.guidance:three_term": "full without_ref without_anchor without_text * ref anchor text",
    "artv_eval.metrics.frechet:frechet_distance": "mu1 sigma1 mu2 sigma2",
}
OPTIONS = {
    "artv data shapes": "--out --num --split --seed",
    "artv train": "--preset --data --out --steps --batch-size --no-mask --no-anchor --config --resume",
    "artv sample": "--prompt --image --checkpoint --frames --steps --guidance --seed --save-masks --out",
    "artv-eval sweep": "--ablation --preset --checkpoint --protocol --num-videos --frames --steps --seed --executor "
    "--shard --dry-run --out --format --train --train-seeds --train-steps",
    "artv-eval efficiency": "--res --method --frames --device --dtype --setting --format",
    "artv-eval score": "--real --fake --captions --metrics --features --protocol --format",
    "artv-eval report": "--html --format",
    "artv-eval plugins list": "--json",
    "artv-eval plugins new": "",
    "artv-eval protocols list": "",
    "artv-eval protocols show": "",
    "artv-eval doctor": "--json",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_are_where_they_were(module):
    assert all(hasattr(import_module(module), name) for name in NAMES[module].split())


@pytest.mark.parametrize("place", CALLED)
def test_they_are_called_as_before(place):
    """What came since has a default."""
    module, _, name = place.partition(":")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    positional, _, keywords = (part.split() for part in CALLED[place].partition("*"))
    assert [p.name for p in parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD][: len(positional)] == positional
    for word in keywords:
        name, _, default = word.partition("=")
        expected = {"": inspect.Parameter.empty, "None": None}.get(default, default)
        assert parameters[name].default is expected or str(parameters[name].default) == expected
    known = {*positional, *(word.partition("=")[0] for word in keywords)}
    assert all(p.default is not p.empty for name, p in parameters.items() if name not in known)


def test_classes_are_what_they_were():
    import torch
    from torchmetrics import Metric

    from artv import ArtVPipeline
    from artv.networks import ArtVModel
    from artv.schedule import NoiseSchedule
    from artv_eval.metrics import ClipSim, FrechetVideoDistance

    assert issubclass(FrechetVideoDistance, Metric) and issubclass(ClipSim, Metric)
    assert {"from_pretrained", "save_pretrained", "__call__"} <= set(dir(ArtVPipeline))
    sigmas = NoiseSchedule().sigmas(5)
    assert sigmas.shape == (6,) and sigmas[-1] == 0 and (sigmas.diff() < 0).all()
    assert NoiseSchedule().alphas_cumprod.shape == (1000,)
    with torch.device("meta"):
        model = ArtVModel.from_config(preset="paper")
    assert isinstance(model.mask_network, torch.nn.Module) and isinstance(model.dynamic_network, torch.nn.Module)


def test_every_import_of_the_authors_guide_works():
    """Those of its examples, inside functions too."""
    guide = (Path(__file__).parents[1] / "plugins" / "README.md").read_text(encoding="utf-8")
    found = set(re.findall(r"^ *from (artv[\w.]*) import ([\w, ]+)$", guide, flags=re.MULTILINE))
    assert len(found) >= 5
    for module, names in sorted(found):
        assert all(hasattr(import_module(module), name.strip()) for name in names.split(",")), (module, names)


@pytest.mark.parametrize("command", OPTIONS)
def test_commands_have_their_options(command):
    program, *path = command.split()
    app = import_module("artv.cli" if program == "artv" else "artv_eval.cli").app
    found = typer.main.get_command(app)
    for word in path:
        found = found.commands[word]
    known = {text for parameter in found.params for text in (*parameter.opts, *parameter.secondary_opts)}
    assert set(OPTIONS[command].split()) <= known
