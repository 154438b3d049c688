"""What is wrong with a document, of pydantic's first finding: where, what was given, what is meant."""

import pytest
from pydantic import Field, ValidationError, field_validator

from artv.yaml_models import YamlModel
from artv_eval.errors import explain


class Inner(YamlModel):
    size: int = Field(default=1, ge=1)
    name: str = "x"

    @field_validator("name")
    @classmethod
    def _known(cls, value):
        if value == "bad":
            raise ValueError("Bad is no name")
        return value


class Outer(YamlModel):
    inner: Inner = Inner()
    several: list[Inner] = []
    optional: Inner | None = None
    needed: int


class Card(YamlModel):
    title: str
    source: str
    number: int = Field(default=1, ge=1)


def test_all_that_is_missing_is_said_at_once():
    with pytest.raises(ValidationError) as caught:
        Card.model_validate({"number": 0})
    assert explain(caught.value, Card) == "fields 'title', 'source' are missing"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "field 'needed' is missing"),
        ({"needed": "x"}, "field 'needed' is 'x': input should be a valid integer"),
        ({"needed": 1, "inner": {"size": 0}}, "field 'inner.size' is 0: input should be greater than or equal to 1"),
        ({"needed": 1, "several": [{}, {"size": 0}]}, "field 'several.1.size' is 0: "),
        ({"needed": 1, "inner": {"name": "bad"}}, "field 'inner.name' is 'bad': bad is no name"),
        ({"needed": 1, "neded": 2}, "unknown field 'neded'; did you mean needed"),
        ({"needed": 1, "inner": {"sise": 2}}, "unknown field 'inner.sise'; did you mean size"),
        ({"needed": 1, "several": [{"nme": 2}]}, "unknown field 'several.0.nme'; did you mean name"),
        ({"needed": 1, "optional": {"nme": 2}}, "unknown field 'optional.nme'; did you mean name"),
    ],
)
def test_the_first_mistake_is_named_with_its_place(values, told):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    assert explain(caught.value, Outer).startswith(told)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ({("inner", "size"): 7, ("inner",): 3}, "line 7: field"),
        ({("inner",): 3}, "line 3: field"),  # the nearest that is known
        ({("other",): 3}, "field"),
        ({}, "field"),
    ],
)
def test_the_line_of_the_file_comes_first_where_it_is_known(lines, told):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"needed": 1, "inner": {"size": 0}})
    assert explain(caught.value, Outer, lines).startswith(f"{told} 'inner.size' is 0")
