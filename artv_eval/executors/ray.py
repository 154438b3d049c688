"""Tasks on the machines of a Ray cluster, or on the cores of this one. All of them must see the run folder."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from artv.errors import UserError, WorkFailed
from artv_eval.api import Task


class RayExecutor:
    """Runs every task as a Ray task.

    Args:
        address: of the cluster; ``auto`` finds a running one; None starts one on this machine for the sweep.
        cpus, gpus: what one task takes. Fractions share a GPU.

    Raises:
        UserError: Ray is not installed, or the cluster is not there.
    """

    def __init__(self, *, address: str | None = None, cpus: float = 1.0, gpus: float = 0.0) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise UserError(
                "executor 'ray' needs the package ray, which is not installed: pip install 'artv[ray]'"
            ) from None
        self._ray, self.address, self.cpus, self.gpus = ray, address, cpus, gpus

    def run(self, work: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yields tasks with their results as they finish. Stops the cluster that it started."""
        ray = self._ray
        started = not ray.is_initialized()
        if started:
            self._connect()
        try:
            shared = ray.put(work)
            remote = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=2)(_call)
            running = {remote.remote(shared, task): task for task in tasks}
            while running:
                ready, _ = ray.wait(list(running), num_returns=1)
                yield running.pop(ready[0]), self._result(ready[0])
        finally:
            if started:
                ray.shutdown()

    def _connect(self) -> None:
        try:
            self._ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            raise UserError(f"no Ray cluster at {self.address!r}: {' '.join(str(error).split())}") from None

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, OSError):  # a full disk is full for every task
                raise error.cause from None
            raise WorkFailed(
                f"a Ray task failed: {' '.join(str(error.cause).split())}; the clips that were finished are "
                "kept: run the same command again"
            ) from None
        except self._ray.exceptions.RayError as error:
            raise WorkFailed(
                f"Ray lost a task ({' '.join(str(error).split())[:200]}); the clips that were finished "
                "are kept: run the same command again"
            ) from None


def _call(work: Callable[[Task], Any], task: Task) -> Any:
    return work(task)
