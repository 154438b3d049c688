"""The contract is written down: what the harness asks a plugin's object for is in ``extras.py`` and in the guide."""

import ast
from pathlib import Path

import numpy as np
import pytest

from artv_eval import extras
from artv_eval.extras import EvaluatorExtras, MethodExtras, ProtocolExtras, optional

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "plugins" / "README.md").read_text("utf-8")
EXTRAS = {name: kind for name, kind in vars(extras).items() if name.endswith("Extras")}
CODE = [file for file in (ROOT / "artv_eval").rglob("*.py") if "template" not in file.parts]

NO_PLUGINS_OBJECT = {
    "extras.py": "optional() itself",
    "__init__.py": "lazy names of a module",
    "cli/sweep_options.py": "fields of our dataclass",
    "report/plots.py": "matplotlib's axes",
    "files/side_by_side.py": "digest of any callable",
    "results/merged.py": "fields of our dataclass",
    "efficiency/streaming.py": "a function of a class, by name, to note when it is called",
    "errors.py": "pydantic models of ours",
    "executors/ray.py": "our own work: can a task of it be done twice?",
    "plugins/code.py": "where a component's module lies",
    "results/clip_index.py": "an error of SQLite",
    "sweep/generate.py": "what a method gave in place of frames, for the message",
    "sweep/plan_file.py": "fields of our model",
    "feature_training/reference_rows.py": "our own metrics by name",
    "features/c3d.py": "layers of our network",
    "features/clip.py": "open_clip's tokenizer",
    "features/hub.py": "a class of transformers by name",
    "features/i3d.py": "layers of our network",
    "features/registry.py": "our own extractors by name",
    "metrics/__init__.py": "lazy names of a module",
    "metrics/base.py": "what every evaluator must have, by name",
    "metrics/picture_curves.py": "a flow passed in Python",
    "metrics/factories.py": "an extractor passed in Python: is it one of clips or of pictures?",
    "metrics/frames.py": "a measure passed in Python",
    "metrics/set_modules.py": "torchmetrics states, and dim of any callable",
    "metrics/warping.py": "a flow passed in Python",
    "protocols/card.py": "fields of our card",
    "protocols/drawn.py": "fields of a request by name",
    "protocols/shapes.py": "labels of our world",
    "report/serve.py": "an OSError",
    "plugins/components.py": "fields of our dataclass",
    "plugins/discovery.py": "a plugin's module, not a component: ARTV_EVAL_API and the mark of its hooks",
    "plugins/manager.py": "follows a component's target",
    "results/documents.py": "an OSError",
    "results/rows.py": "fields of our dataclass",
    "testing/__init__.py": "lazy names of a module",
    "testing/clips.py": "labels of our world",
    "methods/command.py": "fields of a request by name",
    "testing/scoring.py": "contract tests look at what is not there",
    "testing/settings.py": "contract tests look at what is not there",
}
"""Files that use getattr or hasattr, and on what, since it is not on a component of a plugin in the harness."""


def calls(tree, *names):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_harness_asks_for_nothing_that_the_contract_does_not_name(file):
    tree = ast.parse(file.read_text("utf-8"))
    if any(calls(tree, "getattr", "hasattr")):
        assert str(file.relative_to(ROOT / "artv_eval")) in NO_PLUGINS_OBJECT, (
            "ask with extras.optional(), or say here what it is asked of"
        )
    for call in calls(tree, "optional"):
        kind, name = call.args[1], call.args[2]
        assert isinstance(kind, ast.Name) and kind.id in EXTRAS, ast.unparse(call)
        if isinstance(name, ast.Constant):  # a variable is checked when it runs
            assert hasattr(EXTRAS[kind.id], name.value), ast.unparse(call)


@pytest.mark.parametrize("kind", EXTRAS)
def test_every_optional_member_is_in_the_guide_and_is_asked_for(kind):
    asked = "\n".join(file.read_text("utf-8") for file in CODE)
    for name in vars(EXTRAS[kind]):
        if not name.startswith("_"):
            assert f"`{name}" in GUIDE, f"plugins/README.md does not say what {name} is"
            assert f'"{name}"' in asked, f"{kind}.{name} is never asked for"


class Bare:
    """An evaluator with nothing optional."""

    name = "bare"

    def evaluate(self, rows, reference=None):
        return float(rows.sum())


def test_what_is_left_out_has_the_default_of_its_kind():
    rows = np.arange(3.0)[:, None]
    assert optional(Bare(), EvaluatorExtras, "is_cost") is False
    assert optional(Bare(), EvaluatorExtras, "per_clip")(rows) is None
    resample = optional(Bare(), EvaluatorExtras, "resample")
    np.testing.assert_array_equal(resample(rows, None, np.array([[0, 0, 0], [2, 2, 1]])), [0.0, 5.0])
    card = Bare()
    assert optional(card, ProtocolExtras, "with_frames")(3) is card
    assert optional(card, ProtocolExtras, "reference_digest") is None
    assert optional(Bare, MethodExtras, "efficiency_case") is None


def test_what_is_there_is_the_components_own():
    class Own(Bare):
        is_cost = True

        def per_clip(self, rows):
            return rows[:, 0]

    assert optional(Own(), EvaluatorExtras, "is_cost") is True
    assert optional(Own(), EvaluatorExtras, "per_clip")(np.ones((2, 1))).tolist() == [1, 1]


def test_a_name_that_the_contract_lacks_is_an_error():
    with pytest.raises(AttributeError, match="no_such"):
        optional(Bare(), EvaluatorExtras, "no_such")
