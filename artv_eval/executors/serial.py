"""One task after the other, in this process."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from artv_eval.api import Task


class SerialExecutor:
    """The default: no processes, no copies of the model."""

    def run(self, work: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yields each task with its result, in order."""
        for task in tasks:
            yield task, work(task)
