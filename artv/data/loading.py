"""Reading ahead in worker processes, without their tracebacks."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from artv.errors import UserError, WorkFailed


def read_ahead(dataset: Dataset, **options: Any) -> Iterator[Any]:
    """What a ``DataLoader`` with these options yields.

    Raises:
        WorkFailed: an error of ours in a worker, in the line that it had there; torch makes a traceback its message.
    """
    try:
        yield from DataLoader(dataset, **options)
    except (UserError, WorkFailed) as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        raise WorkFailed(str(error).strip().splitlines()[-1].removeprefix(name)) from None
