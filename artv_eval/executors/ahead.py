"""Items that are made while whoever takes them is busy with those before."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order, and then the error that ended them, if one did; a thread asks for them.

    It goes on where nobody takes them any more: let ``items`` end then.
    """
    made: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()

    def make() -> None:
        try:
            for item in items:
                made.put((item,))
            made.put(None)
        except BaseException as error:  # whoever takes them is told
            made.put(error)

    threading.Thread(target=make, daemon=True, name="ahead").start()
    while (found := made.get()) is not None:
        if isinstance(found, BaseException):
            raise found
        yield found[0]
