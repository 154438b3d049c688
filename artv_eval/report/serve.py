"""The pages of a folder of runs over loopback: which runs there are, how far they have come, and the report of each.

Nothing is written, and only reports and their previews are given out. A run that is still growing is shown as such;
the list looks again every few seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader

from artv.errors import UserError
from artv.files import read_bytes
from artv_eval.report.findings import findings_of
from artv_eval.results.documents import read_json
from artv_eval.results.rows import Results

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A run in the list; ``link`` is None as long as it has no report; ``says``: its findings, or its state."""

    name: str
    state: str
    started: str
    clips: int
    link: str | None
    says: Sequence[str]


def runs_in(folders: Sequence[Path]) -> dict[str, Path]:
    """Name → run folder, of those given and of those right below them.

    Raises:
        UserError: there is none.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        below = sorted(folder.iterdir()) if folder.is_dir() else []
        for run in (folder, *below):
            if (run / "manifest.json").is_file():
                name = run.resolve().name
                found[name if name not in found else f"{name}-{len(found)}"] = run
    if not found:
        raise UserError(f"no run in {', '.join(map(str, folders))}; give run folders, or the folder they are in")
    return found


def server(folders: Sequence[Path], host: str, port: int) -> ThreadingHTTPServer:
    """A server that is not started yet. Raises UserError when there is no run, or the port is not to be had."""
    runs_in(folders)
    try:
        return ThreadingHTTPServer((host, port), _handler(folders))
    except (OSError, OverflowError, TypeError) as error:  # TypeError: a host whose letters no host has
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{host}:{port} cannot be listened at ({why}); give another --port, or 0 for any") from None


def _handler(folders: Sequence[Path]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = _answer(folders, unquote(self.path.partition("?")[0]))
            self.send_response(404 if given is None else 200)
            kind, body, policy = given or ("text/plain", b"there is no such page\n", POLICY)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if policy:  # a report has its own
                self.send_header("Content-Security-Policy", policy)
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the terminal is the user's."""

    return Handler


def _answer(folders: Sequence[Path], path: str) -> tuple[str, bytes, str | None] | None:
    """(type, body, policy) of what may be given out, else None. Names are looked up, never put together to a path."""
    runs = runs_in(folders)
    match path.strip("/").split("/"):
        case [""]:
            return "text/html; charset=utf-8", _list(runs).encode(), POLICY
        case [name, "report.html"] if name in runs:
            return _file(runs[name] / "report.html", "text/html; charset=utf-8")
        case [name, "previews", picture] if name in runs:
            folder = runs[name] / "previews"
            there = {file.name: file for file in folder.iterdir()} if folder.is_dir() else {}
            return _file(there[picture], "image/webp") if picture in there else None
    return None


def _file(path: Path, kind: str) -> tuple[str, bytes, None] | None:
    try:
        return kind, read_bytes(path), None
    except OSError:
        return None


def _list(runs: dict[str, Path]) -> str:
    environment = Environment(loader=PackageLoader("artv_eval.report"), autoescape=True, trim_blocks=True)
    return environment.get_template("runs.html").render(runs=list(_listed(runs)))


def _listed(runs: dict[str, Path]) -> Iterator[Listed]:
    for name, run in runs.items():
        try:
            manifest = read_json(run / "manifest.json")
            state, started = str(manifest.get("state")), str(manifest.get("started"))
            says = _findings(run) if state == "finished" else []
        except UserError as error:
            state, started, says = "damaged", "", [str(error)]
        clips = sum(1 for _ in (run / "clips").glob("*/*.npz"))
        link = f"{quote(name)}/report.html" if (run / "report.html").is_file() else None
        yield Listed(name=name, state=state, started=started, clips=clips, link=link, says=says)


def _findings(run: Path) -> list[str]:
    return [finding.text for finding in findings_of(Results.from_dict(read_json(run / "results.json")))]
