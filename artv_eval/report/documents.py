"""Results for other programs: one JSON document, CSV."""

import json
from collections.abc import Callable

from artv_eval.report.findings import findings_of, plain
from artv_eval.results.rows import Results


def as_json() -> Callable[[Results], str]:
    """One document, that of ``results.json``: run, findings, rows, comparisons, flaws, curves, notes, bad files."""

    def render(results: Results) -> str:
        document = {**results.to_dict(), "findings": plain(findings_of(results))}
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    return render


def as_csv() -> Callable[[Results], str]:
    """The rows, with a header."""
    return lambda results: results.csv()


def as_csv_comparisons() -> Callable[[Results], str]:
    """The paired differences, with a header."""
    return lambda results: results.comparisons_csv()
