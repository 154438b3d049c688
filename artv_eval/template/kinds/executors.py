"""An executor runs tasks and yields each with its result as it finishes."""

from concurrent.futures import ThreadPoolExecutor


class OneThread:
    """A thread beside this one: replace it by your queue. Work and tasks can be pickled."""

    def run(self, work, tasks):
        """Yields (task, result); an OSError of the work must come out, for it means a full disk."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            yield from zip(tasks, pool.map(work, tasks), strict=True)
