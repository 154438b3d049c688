"""What a run was begun with beside its settings: its clips, given weights and processes may be others later."""

import json
from collections.abc import Mapping
from pathlib import Path

from artv.errors import UserError
from artv.files import read_object, write_text_atomically
from artv.training import processes

FILE = "inputs.json"
SAMPLES = "samples a step"


def claim_inputs(out: Path, inputs: Mapping[str, object]) -> None:
    """Notes in ``RUN/inputs.json`` what is not noted yet; every process calls it. Raises as :func:`check_inputs`."""
    before = check_inputs(out, inputs)
    processes.wait()
    if processes.is_main() and inputs.keys() - before.keys():
        write_text_atomically(out / FILE, json.dumps({**before, **inputs}, indent=1))
    processes.wait()


def check_inputs(out: Path, inputs: Mapping[str, object], remedy: str = "give those of then") -> dict[str, object]:
    """What is noted in a run's folder: nothing in one of an older version.

    Args:
        inputs: in words → a number or a digest.
        remedy: what may be done about another one.

    Raises:
        UserError: something was another when the run was begun: it would go on as a training of neither.
    """
    before = read_object(out / FILE) if (out / FILE).is_file() else {}
    for name, ours in inputs.items():
        if before.get(name, ours) != ours:
            raise UserError(
                f"{out} was begun with other {name} ({before[name]}) than there are now ({ours}); {remedy}, "
                "or another --out"
            )
    return before
