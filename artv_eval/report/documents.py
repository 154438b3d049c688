"""Results for other programs: one JSON document, CSV."""

import json
from collections.abc import Callable

from artv_eval.report.findings import findings_of, plain
from artv_eval.results.rows import Results


def as_json() -> Callable[[Results], str]:
    """One document: run, findings, rows, comparisons."""

    def render(results: Results) -> str:
        document = {**results.document(), "findings": plain(findings_of(results))}
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    return render


def as_csv() -> Callable[[Results], str]:
    """The rows, with a header."""
    return lambda results: results.csv()
