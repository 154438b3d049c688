"""Names of cells that stand for a number: short, and never that of another number."""

import pytest

from artv_eval.ablations import in_short
from artv_eval.api import AblationContext
from artv_eval.twins.ablations import weight_cap


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.5"), (1e-5, "1e-05"), (0.1234567, "0.1234567"), (1 / 3, "0.3333333333333333"), (7, "7")],
)
def test_a_number_is_as_short_as_it_can_be(value, text):
    assert in_short(value) == text and float(text) == value


def test_values_that_differ_in_the_seventh_digit_are_two_cells():
    cells = weight_cap(caps=(0.1234567, 0.1234568))(AblationContext(preset="shapes", checkpoint="shapes", names={}))
    names = {cell.name: cell.training for cell in cells if not cell.sanity}
    assert names == {
        "weight-cap=preset": {},
        "weight-cap=0.1234567": {"weight_cap": 0.1234567},
        "weight-cap=0.1234568": {"weight_cap": 0.1234568},
    }
