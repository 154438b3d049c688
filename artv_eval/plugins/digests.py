"""Names that follow from content."""

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """sha256 of a plain value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
