"""The figure of masks: every picture where it belongs, pixel by pixel."""

import numpy as np
import pytest

from artv.masks import GAP, MARGIN, mask_figure, some_steps


@pytest.mark.parametrize("count", [1, 2, 12, 13, 14, 50, 99, 1000])
def test_some_steps_are_the_first_the_last_and_evenly_between(count):
    steps = some_steps(count)
    assert steps[0] == 0 and steps[-1] == count - 1 and len(steps) == min(count, 13)
    assert (np.diff(steps) > 0).all() and (count == 1 or np.ptp(np.diff(steps)) <= 1)


def test_a_row_has_its_reference_its_frame_and_its_masks():
    rng = np.random.default_rng(0)
    frames, masks = rng.integers(0, 256, (4, 16, 24, 3), np.uint8), rng.random((3, 3, 4, 6))
    figure = np.asarray(mask_figure(frames, masks))
    assert figure.shape == (MARGIN + 3 * (16 + GAP), MARGIN + 5 * (24 + GAP), 3)

    def at(row, column):
        top, left = MARGIN + row * (16 + GAP), MARGIN + column * (24 + GAP)
        return figure[top : top + 16, left : left + 24]

    for row in range(3):
        assert np.array_equal(at(row, 0), frames[row]) and np.array_equal(at(row, 1), frames[row + 1])
        for step in range(3):
            cells = (masks[step, row] * 255).round().astype(np.uint8).repeat(4, 0).repeat(4, 1)
            assert np.array_equal(at(row, 2 + step), cells[..., None].repeat(3, 2))


def test_between_pictures_it_is_white():
    figure = np.asarray(mask_figure(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 1, 2, 2))))
    assert (figure[MARGIN:, MARGIN + 8 : MARGIN + 8 + GAP] == 255).all() and (figure[-GAP:, MARGIN:] == 255).all()
