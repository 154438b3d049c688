"""Fails when an import runs against plugins → artv_eval → artv."""

import ast
import sys
from pathlib import Path

FORBIDDEN = {
    "artv": ("artv_eval", "plugins", "artv_diffusers", "artv_vbench", "artv_example"),
    "artv_eval": ("artv_diffusers", "artv_vbench", "artv_example"),
}


def imported(file: Path) -> set[str]:
    """Top-level names of everything a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def violations(root: Path) -> list[str]:
    """One line for each file of ``root`` that imports what its package must not."""
    return [
        f"{file.relative_to(root)} imports {', '.join(sorted(bad))}"
        for package, forbidden in FORBIDDEN.items()
        for file in sorted((root / package).rglob("*.py"))
        if (bad := imported(file) & set(forbidden))
    ]


if __name__ == "__main__":
    found = violations(Path(__file__).parents[1])
    print("\n".join(found) or "imports run one way: plugins → artv_eval → artv")
    sys.exit(bool(found))
