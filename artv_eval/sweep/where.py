"""Where the work of a sweep is done: whether all who do it see the run folder, asked before any of it."""

import sys
from dataclasses import replace

from artv.errors import UserError
from artv_eval.api import Task
from artv_eval.executors.serial import SerialExecutor
from artv_eval.extras import ExecutorExtras, optional
from artv_eval.results.store import RunStore
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.work import SeesFolder

ASKED = 8  # tasks, so that several machines answer


def sees_folder(prepared: Prepared, store: RunStore) -> bool:
    """Whether the workers see the run folder; says so where they are on other machines.

    Raises:
        UserError: they do not, and models are to be trained.
    """
    if not optional(prepared.executor, ExecutorExtras, "elsewhere"):
        return True
    asked = [Task(cell=str(i), method={}, indices=()) for i in range(ASKED)]
    shared = all(answer is True for _, answer in prepared.executor.run(SeesFolder(store.root), asked))
    if shared:
        print(f"the workers see {store.root}: clips go straight into it", file=sys.stderr)
        return True
    if prepared.options.train is not None:
        raise UserError(
            f"not all workers see {store.root}, and trained models must lie where all do; give --out, --store and "
            "--twins on a file system that they share"
        )
    print(
        f"not all workers see {store.root}: clips come back with their answers, and are scored on this machine",
        file=sys.stderr,
    )
    return False


def scored_here(prepared: Prepared) -> Prepared:
    """The sweep with what reads clips done in this process."""
    return replace(prepared, executor=SerialExecutor())
