"""Results that a run gave before, of other clips, metrics or settings: kept beside the newest, named by what they are.

results.json                                  the newest
results/20-clips_fvd+kvd_1a2b3c4d.json        an earlier one; per_clip.csv of it beside it, with the same name
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import read_bytes, write_atomically
from artv_eval.plugins.digests import digest
from artv_eval.results.store import read_json

FOLDER = "results"
SAID = ("ablation", "cell", "metric", "n", "protocol", "protocol_hash", "features", "seeds", "train_steps")
"""The fields of a row that say what it is the value of."""
OF = "of"
"""Field of the document: a digest of what rows do not say of it, such as settings of cells of one name."""


def name_of(results: Mapping[str, Any]) -> str:
    """``<n>-clips_<metrics>_<digest>``: the same for results of the same cells, clips, metrics and settings."""
    rows = results["rows"]
    what = [*sorted([str(row.get(field)) for field in SAID] for row in rows), *([results[OF]] if OF in results else [])]
    metrics = "+".join(dict.fromkeys(str(row["metric"]) for row in rows))[:60].replace("/", "-")
    return f"{max((row['n'] for row in rows), default=0)}-clips_{metrics}_{digest(what)[:8]}"


def keep_before(root: Path, newest: Mapping[str, Any]) -> None:
    """Puts the results that are there beside, unless ``newest``, a document, are the same ones made again."""
    now = name_of(newest)
    try:
        old = read_json(root / "results.json")
        before = name_of(old)
        same = before == (now if OF in old else name_of({"rows": newest["rows"]}))  # older versions wrote no digest
    except (UserError, KeyError, TypeError, AttributeError):  # none, or nothing that anyone could read
        return
    if not same:
        for file, end in ((root / "results.json", ".json"), (root / "per_clip.csv", ".csv")):
            if file.is_file():
                write_atomically(root / FOLDER / f"{before}{end}", read_bytes(file))
    for end in (".json", ".csv"):  # it is the newest again
        (root / FOLDER / f"{now}{end}").unlink(missing_ok=True)


def kept(root: Path) -> list[Path]:
    """The earlier results of a run folder."""
    return sorted((root / FOLDER).glob("*.json"))
