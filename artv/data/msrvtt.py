"""MSR-VTT in the folders that people have."""

import json
from pathlib import Path

from artv.data.listing import VIDEO_SUFFIXES, Listing, Video
from artv.errors import UserError
from artv.files import read_text


def read_msrvtt(root: Path) -> Listing:
    """MSR-VTT as people have it: ``video<N>.mp4`` anywhere below, and its JSON annotations.

    Splits are the annotations' own, or the official ranges (train 0 … 6512, test 7010 … 9999) where they have none.
    """
    captions: dict[str, list[str]] = {}
    split_of: dict[str, str] = {}
    for file in sorted(root.rglob("*.json")):
        try:
            content = json.loads(read_text(file, "utf-8-sig"))
        except ValueError as error:
            raise UserError(f"{file} is no JSON ({error}); delete it or fetch it again") from None
        if not isinstance(content, dict):
            continue
        try:
            for entry in [*content.get("sentences", ()), *content.get("annotations", ())]:
                name = entry.get("video_id") or entry.get("image_id")
                if name and isinstance(entry.get("caption"), str):
                    captions.setdefault(str(name), []).append(entry["caption"])
            videos = [v for v in content.get("videos", ()) if "video_id" in v and "split" in v]
            split_of |= {str(v["video_id"]): str(v["split"]) for v in videos}
        except (TypeError, AttributeError):
            raise UserError(f"{file} has other fields than MSR-VTT's annotations; move it elsewhere") from None
    files = {f.stem: f for f in sorted(root.rglob("video*")) if f.suffix.lower() in VIDEO_SUFFIXES}
    numbered = sorted((int(stem[5:]), stem) for stem in files if stem[5:].isdigit())
    if not numbered or not captions:
        what = "no video<N>.mp4" if not numbered else "no JSON file with sentences"
        raise UserError(f"{root} does not look like MSR-VTT: {what} in it or below")
    splits: dict[str, list[Video]] = {"train": [], "test": [], "all": []}
    for number, stem in numbered:
        video = Video(path=files[stem], captions=tuple(captions.get(stem, ())))
        split = split_of.get(stem) or ("train" if number < 6513 else "validate" if number < 7010 else "test")
        if video.captions:
            splits["all"].append(video)
            splits.setdefault(split, []).append(video)
    return splits
