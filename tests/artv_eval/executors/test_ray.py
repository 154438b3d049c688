"""Ray with real workers, real kills and addresses at which nobody is."""

import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from artv.errors import UserError, WorkFailed
from artv_eval import testing
from artv_eval.api import FailedTask, Task

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    machines = Cluster(True, head_node_args={"num_cpus": 2, "num_gpus": 0, "include_dashboard": False})
    ray.init(address=machines.address, log_to_driver=False)
    yield machines
    ray.shutdown()
    machines.shutdown()


def executor(**settings):
    from artv_eval.executors.ray import RayExecutor

    return RayExecutor(**settings)


class Mortal:
    """Notes where it is loaded; dies with the tasks that say so, once or always."""

    def __init__(self, folder):
        self.folder = folder

    def __setstate__(self, state):
        self.__dict__.update(state)
        (self.folder / f"loaded-{os.getpid()}").touch()

    def __call__(self, task):
        mark = self.folder / f"died-{task.cell}"
        if task.cell == "always" or (task.cell == "once" and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()


def test_a_lost_worker_costs_its_task_only_and_the_work_is_loaded_once_a_worker(cluster, tmp_path):
    tasks = [
        Task(cell=name, method={}, indices=()) for name in ("a", "once", "b", "always", *"cdefghijklmnopqrstuvwxyz")
    ]
    found = {task.cell: result for task, result in executor().run(Mortal(tmp_path), tasks)}
    assert set(found) == {task.cell for task in tasks}
    assert isinstance(found["always"], FailedTask) and "3 workers were lost" in found["always"].error
    worked = {result for cell, result in found.items() if cell != "always"}
    loads = len(list(tmp_path.glob("loaded-*")))
    # two at once; one more for each that was lost
    assert len(worked) <= loads <= 2 + 1 + 3


class Waits:
    """At home, all tasks but the first wait for somebody who came later. Returns where it was."""

    def __init__(self, home, mark):
        self.home, self.mark = home, mark

    def __call__(self, task):
        here, until = ray.get_runtime_context().get_node_id(), time.monotonic() + 60
        if here != self.home:
            self.mark.touch()
        while task.cell != "first" and not self.mark.exists() and time.monotonic() < until:
            time.sleep(0.05)
        return here


def test_machines_join_and_leave_while_it_runs(cluster, tmp_path):
    home, came, left = ray.get_runtime_context().get_node_id(), None, False
    tasks = [Task(cell=name, method={}, indices=()) for name in ("first", *"abcdefgh")]
    found = {}
    for task, where in executor().run(Waits(home, tmp_path / "mark"), tasks):
        found[task.cell] = where
        if came is None:
            came = cluster.add_node(num_cpus=1)
        elif where == came.node_id and not left:
            cluster.remove_node(came, allow_graceful=False)
            left = True
    assert left and set(found) == {task.cell for task in tasks} and {home, came.node_id} == set(found.values())


class Slow:
    """Has one worker that takes two minutes for what it took up first."""

    def __call__(self, task):
        time.sleep(120 if task.cell == "slow" else 0)
        return "once"

    def again(self, task):
        return "again"


def test_the_end_does_not_wait_for_a_straggler(cluster, monkeypatch):
    monkeypatch.setattr("artv_eval.executors.ray.LATE_SECONDS", 1.0)
    tasks = [Task(cell=name, method={}, indices=()) for name in ("slow", "a", "b", "c")]
    started = time.monotonic()
    found = {task.cell: result for task, result in executor().run(Slow(), tasks)}
    assert found == {"slow": "again", "a": "once", "b": "once", "c": "once"} and time.monotonic() - started < 60


def test_it_holds_the_contract(cluster):
    testing.check_executor(executor)


def test_a_sweep_makes_the_clips_that_it_makes_in_one_process(cluster, toy):
    """By three workers on two cores."""
    serial = json.loads(toy("--ablation", "noise", "--out", "serial", "--format", "json").out)
    several = ("--out", "several", "--store", "apart", "--executor", "ray", "--batch-size", 2)
    outcome = toy("--ablation", "noise", *several, "--set", "executor.cpus=0.6", "--format", "json")
    assert json.loads(outcome.out)["rows"] == serial["rows"]
    shown = re.findall(r"^(clips|described): (\d+)/(\d+)", outcome.err, re.MULTILINE)  # of all workers together
    assert ("clips", "30", "30") in shown and shown[-1][0] == "described" and shown[-1][1] == shown[-1][2]
    for path in Path("serial").glob("clips/*/*.npz"):
        assert (np.load(path)["frames"] == np.load("several" / path.relative_to("serial"))["frames"]).all()


def test_a_head_that_goes_is_waited_for_and_then_told_before_ray_ends_the_process(cluster, monkeypatch, tmp_path):
    """A socket in its place: to kill the real one would end this process, if it were not told in time."""
    from artv_eval.executors import ray as module

    monkeypatch.setattr(module, "HEAD_SECONDS", 1.5)
    listening = socket.create_server(("127.0.0.1", 0))
    head = module._Head(f"127.0.0.1:{listening.getsockname()[1]}")
    listening.close()
    back = threading.Timer(0.7, lambda: opened.append(socket.create_server(listening_at)))
    listening_at, opened = ("127.0.0.1", int(head.place.rpartition(":")[2])), []
    back.start()
    head.check()  # it comes back
    opened[0].close()
    monkeypatch.setattr(module, "_Head", lambda place: head)
    started = time.monotonic()
    tasks = [Task(cell=name, method={}, indices=()) for name in "ab"]
    with pytest.raises(WorkFailed, match=r"the head of the Ray cluster at 127.0.0.1:\d+ has gone \(.*refused\)"):
        list(executor().run(Mortal(tmp_path), tasks))
    assert head.gone and time.monotonic() - started < 10


def test_a_share_that_the_cluster_has_not_is_told_at_once(cluster):
    # a machine that left in a test before may not be forgotten yet
    with pytest.raises(UserError, match=r"executor.gpus=1.*the cluster has [23] CPUs, 0 GPUs"):
        list(executor(gpus=1.0).run(abs, [Task(cell="x", method={}, indices=())]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cpus": float("nan")}, "executor.cpus is nan"),
        ({"cpus": -1.0}, "executor.cpus is -1"),
        ({"gpus": 1.5}, "executor.gpus is 1.5"),
        ({"cpus": 0.0}, "needs some of one"),
    ],
)
def test_a_share_is_a_number(settings, words):
    with pytest.raises(UserError, match=words):
        executor(**settings)


def of_another_python(**_):  # what a driver does first
    from ray._private.utils import check_version_info

    check_version_info({"ray_version": "1.2.3", "python_version": "3.8.1"}, "here")


def of_another_ray(**_):  # how Ray 2.54 ends with the cluster of a Ray 2.60
    raise ConnectionError


@pytest.mark.parametrize(
    ("nodes", "init", "words"),
    [
        (True, of_another_python, r"another Python or Ray than this machine; .*Ray: 1\.2\.3 Python: 3\.8\.1"),
        (True, of_another_ray, r"no Ray cluster at '127.0.0.1:\d+': the one that answers may be of another Ray"),
        (False, None, r"this machine is no node of the Ray cluster at .*executor\.address=ray://127\.0\.0\.1:10001"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_one_line(nodes, init, words, monkeypatch):
    from artv_eval.executors import ray as module

    monkeypatch.setattr(module, "_nodes_here", lambda: nodes)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        made = executor(address=f"127.0.0.1:{listening.getsockname()[1]}")
        made._ray = SimpleNamespace(init=init)
        with pytest.raises(UserError, match=words):
            made._connect()


def test_a_cluster_of_this_machine_has_a_node_here(cluster):
    from artv_eval.executors.ray import _nodes_here

    assert _nodes_here()


class Elsewhere:
    """Work that another machine has other code for."""

    def __reduce__(self):
        return _other_code, ()

    def __call__(self, task):
        raise AssertionError


def _other_code():
    raise UserError("node has artv 2, and the sweep was begun by artv 1: install the same on all machines")


def test_other_code_on_a_machine_is_a_mistake_of_the_user(cluster):
    with pytest.raises(UserError, match=r"^node has artv 2, .* install the same on all machines$"):
        list(executor().run(Elsewhere(), [Task(cell="a", method={}, indices=())]))


def test_an_address_where_nobody_listens_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{unused.getsockname()[1]}"
    started = time.monotonic()
    cases = {"nonsense": "must be HOST:PORT", closed: "no Ray cluster answers", "auto": "no Ray cluster runs"}
    for address, words in cases.items():
        with pytest.raises(UserError, match=words):
            executor(address=address)._connect()
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(closed)  # left by a cluster that was killed
    with pytest.raises(UserError, match="no Ray cluster answers"):
        executor(address="auto")._connect()
    assert time.monotonic() - started < 10
