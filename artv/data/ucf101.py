"""UCF-101 in the folders that people have."""

from collections.abc import Sequence
from pathlib import Path

from artv.data.listing import VIDEO_SUFFIXES, Listing, Video
from artv.errors import UserError
from artv.files import read_text


def read_ucf101(root: Path) -> Listing:
    """UCF-101 as it unpacks: class folders with ``v_<Class>_g??_c??.avi``, and ``ucfTrainTestlist`` with split 01."""
    place = next((p for p in (root / "UCF-101", root / "videos", root) if any(p.glob("*/v_*"))), None)
    if place is None:
        raise UserError(f"{root} does not look like UCF-101: no <Class>/v_<Class>_g01_c01.avi in it or in its UCF-101/")
    files = sorted(f for f in place.glob("*/v_*") if f.suffix.lower() in VIDEO_SUFFIXES)
    videos = {f.stem: Video(path=f, label=f.parent.name) for f in files}
    splits: dict[str, Sequence[Video]] = {"all": list(videos.values())}
    for split in ("train", "test"):
        name = f"{split}list01.txt"
        lists = [p / name for base in (root, place, root.parent) for p in (base, base / "ucfTrainTestlist")]
        found = next((p for p in lists if p.is_file()), None)
        if found is not None:
            stems = [Path(line.split()[0]).stem for line in read_text(found).splitlines() if line.strip()]
            splits[split] = [videos[stem] for stem in sorted(stems) if stem in videos]
    return splits
