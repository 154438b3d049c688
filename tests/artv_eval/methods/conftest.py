"""Requests of the toy world."""

import pytest

from artv_eval import testing


@pytest.fixture(scope="session")
def requests():
    return testing.toy_requests(5, frames=4)
