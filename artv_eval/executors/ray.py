"""Tasks on the machines of a Ray cluster, or on the cores of this one.

One actor for each share of the cluster keeps the work, and so the model, and takes task after task. One that is lost
costs the task it had begun, which another gets; machines may join and leave. When nothing is left to begin, what takes
far longer than the rest did is given to another worker too, and the first answer counts.
"""

import logging
import math
import os
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from artv.errors import UserError, WorkFailed
from artv.files import read_text
from artv_eval.api import FailedTask, Task
from artv_eval.executors.losses import MOST, Losses

START_SECONDS = 120.0  # until the first worker has started
HEAD_SECONDS = 20.0  # that the head may be away; after 60 Ray itself ends the process
LOOK_SECONDS = 1.0  # between two looks at whether the head is there, and room for more workers
LATE, LATE_SECONDS = 3.0, 15.0  # times the usual time of a task, and at least so long: then its worker is a straggler


class RayExecutor:
    """Runs tasks on actors, each with a share of the cluster.

    Args:
        address: of the cluster, HOST:PORT; ``auto`` finds a running one. None takes RAY_ADDRESS, or starts one on this
            machine for the sweep.
        cpus, gpus: the share of a worker. Fractions share a GPU.

    Raises:
        UserError: Ray is not installed, or a share is no number.
    """

    def __init__(self, *, address: str | None = None, cpus: float = 1.0, gpus: float = 0.0) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise UserError(
                "executor 'ray' needs the package ray, which is not installed: pip install 'artv[ray]'"
            ) from None
        for name, value in (("cpus", cpus), ("gpus", gpus)):
            if not (math.isfinite(value) and value >= 0 and (value <= 1 or value == int(value))):
                raise UserError(f"executor.{name} is {value}; it must be a number from 0 to 1 or a whole number")
        if cpus + gpus == 0:
            raise UserError("executor.cpus and executor.gpus are 0; a worker needs some of one")
        self._ray, self.address, self.cpus, self.gpus = ray, address or os.environ.get("RAY_ADDRESS"), cpus, gpus

    @property
    def elsewhere(self) -> bool:
        """Machines of a cluster need not see the run folder."""
        return self.address is not None

    def run(self, work: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yields tasks with their results as they finish. Whoever connects stays so, until the process ends.

        A sweep has work several times over; connecting takes seconds, and Ray has crashed when it was left and joined.
        """
        if not tasks:
            return
        if not self._ray.is_initialized():
            self._connect()
        _, client, place = (self.address or "").partition("://")
        head = _Head(place if client else self._ray.get_runtime_context().gcs_address)
        repeats = hasattr(work, "again")
        yield from _Pool(self._ray, self._actor(), self._ray.put(work), tasks, self._room, head, repeats=repeats).run()

    def _actor(self) -> Any:
        return self._ray.remote(num_cpus=self.cpus, num_gpus=self.gpus)(_Worker)

    def _room(self) -> int:
        """Workers that the cluster has room for, whatever else runs on it. Raises UserError if it has for none."""
        there = self._ray.cluster_resources()
        shares = {"CPU": self.cpus, "GPU": self.gpus}
        room = min(int(there.get(kind, 0) / share) for kind, share in shares.items() if share)
        if room < 1:
            have = ", ".join(f"{there.get(kind, 0):g} {kind}s" for kind in shares)
            raise UserError(
                f"a worker asks for executor.cpus={self.cpus:g} and executor.gpus={self.gpus:g}, and the cluster has "
                f"{have}"
            )
        return room

    def _connect(self) -> None:
        address = self.address or "local"
        _check_answers(address)
        if address not in ("local", "auto") and "://" not in address and not _nodes_here():
            raise UserError(  # Ray itself would end the process with a dump of its stack
                f"this machine is no node of the Ray cluster at {address}: run the command on one (ray job submit), or "
                f"give executor.address=ray://{address.rpartition(':')[0]}:10001"
            )
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            if "ersion mismatch" in str(error):
                raise UserError(
                    f"the Ray cluster at {address} has another Python or Ray than this machine; both must be the same: "
                    f"{' '.join(str(error).split())[:300]}"
                ) from None
            why = _last_line(error) if str(error) else "the one that answers may be of another Ray"
            raise UserError(f"no Ray cluster at {address!r}: {why}") from None


class _Head:
    """The head of the cluster, at HOST:PORT. Without it calls of Ray wait for a minute, and then end the process."""

    def __init__(self, place: str) -> None:
        self.place, self.gone = place, False

    def check(self) -> None:
        """Waits for one that does not answer. Raises WorkFailed when it stays away."""
        until = time.monotonic() + HEAD_SECONDS
        while (why := _refused(self.place)) is not None:
            self.gone = time.monotonic() > until
            if self.gone:
                raise WorkFailed(
                    f"the head of the Ray cluster at {self.place} has gone ({why}); what was made is kept: start the "
                    "cluster again, and run the same command again"
                )
            time.sleep(0.5)


class _Worker:
    """Keeps the work as long as it lives."""

    def __init__(self, work: Callable[[Task], Any]) -> None:
        self.work = work

    def ready(self) -> None:
        """Answers when everything is imported."""

    def do(self, task: Task) -> Any:
        return self.work(task)

    def again(self, task: Task) -> Any:
        return self.work.again(task)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Running:
    """What an answer is awaited of: a worker, its task since when, and the answer that it gives ``before``."""

    worker: Any
    task: Task | None
    since: float
    before: Any = None


class _Pool:
    """Workers and the queue of tasks.

    ``running``: by the answer that is awaited; ``left``: ids of tasks without a result; ``copied``: of those that a
    second worker has, or will have. ``repeats``: whether the work can do a task that another worker has.
    """

    def __init__(
        self,
        ray: Any,
        actor: Any,
        work: Any,
        tasks: Sequence[Task],
        room: Callable[[], int],
        head: _Head,
        *,
        repeats: bool,
    ) -> None:
        self.ray, self.actor, self.work, self.room, self.head, self.repeats = ray, actor, work, room, head, repeats
        self.queue, self.left = deque(tasks), {id(task) for task in tasks}
        self.losses, self.never_begun = Losses(), 0
        self.running: dict[Any, _Running] = {}
        self.took: list[float] = []
        self.copied: set[int] = set()
        self.started, self.ended = False, time.monotonic() + START_SECONDS

    def run(self) -> Iterator[tuple[Task, Any]]:
        try:
            yield from self._run()
        finally:
            for item in () if self.head.gone else self.running.values():  # stragglers, or all when the sweep stops
                with suppress(self.ray.exceptions.RayError):
                    self.ray.kill(item.worker)

    def _run(self) -> Iterator[tuple[Task, Any]]:
        looked = -LOOK_SECONDS
        while self.left:
            if not self.running or time.monotonic() - looked > LOOK_SECONDS:  # tasks may be many a second
                self.head.check()
                self._hire()
                looked = time.monotonic()
            ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=1 if self.took else 5)
            if not ready and not self.started and time.monotonic() > self.ended:
                raise WorkFailed(
                    f"no Ray worker has started within {START_SECONDS:.0f} s: others use the cluster, or its machines "
                    "are gone; what was made is kept: run the same command again"
                )
            for answer in ready:
                yield from self._take(answer, self.running.pop(answer))
            self._copy_stragglers()

    def _hire(self) -> None:
        """Starts workers while there is room, and tasks for them."""
        for _ in range(min(self.room(), len(self.running) + len(self.queue)) - len(self.running)):
            worker = self.actor.remote(self.work)
            self.running[worker.ready.remote()] = _Running(worker, None, time.monotonic())

    def _copy_stragglers(self) -> None:
        """Puts what takes too long into the queue once more, when that is empty."""
        if self.queue or not self.took or not self.repeats:
            return
        late = time.monotonic() - max(LATE_SECONDS, LATE * median(self.took))
        for item in self.running.values():
            if item.task is not None and item.since < late and id(item.task) not in self.copied:
                self.copied.add(id(item.task))
                self.queue.append(item.task)

    def _give(self, worker: Any) -> None:
        """The next task that has no result yet."""
        while self.queue:
            task = self.queue.popleft()
            if id(task) in self.left:
                do, before = worker.again if id(task) in self.copied else worker.do, worker.ready.remote()
                self.running[do.remote(task)] = _Running(worker, task, time.monotonic(), before)
                self.losses.began(id(task))
                return

    def _take(self, answer: Any, item: _Running) -> Iterator[tuple[Task, Any]]:
        """Gives what a worker answered, and the worker its next task."""
        task = item.task
        try:
            result = self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            raise _told(error) from None
        except self.ray.exceptions.RayError as error:
            if task is None and "creation task" in str(error):  # as the next one's would
                raise _cannot_start(_last_line(error)) from None
            yield from self._lost(item, _last_line(error))
            return
        self.started, self.never_begun = True, 0
        self._give(item.worker)
        if task is not None and id(task) in self.left:
            self.left.remove(id(task))
            self.losses.finished(id(task))
            self.took.append(time.monotonic() - item.since)
            yield task, result

    def _lost(self, item: _Running, why: str) -> Iterator[tuple[Task, FailedTask]]:
        """Puts the task of a lost worker last; gives it as failed where it is to blame."""
        task = item.task
        if task is None:
            self.never_begun += 1
            if self.never_begun >= MOST and not any(other.task for other in self.running.values()):
                raise WorkFailed(f"Ray workers are lost as they begin; what was made is kept: {why}")
        elif self._had_begun(item) and id(task) in self.left and self.losses.blamed(id(task)):
            self.left.remove(id(task))
            yield task, FailedTask(error=f"{self.losses.of(id(task))} workers were lost with it: {why}")
        else:
            self.queue.append(task)

    def _had_begun(self, item: _Running) -> bool:
        """One that was lost while it had nothing to do had not."""
        with suppress(self.ray.exceptions.RayError):
            ready, _ = self.ray.wait([item.before], timeout=0)
            return bool(ready) and self.ray.get(ready[0]) is None
        return False


def _told(error: Any) -> Exception:
    """What the work itself raised, or a line about it."""
    if isinstance(error.cause, OSError | UserError | WorkFailed):  # a full disk is full for every task
        return error.cause
    return WorkFailed(
        f"a Ray task failed: {_last_line(error.cause)}; what was made is kept: run the same command again"
    )


def _cannot_start(line: str) -> Exception:
    """``line``: what the worker said last. Other code on its machine is what the user can mend."""
    _, ours, mistake = line.partition(f"{UserError.__name__}: ")
    return UserError(mistake) if ours else WorkFailed(f"a Ray worker cannot start: {line}")


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]


def _nodes_here() -> bool:
    """Whether a node of some cluster runs on this machine: a driver that is given HOST:PORT needs one."""
    from ray._private.services import find_gcs_addresses

    return bool(find_gcs_addresses())


def _check_answers(address: str) -> None:
    """Raises UserError where nobody listens: Ray itself would try for minutes."""
    if address == "local":
        return
    place = address.partition("://")[2] or address
    if address == "auto":
        noted = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / "ray" / "ray_current_cluster"
        if not noted.is_file():
            raise UserError(
                "no Ray cluster runs on this machine; start one (ray start --head), or leave the address out"
            )
        place = read_text(noted).strip()
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"executor.address is {address!r}; it must be HOST:PORT, ray://HOST:PORT, auto or local")
    if (why := _refused(place)) is not None:
        raise UserError(f"no Ray cluster answers at {place} ({why}); is it running?")


def _refused(place: str) -> str | None:
    """Why nobody answers at HOST:PORT; None where somebody does."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
