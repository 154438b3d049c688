"""The pages of a folder of runs over loopback: which runs there are, how far they have come, and the report of each.

Nothing is written, and only reports and their previews are given out. A run that is still growing is shown with the
clips that are there; its page and the list look again every few seconds. Two runs can be chosen to stand side by side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote

from jinja2 import Environment, PackageLoader

from artv.errors import UserError, WorkFailed
from artv.files import read_bytes
from artv_eval.report.findings import findings_of
from artv_eval.report.html import load_run, page
from artv_eval.results.documents import read_json
from artv_eval.results.rows import Results
from artv_eval.results.store import RunStore

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'"
AGAIN = 15  # seconds after which the page of a growing run is asked for again


class Answer(NamedTuple):
    """What is given out. ``policy``: a report has its own; ``again``: seconds after which a browser asks again."""

    body: bytes
    kind: str = "text/html; charset=utf-8"
    policy: str | None = None
    again: int | None = None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A run in the list; ``link`` is None as long as there is nothing to show; ``says``: its findings, or its state."""

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
            given = _answer(folders, self.path)
            self.send_response(404 if given is None else 200)
            given = given or Answer(b"there is no such page\n", "text/plain", POLICY)
            self.send_header("Content-Type", given.kind)
            self.send_header("Content-Length", str(len(given.body)))
            if given.policy:
                self.send_header("Content-Security-Policy", given.policy)
            if given.again:
                self.send_header("Refresh", str(given.again))
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            self.wfile.write(given.body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the terminal is the user's."""

    return Handler


def _answer(folders: Sequence[Path], address: str) -> Answer | None:
    """What may be given out, else None. Names are looked up, never put together to a path."""
    path, _, query = address.partition("?")
    runs = runs_in(folders)
    match unquote(path).strip("/").split("/"):
        case [""]:
            return _rendered("runs.html", runs=list(_listed(runs)))
        case ["side"]:
            chosen = [name for name in parse_qs(query).get("run", []) if name in runs][:2]
            return _rendered("side.html", runs=[run for run in _listed(runs) if run.link], chosen=chosen)
        case [name, "report.html"] if name in runs:
            return _file(runs[name] / "report.html") or _growing(runs[name])
        case [name, "previews", picture] if name in runs:
            folder = runs[name] / "previews"
            there = {file.name: file for file in folder.iterdir()} if folder.is_dir() else {}
            return _file(there[picture], "image/webp") if picture in there else None
    return None


def _file(path: Path, kind: str = Answer._field_defaults["kind"]) -> Answer | None:
    try:
        return Answer(read_bytes(path), kind)
    except OSError:
        return None


def _growing(run: Path) -> Answer | None:
    """The page of a run that has none yet: what is scored, or no value, and the first clips that are there."""
    try:
        try:
            found, store = load_run(run)
        except WorkFailed:  # nothing is scored
            found, store = Results(run=str(run), rows=()), RunStore(run, to_read=True)
        return Answer(page(found, store).encode(), again=AGAIN)
    except UserError:
        return None


def _rendered(name: str, **shown: Any) -> Answer:
    environment = Environment(loader=PackageLoader("artv_eval.report"), autoescape=True, trim_blocks=True)
    return Answer(environment.get_template(name).render(**shown).encode(), policy=POLICY)


def _listed(runs: dict[str, Path]) -> Iterator[Listed]:
    for name, run in runs.items():
        try:
            manifest = read_json(run / "manifest.json")
            state, started = str(manifest.get("state")), str(manifest.get("started"))
            says = _findings(run) if state == "finished" else []
        except UserError as error:
            state, started, says = "damaged", "", [str(error)]
        clips = sum(1 for _ in (run / "clips").glob("*/*.npz"))
        shown = any((run / file).is_file() for file in ("report.html", "gallery.json"))
        link = f"{quote(name)}/report.html" if shown else None
        yield Listed(name=name, state=state, started=started, clips=clips, link=link, says=says)


def _findings(run: Path) -> list[str]:
    return [finding.text for finding in findings_of(Results.from_dict(read_json(run / "results.json")))]
