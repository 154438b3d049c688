"""Who is to blame where workers are killed with a task: the task, or whoever kills workers, an operator or a machine.

    losses = Losses()
    losses.began(id(task))
    losses.finished(id(task))        # a worker gave its result
    if losses.blamed(id(task)): …    # a worker died that had begun it; otherwise another worker gets it, after the rest

A task that kills its workers does so each time, while others end. Where others' workers are killed as often it is not
to blame, however many it has met.
"""

from math import comb

FEWEST = 3  # losses of a task that is to blame
MOST = 10  # losses in a row, after which nobody waits for another task that ends: there may be none
CHANCE = 1e-3  # of so many losses, were its workers killed like the others'


class Losses:
    """How the tasks of a run ended, in their order; a task is named by any hashable."""

    def __init__(self) -> None:
        self._ends: list[tuple[object, bool]] = []  # task, whether its worker was lost
        self._blamed: set[object] = set()
        self._first: dict[object, int] = {}  # how many had ended when it was begun first

    def began(self, task: object) -> None:
        """A worker is given it: what ends from now on is what it is compared with."""
        self._first.setdefault(task, len(self._ends))

    def finished(self, task: object) -> None:
        """A worker has done it."""
        self._ends.append((task, False))

    def of(self, task: object) -> int:
        """How many workers it has met the end of."""
        return self._ends.count((task, True))

    def blamed(self, task: object) -> bool:
        """Notes that a worker was lost that had begun the task; whether the task is to blame for it."""
        self._ends.append((task, True))
        if self.of(task) < FEWEST:
            return False
        nothing_ends = len(self._ends) >= MOST and all(lost for _, lost in self._ends[-MOST:])
        if nothing_ends or self._chance(task) < CHANCE:
            self._blamed.add(task)
        return task in self._blamed

    def _chance(self, task: object) -> float:
        """Fisher's exact test, one-sided, since the task was begun first: all its ends are losses, how many of the
        others' are? Those that are to blame themselves do not count.
        """
        since = self._ends[self._first.get(task, self._ends.index((task, True))) :]
        own = self.of(task)
        others = [lost for one, lost in since if one != task and one not in self._blamed]
        return comb(own + sum(others), own) / comb(own + len(others), own)
