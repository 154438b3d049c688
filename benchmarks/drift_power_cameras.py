"""The powers of drift_power.py by camera, beside each other: a page of results and the table in docs/metrics.md.

    python benchmarks/drift_power.py --camera still --out FOLDER/drift_power_still.md       # and moving
    python benchmarks/drift_power_cameras.py FOLDER

Takes FOLDER's two records (and one of any camera, if it is there) into ``results/``.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs" / "metrics.md"
RECORDS = {"any": "drift_power", "still": "drift_power_still", "moving": "drift_power_moving"}
BEGIN, END = "<!-- powers by camera -->", "<!-- end of powers by camera -->"
IN_DOCS = 14  # measures

Powers = dict[str, dict[str, Sequence[float]]]


def take(folder: Path) -> None:
    """Copies what is there of records and pages into the results."""
    for name in RECORDS.values():
        for file in (folder / f"{name}.json", folder / f"{name}.md"):
            if file.exists():
                shutil.copyfile(file, RESULTS / file.name)


def records() -> dict[str, dict[str, Any]]:
    """Camera → record. Raises FileNotFoundError when one is missing."""
    return {
        camera: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for camera, name in RECORDS.items()
    }


def table(by_camera: dict[str, Powers], n: int, most: int | None = None) -> str:
    """Markdown: a row a measure, sorted by the mean power with any camera."""
    lines = [f"| mean power at n = {n} | {' | '.join(f'camera {camera}' for camera in by_camera)} |"]
    lines.append("|---" * (len(by_camera) + 1) + "|")
    for measure in sorted(by_camera["any"], key=lambda measure: -by_camera["any"][measure]["mean"][0])[:most]:
        cells = [_cell(powers.get(measure)) for powers in by_camera.values()]
        lines.append(f"| `{measure}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: dict[str, Sequence[float]] | None) -> str:
    if found is None:
        return "not defined"
    value, low, high = found["mean"]
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def in_docs(text: str, made: str) -> str:
    """The page with this table between its marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    take(parser.parse_args().folder)
    found = records()
    by_n = {n: {camera: record["power"][str(n)] for camera, record in found.items()} for n in (32, 256)}
    title = (
        "# Which measure of drift sees faults, by camera\n\n`python benchmarks/drift_power_cameras.py FOLDER`, of the "
    )
    title += "records beside this page. Mean over faults with its 95 % interval.\n\n"
    text = title + "\n\n".join(table(by_camera, n) for n, by_camera in by_n.items()) + "\n"
    (RESULTS / "drift_power_cameras.md").write_text(text, encoding="utf-8")
    DOCS.write_text(in_docs(DOCS.read_text(encoding="utf-8"), table(by_n[256], 256, IN_DOCS)), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
