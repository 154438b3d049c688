"""Requests of clips that are drawn: most who have one want its text and size, and drawing takes longer than reading."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cached_property, partial
from typing import Any

from artv_eval.api import ClipRequest

DRAWN = ("first_frame", "real", "labels")


class DrawnRequest(ClipRequest):
    """A request that has its clip, and what is known of it, drawn when somebody asks for one of them."""

    first_frame = cached_property(lambda self: self._drawn["first_frame"])
    real = cached_property(lambda self: self._drawn["real"])
    labels = cached_property(lambda self: self._drawn["labels"])

    @cached_property
    def _drawn(self) -> Mapping[str, Any]:
        return self._draw()

    _draw: Callable[[], Mapping[str, Any]]

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process has the whole of it: what draws stays here."""
        return partial(ClipRequest, **{one.name: getattr(self, one.name) for one in fields(self)}), ()


def drawn_request(draw: Callable[[], Mapping[str, Any]], **known: Any) -> ClipRequest:
    """A request of what is ``known``; ``draw`` gives the fields of ``DRAWN`` by name, and is called once at most."""
    request = DrawnRequest(**known)
    for name in DRAWN:
        del request.__dict__[name]  # which the dataclass has set, so that properties would not be asked
    request.__dict__["_draw"] = draw
    return request
