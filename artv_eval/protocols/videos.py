"""A data set of video files as a source: prompts of its captions or classes, real clips decoded when asked for.

Shape suffixes: T frames, H W pixels.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artv.data.listing import Listing, Video, words_of
from artv.errors import UserError
from artv.files import read_text
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.features.base import digest_of
from artv_eval.files.decoding import Excerpt, read_excerpt
from artv_eval.protocols.sources import Lazy, blank, request_seed


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
        shown = [words_of(name) for name in names] if text == "class-name" else self._sentences(names)
        if self.card.prompts.follow == "classes":
            return shown
        of = dict(zip(names, shown, strict=True))
        return [of[videos[i].label] for i in _drawn(len(videos), self.card.prompts.number)]

    def _sentences(self, names: Sequence[str]) -> list[str]:
        if self.sentences is None:
            raise UserError(
                f"protocol {self.card.name} uses a sentence a class; give the file of 'class,sentence' lines with "
                "--set protocol.sentences=FILE"
            )
        path = Path(self.sentences)
        if not path.is_file():
            raise UserError(f"the file of class sentences, {path}, does not exist")
        try:
            lines = read_text(path, "utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the file of class sentences, {path}, is no text in UTF-8 ({error})") from None
        pairs = [line.split(",", 1) for line in lines if "," in line]
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
        return [videos[i] for i in _drawn(len(videos), number)]

    def files(self, frames: int) -> tuple[list[Path], Excerpt]:
        """The videos that the card takes, and the part of them, at its rate."""
        want = self.card.frames
        own = self.card.reference.transform
        excerpt = Excerpt(
            frames=frames,
            fps=want.fps,
            stride=want.stride,
            which=self.card.reference.which,
            own_rates=want.fps is None,
            transform=tuple(own.model_dump(exclude_defaults=True).items()) if own else (),
        )
        return [video.path for video in self._chosen()], excerpt

    def reference(self, frames: int) -> ClipSet:
        """The real clips, decoded here one by one."""
        paths, excerpt = self.files(frames)

        def load(i: int) -> GeneratedClip:
            return GeneratedClip(read_excerpt(paths[i], excerpt, seed=i).shown)

        return ClipSet(Lazy(len(paths), blank(self.card, frames)), load)

    def digest(self) -> str | None:
        """Digest of the reference files' names and sizes; None while the folder is not given."""
        if self.root is None:
            return None
        root = self.root
        return digest_of(f"{v.path.relative_to(root)} {v.path.stat().st_size}" for v in self._chosen())[:12]

    def prompts_digest(self) -> str | None:
        """Digest of the prompts, where files of the user's say them: captions, sentences, or which videos there are.

        None for names of classes, which the card says, and while files are not given.
        """
        wanted = self.card.prompts
        if self.root is None or (wanted.text == "class-name" and wanted.follow == "classes"):
            return None
        try:
            return digest_of(self._texts())[:12]
        except UserError:  # of files that only who asks for prompts needs
            return None


def _drawn(total: int, number: int) -> np.ndarray:
    """``number`` of ``total`` places, drawn with seed 0; of more than there are, each once before any comes twice."""
    rng, order = np.random.default_rng(0), np.empty(0, int)
    while len(order) < number:
        order = np.concatenate([order, rng.permutation(total)])
    return order[:number]
