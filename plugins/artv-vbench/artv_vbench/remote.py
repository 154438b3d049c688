"""VBench in an environment of its own, which its pins ask for: a process that answers as :class:`Bench` does."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv_eval import Program, ProgramFault
from artv_vbench.inside.bench import Bench, Lacking

SERVER = Path(__file__).parent / "inside" / "__main__.py"
SECONDS = 12 * 3600.0  # of an answer: networks may have to be fetched, and 16 clips scored on a processor
OURS = ("PYTHONPATH", "PYTHONHOME")  # of this environment, and not of another one


class RemoteBench:
    """:class:`Bench` of another Python, started when it is first asked.

    Args:
        python: the interpreter of an environment that has VBench.
        device: where its networks run.
    """

    def __init__(self, python: str, device: str) -> None:
        self._python, self._device = python, device
        self._program: Program | None = None

    def check(self, dimensions: Sequence[str]) -> None:
        """Asks :meth:`Bench.check`."""
        self._ask("check", list(dimensions))

    def environment(self) -> list[str]:
        """Asks :meth:`Bench.environment`."""
        return self._ask("environment")

    def list_path(self) -> str:
        """Asks :meth:`Bench.list_path`."""
        return self._ask("list_path")

    def files(self, dimension: str, fetch: bool) -> list[str]:
        """Asks :meth:`Bench.files`."""
        return self._ask("files", dimension, fetch)

    def score(self, dimension: str, listing: list[dict[str, Any]], folder: str) -> list[tuple[str, float]]:
        """Asks :meth:`Bench.score`."""
        return self._ask("score", dimension, listing, folder)

    def speeds(self, file: str) -> list[float]:
        """Asks :meth:`Bench.speeds`."""
        return self._ask("speeds", file)

    def _ask(self, call: str, *arguments: Any) -> Any:
        if self._program is None:
            self._program = self._started()
        try:
            self._program.ask([{"call": call, "arguments": arguments}])
            answer = self._program.answer(SECONDS)
        except ProgramFault as fault:
            self._program = None
            raise RuntimeError(f"VBench's own environment: {fault}") from None
        if "lacking" in answer:
            raise Lacking(f"{answer['lacking']} (of {self._python})")
        if "error" in answer:
            raise RuntimeError(f"VBench: {answer['error']}")
        return answer["result"]

    def _started(self) -> Program:
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        try:
            return Program([self._python, str(SERVER), self._device], Path.cwd(), environment)
        except OSError as error:
            raise UserError(
                f"python is {self._python!r}, which cannot be started ({error.strerror}); give the interpreter of an "
                "environment that has VBench"
            ) from None


@cache
def bench_of(python: str | None, device: str) -> Bench | RemoteBench:
    """VBench of this environment, or of that of ``python``: one process for all metrics."""
    return Bench(device) if python is None else RemoteBench(python, device)


@contextmanager
def said() -> Iterator[None]:
    """What VBench lacks is the user's to mend."""
    try:
        yield
    except Lacking as error:
        raise UserError(str(error)) from None
