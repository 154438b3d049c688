"""Ids follow from content alone."""

import hashlib

import pytest

from artv_eval.plugins.digests import digest


def test_it_is_the_hash_of_the_shortest_json_with_sorted_keys():
    assert digest({"b": [1, 2.5, None], "a": "ü"}) == hashlib.sha256(b'{"a":"\\u00fc","b":[1,2.5,null]}').hexdigest()
    assert digest({"b": 1, "a": {"d": 2, "c": 3}}) == digest({"a": {"c": 3, "d": 2}, "b": 1})


@pytest.mark.parametrize("other", [[1, 3], [2, 1], [1, 2, None], ["1", 2], [1, [2]], {"1": 2}, [1.5, 2]])
def test_other_content_has_another_name(other):
    assert digest(other) != digest([1, 2])


def test_what_has_no_plain_form_has_no_digest():
    with pytest.raises(TypeError):
        digest({"a": {1, 2}})
