"""Where a protocol's prompts and real clips come from: the shapes world, UCF-101, MSR-VTT.

Clips are rendered or decoded when they are asked for, and only the last few are kept: memory does not grow with their
number.

Shape suffixes: T frames, H W pixels.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.decoding import Window, read_window
from artv_eval.features.base import digest_of

T = TypeVar("T")
CHUNK, KEPT = 64, 8  # shapes clips rendered at once, and how many such chunks are kept
VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".webm")


class Lazy(Sequence[T]):
    """A sequence whose items are made when they are asked for."""

    def __init__(self, length: int, make: Callable[[int], T]):
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            chosen = range(self._length)[index]
            return Lazy(len(chosen), lambda i: self._make(chosen[i]))
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._make(index % self._length)


class Source(Protocol):
    """Prompts and real clips of one card."""

    def requests(self, number: int, frames: int, seed: int) -> Sequence[ClipRequest]: ...

    def reference(self, frames: int) -> ClipSet: ...

    def files(self, frames: int) -> tuple[list[Path], Window] | None:
        """The files of the real clips and which frames of them; None where clips are not files."""

    def digest(self) -> str | None:
        """Of the list of files, or None where the card alone fixes the clips."""


def source_of(card: Any, dataset: str, root: str | None, sentences: str | None) -> Source:
    """The source that a card names."""
    if dataset == "shapes":
        return ShapesSource(card)
    kinds: dict[str, Callable[[Path], Any]] = {"ucf101": read_ucf101, "msrvtt": read_msrvtt}
    return VideoSource(card, dataset, None if root is None else Path(root), sentences, kinds[dataset])


def request_seed(seed: int, index: int) -> int:
    """Seed of one clip's random stream."""
    return seed * 1_000_003 + index


class ShapesSource:
    """The synthetic world: prompts are clips 0, 1, … of a split, references those from ``reference.first`` on."""

    def __init__(self, card: Any):
        self.card = card
        if card.prompts.dataset == "shapes" and card.prompts.text != "caption":
            raise UserError(f"protocol {card.name}: prompts.text is {card.prompts.text!r}; shapes has captions only")
        if card.frames.height != card.frames.width:
            raise UserError(
                f"protocol {card.name}: frames are {card.frames.height} x {card.frames.width}; shapes draws squares, "
                "so give the same height and width"
            )
        if card.prompts.split == card.reference.split and card.reference.first < card.prompts.number:
            raise UserError(
                f"protocol {card.name}: reference clips from {card.reference.first} on overlap with the "
                f"{card.prompts.number} prompts of the same split; set reference.first to at least that number"
            )
        self._chunk = lru_cache(maxsize=KEPT)(self._render)

    def _render(self, split: str, frames: int, chunk: int) -> Any:
        from artv.data.shapes import ShapesWorld

        want = self.card.frames
        fps = (want.fps or 8.0) / want.stride
        world = ShapesWorld(split, seed=0, num_frames=frames, size=want.height, fps=fps)
        return world.batch(range(chunk * CHUNK, (chunk + 1) * CHUNK))

    def _clip(self, split: str, frames: int, index: int) -> tuple[Any, int]:
        return self._chunk(split, frames, index // CHUNK), index % CHUNK

    def requests(self, number: int, frames: int, seed: int) -> Sequence[ClipRequest]:
        """Caption, first frame, ground truth and labels of the first test clips."""
        if number > self.card.reference.first and self.card.prompts.split == self.card.reference.split:
            raise UserError(
                f"{number} videos: protocol {self.card.name} has {self.card.reference.first} prompts before its "
                "reference clips begin; ask for fewer with --num-videos"
            )
        return Lazy(number, lambda i: self._request(i, frames, seed))

    def _request(self, index: int, frames: int, seed: int) -> ClipRequest:
        batch, row = self._clip(self.card.prompts.split, frames, index)
        real = batch.frames[row].permute(0, 2, 3, 1).contiguous().numpy()
        want = self.card.frames
        return ClipRequest(
            index=index,
            prompt=batch.captions[row],
            seed=request_seed(seed, index),
            num_frames=frames,
            height=want.height,
            width=want.width,
            fps=(want.fps or 8.0) / want.stride,
            first_frame=real[0] if self.card.first_frame else None,
            real=real,
            labels={
                "colour": batch.colour[row].numpy(),
                "shape": batch.shape[row].numpy(),
                "motion_label": batch.motion_label[row].numpy(),
                "motion": batch.motion[row].numpy(),
            },
        )

    def reference(self, frames: int) -> ClipSet:
        """Real clips that are no request's ground truth."""
        card = self.card
        if card.reference.number is None:
            raise UserError(f"protocol {card.name}: the shapes world has no end; give reference.number")

        def load(i: int) -> GeneratedClip:
            batch, row = self._clip(card.reference.split, frames, card.reference.first + i)
            return GeneratedClip(batch.frames[row].permute(0, 2, 3, 1).contiguous().numpy())

        blank = _blank(card, frames)
        return ClipSet(Lazy(card.reference.number, blank), load)

    def files(self, frames: int) -> None:
        """None: clips are rendered."""
        return None

    def digest(self) -> None:
        """The card alone fixes the clips."""
        return None


def _blank(card: Any, frames: int) -> Callable[[int], ClipRequest]:
    """Requests of reference clips: nobody generates them, so they hold no prompt and no pictures."""
    want = card.frames
    fps = float(want.fps or 0)
    # the user's own files differ from machine to machine; clips that we make are known by their card
    labels = {"reference": (card.hash, frames)} if card.reference.dataset == "shapes" else {}
    return lambda i: ClipRequest(
        index=i,
        prompt="",
        seed=0,
        num_frames=frames,
        height=want.height,
        width=want.width,
        fps=fps,
        labels=labels,
    )


@dataclass(frozen=True, kw_only=True)
class Video:
    """A real video: its file, its class or "" and its captions."""

    path: Path
    label: str = ""
    captions: tuple[str, ...] = ()


Listing = Mapping[str, Sequence[Video]]
"""split → its videos, in a fixed order; ``all`` has those of every split."""


class VideoSource:
    """A data set of video files."""

    def __init__(
        self, card: Any, dataset: str, root: Path | None, sentences: str | None, read: Callable[[Path], Listing]
    ):
        self.card, self.dataset, self.root, self.sentences, self._read = card, dataset, root, sentences, read
        self._listing: Listing | None = None

    def listing(self) -> Listing:
        """The videos by split; read once. Raises UserError when the folder is not given or not of this data set."""
        if self._listing is None:
            if self.root is None:
                raise UserError(
                    f"protocol {self.card.name} needs the folder of {self.dataset}; give it with --set "
                    "protocol.root=FOLDER"
                )
            if not self.root.is_dir():
                raise UserError(f"the folder of {self.dataset}, {self.root}, does not exist")
            self._listing = self._read(self.root)
        return self._listing

    def _split(self, split: str) -> Sequence[Video]:
        videos = self.listing().get(split, ())
        if not videos:
            raise UserError(
                f"{self.root} holds no videos of the {split} split of {self.dataset}; see docs/protocols.md"
            )
        return videos

    def requests(self, number: int, frames: int, seed: int) -> Sequence[ClipRequest]:
        """Prompts only: these protocols give no first frame."""
        texts = self._texts()
        if number > len(texts) and self.card.prompts.text in ("random-caption", "all-captions"):
            raise UserError(f"{number} videos: {self.root} has {len(texts)} prompts; ask for fewer with --num-videos")
        want = self.card.frames
        return Lazy(
            number,
            lambda i: ClipRequest(
                index=i,
                prompt=texts[i % len(texts)],
                seed=request_seed(seed, i),
                num_frames=frames,
                height=want.height,
                width=want.width,
                fps=(want.fps or 8.0) / want.stride,
            ),
        )

    def _texts(self) -> list[str]:
        videos, text = self._split(self.card.prompts.split), self.card.prompts.text
        if text == "all-captions":
            return [caption for video in videos for caption in video.captions]
        if text == "random-caption":
            rng = np.random.default_rng(0)
            return [video.captions[int(rng.integers(len(video.captions)))] for video in videos]
        names = sorted({video.label for video in videos})
        if text == "class-name":
            return [words_of(name) for name in names]
        return self._sentences(names)

    def _sentences(self, names: Sequence[str]) -> list[str]:
        if self.sentences is None:
            raise UserError(
                f"protocol {self.card.name} uses a sentence a class; give the file of 'class,sentence' lines with "
                "--set protocol.sentences=FILE"
            )
        path = Path(self.sentences)
        if not path.is_file():
            raise UserError(f"the file of class sentences, {path}, does not exist")
        pairs = [line.split(",", 1) for line in path.read_text().splitlines() if "," in line]
        table = {name.strip(): sentence.strip().strip('"') for name, sentence in pairs}
        missing = [name for name in names if name not in table]
        if missing:
            raise UserError(f"{path} has no sentence for class {missing[0]!r} and {len(missing) - 1} others")
        return [table[name] for name in names]

    def _chosen(self) -> list[Video]:
        videos, want = list(self._split(self.card.reference.split)), self.card.reference
        number = want.number or len(videos)
        if want.order == "sorted":
            if number > len(videos):
                raise UserError(f"{self.root} has {len(videos)} videos; protocol {self.card.name} asks for {number}")
            return videos[:number]
        rng, order = np.random.default_rng(0), np.empty(0, int)
        while len(order) < number:  # more clips than videos: every video once before any comes twice
            order = np.concatenate([order, rng.permutation(len(videos))])
        return [videos[i] for i in order[:number]]

    def files(self, frames: int) -> tuple[list[Path], Window]:
        """The videos that the card takes, and the part of them, at its rate."""
        want = self.card.frames
        window = Window(frames=frames, fps=want.fps, stride=want.stride, which=self.card.reference.which)
        return [video.path for video in self._chosen()], window

    def reference(self, frames: int) -> ClipSet:
        """The real clips, decoded here one by one."""
        paths, window = self.files(frames)

        def load(i: int) -> GeneratedClip:
            return GeneratedClip(read_window(paths[i], window, seed=i)[0])

        return ClipSet(Lazy(len(paths), _blank(self.card, frames)), load)

    def digest(self) -> str | None:
        """Of the reference files' names and sizes; None while the folder is not given."""
        if self.root is None:
            return None
        root = self.root
        return digest_of(f"{v.path.relative_to(root)} {v.path.stat().st_size}" for v in self._chosen())[:12]


def words_of(class_name: str) -> str:
    """A class name as words.

    >>> words_of("ApplyEyeMakeup")
    'Apply Eye Makeup'
    """
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|\d+", class_name))


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
            stems = [Path(line.split()[0]).stem for line in found.read_text().splitlines() if line.strip()]
            splits[split] = [videos[stem] for stem in sorted(stems) if stem in videos]
    return splits


def read_msrvtt(root: Path) -> Listing:
    """MSR-VTT as people have it: ``video<N>.mp4`` anywhere below, and its JSON annotations.

    Splits are the annotations' own, or the official ranges (train 0 … 6512, test 7010 … 9999) where they have none.
    """
    captions: dict[str, list[str]] = {}
    split_of: dict[str, str] = {}
    for file in sorted(root.rglob("*.json")):
        try:
            content = json.loads(file.read_text())
        except ValueError as error:
            raise UserError(f"{file} is no JSON ({error}); delete it or fetch it again") from None
        if not isinstance(content, dict):
            continue
        for entry in [*content.get("sentences", ()), *content.get("annotations", ())]:
            name = entry.get("video_id") or entry.get("image_id")
            if name and "caption" in entry:
                captions.setdefault(name, []).append(entry["caption"])
        split_of |= {v["video_id"]: v["split"] for v in content.get("videos", ()) if "video_id" in v and "split" in v}
    files = {f.stem: f for f in root.rglob("video*") if f.suffix.lower() in VIDEO_SUFFIXES}
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
