"""Weights that are not ours to ship: where they come from, where they are kept, how they are checked.

Nothing is downloaded unless somebody asks for it in so many words:

    python -m artv_eval.features.weights                 # what is there
    python -m artv_eval.features.weights fetch i3d       # downloads, checks, keeps

A file is looked for at the path given, then in ``$ARTV_EVAL_WEIGHTS``, then in ``~/.cache/artv_eval/weights``. Where
the publisher's sha256 is known it must match. Where it is not (``sha256=None``: we have seen none that we could check),
the sum of the first use is written beside the file, and a file that changed afterwards is refused.
"""

import hashlib
import os
import shutil
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from artv.ending import echo
from artv.errors import UserError, closest
from artv.files import open_regular, read_text, write_text_atomically


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One file. ``sha256`` None: not known to us; ``prefix``: its first digits, where the publisher gives no more."""

    file: str
    urls: tuple[str, ...]
    what: str
    sha256: str | None = None
    prefix: str | None = None


WEIGHTS = {
    "i3d": Weight(
        file="i3d_pretrained_400.pt",
        urls=("https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",),
        what="I3D on Kinetics-400, PyTorch port: FVD and KVD (about 50 MB)",
    ),
    "i3d-torchscript": Weight(
        file="i3d_torchscript.pt",
        urls=(
            "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
            "https://huggingface.co/flateon/FVD-I3D-torchscript/resolve/main/i3d_torchscript.pt",
        ),
        what="I3D on Kinetics-400, TorchScript, as StyleGAN-V uses it: FVD (51 MB)",
        # the same in the scripts of several independent projects that check it
        sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
    ),
    "c3d": Weight(
        file="c3d_ucf101.pt",
        urls=(),
        what="C3D fine-tuned on UCF-101, as a PyTorch state dict: Inception Score (no public file known)",
    ),
    "lpips-alex": Weight(
        file="alexnet-owt-7be5be79.pth",
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        what="AlexNet of torchvision: LPIPS (233 MB)",
        prefix="7be5be79",
    ),
    "raft": Weight(
        file="raft_small_C_T_V2-01064c6d.pth",
        urls=("https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth",),
        what="RAFT small of torchvision: warping error (4 MB)",
        prefix="01064c6d",
    ),
    "inception": Weight(
        file="weights-inception-2015-12-05-6726825d.pth",
        urls=(
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
        what="InceptionV3 of torch-fidelity: frame FID (91 MB)",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}


def folders() -> list[Path]:
    """Where weights are looked for, the first being where downloads go."""
    given = os.environ.get("ARTV_EVAL_WEIGHTS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "artv_eval" / "weights"
    return [*([Path(given)] if given else []), cache]


def located(name: str) -> Path | None:
    """The file of a weight if it is there."""
    return next((folder / WEIGHTS[name].file for folder in folders() if (folder / WEIGHTS[name].file).is_file()), None)


def find(name: str, path: str | None = None) -> tuple[Path, str]:
    """Path and sha256 of a weight, checked. Raises UserError that says what to fetch and where to put it."""
    weight = _known(name)
    found = Path(path) if path is not None else located(name)
    if found is None or not found.is_file():
        place = f"{found} does not exist" if path is not None else f"{weight.file} is not in {folders()[0]}"
        how = f"fetch it with: python -m artv_eval.features.weights fetch {name}" if weight.urls else "give its path"
        raise UserError(f"weights {name!r} ({weight.what}) are absent: {place}; {how}")
    return found, check(name, found)


def check(name: str, path: Path) -> str:
    """The file's sha256, after comparing it with what is known of it. Raises UserError when it is another file."""
    weight, found = _known(name), sha256_of(path)
    if weight.sha256 is not None and found != weight.sha256:
        raise UserError(f"{path} has sha256 {found}; {name} is {weight.sha256}: delete it and fetch it again")
    if weight.prefix is not None and not found.startswith(weight.prefix):
        raise UserError(f"{path} has sha256 {found}; that of {name} begins with {weight.prefix}: fetch it again")
    if weight.sha256 is None:
        _compare_with_first_use(path, found)
    return found


def _compare_with_first_use(path: Path, found: str) -> None:
    note = path.with_name(path.name + ".sha256")
    if note.is_file():
        first = read_text(note).split()[0]
        if first != found:
            raise UserError(
                f"{path} has sha256 {found} and had {first} when it was first used: another file would give other "
                f"numbers; put the old one back, or delete {note} to accept the new one"
            )
        return
    try:
        write_text_atomically(note, f"{found}  {path.name}\n")
    except OSError:
        return  # a read-only folder: the digest is in every result anyway


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    sha = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def fetch(name: str, url: str | None = None) -> Path:
    """Downloads a weight to the first of :func:`folders`, checks it, and returns its path."""
    weight = _known(name)
    urls = (url,) if url else weight.urls
    if not urls:
        raise UserError(
            f"no public address of {name!r} is known; give one, or put the file at {folders()[0] / weight.file}"
        )
    target = folders()[0] / weight.file
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    reasons = []
    for address in urls:
        try:
            with urllib.request.urlopen(address, timeout=60) as source, part.open("wb") as out:
                shutil.copyfileobj(source, out)
        except OSError as error:
            reasons.append(f"{address}: {error}")
            continue
        try:
            check(name, part)
        except UserError:
            part.unlink()
            raise
        part.replace(target)
        note = part.with_name(part.name + ".sha256")
        if note.is_file():
            note.replace(target.with_name(target.name + ".sha256"))
        return target
    part.unlink(missing_ok=True)
    raise UserError(f"{name!r} could not be downloaded ({'; '.join(reasons)}); put the file at {target} by other means")


def status() -> list[dict[str, str | None]]:
    """What ``doctor`` shows: of every weight its path or None, what it is for, what is known of its sum."""
    rows: list[dict[str, str | None]] = []
    for name, weight in WEIGHTS.items():
        path = located(name)
        known = "sha256" if weight.sha256 else f"sha256 begins with {weight.prefix}" if weight.prefix else "unknown"
        rows.append(
            {
                "name": name,
                "path": None if path is None else str(path),
                "what": weight.what,
                "checksum": known,
                "fetch": f"python -m artv_eval.features.weights fetch {name}" if weight.urls else None,
                "put": str(folders()[0] / weight.file),
            }
        )
    return rows


def _known(name: str) -> Weight:
    if name not in WEIGHTS:
        raise UserError(f"weight is {name!r}; {closest(name, WEIGHTS)}")
    return WEIGHTS[name]


def main(argv: list[str]) -> int:
    """``[fetch NAME [URL]]``."""
    if not argv:
        for row in status():
            echo(f"{row['name']:16} {row['path'] or 'absent'}  ({row['what']}; checksum {row['checksum']})")
        return 0
    if argv[0] != "fetch" or len(argv) not in (2, 3):
        raise UserError(f"arguments are {' '.join(argv)!r}; they must be nothing, or: fetch NAME [URL]")
    echo(fetch(argv[1], argv[2] if len(argv) == 3 else None))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        echo(f"error: {error}", file=sys.stderr)
        sys.exit(2)
