"""Fields of YAML files: no others, no number that is none, and no yes where something else is due."""

import pytest
import yaml
from pydantic import ValidationError

from artv.yaml_models import YamlModel


class Some(YamlModel):
    count: int = 1
    share: float | None = None
    name: str = ""
    flag: bool = False
    anything: object = None
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    "text",
    ["count: 3", "share: 0.5", "share: 1", "share: null", "name: 'no'", "flag: yes", "flag: false", "names: [a, b]"],
)
def test_what_fits_is_what_it_says(text):
    values = yaml.safe_load(text)
    (name, value), *_ = values.items()
    found = getattr(Some.model_validate(values), name)
    assert found == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("text", ["count: yes", "share: no", "name: no", "name: yes"])
def test_yes_is_no_number_and_no_text(text):
    """YAML 1.1 takes yes and no for flags; Python takes flags for numbers."""
    with pytest.raises(ValidationError, match="a number or a text is due here, not yes or no"):
        Some.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("text", ["share: .nan", "share: .inf", "share: -.inf"])
def test_numbers_are_finite(text):
    with pytest.raises(ValidationError, match="finite number"):
        Some.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("values", [{"cuont": 1}, {"count": 1, 3: 4}, {"count": [1]}, {"names": {"a": 1}}, []])
def test_what_does_not_fit_is_refused(values):
    with pytest.raises(ValidationError):
        Some.model_validate(values)


def test_a_model_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Some().count = 2
