"""What a run was begun with beside its settings: a folder of clips, and weights that are given, may be others later."""

import json
from collections.abc import Mapping
from pathlib import Path

from artv.errors import UserError
from artv.files import read_object, write_text_atomically
from artv.training import processes

FILE = "inputs.json"


def claim_inputs(out: Path, inputs: Mapping[str, object]) -> None:
    """Notes in ``RUN/inputs.json`` what is not noted yet; every process calls it.

    Args:
        inputs: in words → a number or a digest.

    Raises:
        UserError: something was another when the run was begun: it would go on as a training of neither.
    """
    file = out / FILE
    before = read_object(file) if file.is_file() else {}
    for name, ours in inputs.items():
        if before.get(name, ours) != ours:
            raise UserError(
                f"{out} was begun with other {name} ({before[name]}) than there are now ({ours}); give those of then, "
                "or another --out"
            )
    processes.wait()
    if processes.is_main() and inputs.keys() - before.keys():
        write_text_atomically(file, json.dumps({**before, **inputs}, indent=1))
    processes.wait()
