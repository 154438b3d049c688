"""The fields of a protocol card: YAML in ``artv_eval/cards``, or a user's own file of the same form.

    read_card("my-card.yaml").hash               # of all that a number depends on

A field that does not exist or does not fit is named.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from artv.errors import UserError
from artv.requests import MOST, MOST_FRAMES, MOST_PIXELS
from artv.yaml_files import read_yaml
from artv.yaml_models import YamlModel
from artv_eval.errors import explain
from artv_eval.features.base import digest_of
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.headline import ANY_VIDEO

NOT_HASHED = ("title", "source", "notes", "known", "published", "metrics", "drift", "ends")
"""Fields that change no other number."""
OWN = ("file", "folder", "lists")
"""Data sets of prompts that are the user's."""
MOST_SEEDS = 10_000  # of a prompt
# fields that are younger than published hashes
YOUNGER = (
    "prompts.seeds prompts.follow prompts.exact prompts.digest features.first reference.transform transform.jpeg "
    "frames.lengths"
)
SINCE = [name.split(".") for name in YOUNGER.split()]

Which = Literal["first", "centre", "random"]


class Prompts(YamlModel):
    """Where the texts come from.

    ``text``: ``caption`` (the clip's own), ``class-name``, ``class-sentence`` (from a file of "class,sentence" lines
    given as ``sentences``), ``random-caption`` (one a video, drawn with seed 0), ``all-captions``. Of the data sets
    ``file``, ``folder`` (a text file a prompt) and ``lists`` (a folder of files of many), the user's own, ``caption``
    is what they say. ``number`` of prompts, with ``exact`` no other; ``digest``: of theirs, if the card pins it.
    ``seeds``: clips of each.
    ``follow`` (class names and sentences): the ``classes`` in turn, or those of so many ``videos`` drawn with seed 0.
    """

    dataset: Literal["shapes", "shapes-long", "ucf101", "msrvtt", "file", "folder", "lists"]
    split: Literal["train", "test", "all"]
    text: Literal["caption", "class-name", "class-sentence", "random-caption", "all-captions"]
    number: int = Field(ge=1, le=MOST)
    seeds: int = Field(default=1, ge=1, le=MOST_SEEDS)
    exact: bool = False
    digest: str | None = None
    follow: Literal["classes", "videos"] = "classes"


class Known(YamlModel):
    """What a card knows of a published list without having it: :mod:`artv_eval.protocols.known_lists` checks it.

    ``digests``: as ``prompts.digest``, with what has it. ``prompts``: digests of some of its prompts, which must all be
    there. ``each``: prompts of each of its files, of ``lists``.
    """

    digests: dict[str, str] = {}
    prompts: tuple[str, ...] = ()
    each: int | None = Field(default=None, ge=1, le=MOST)


class Frames(YamlModel):
    """Frames of every clip, generated and real. ``fps`` null: the video's own; ``stride``: every k-th of these.

    ``lengths``: ``same``, or ``each``: files that are there already are scored on all that each has (``score``).
    """

    number: int = Field(ge=1, le=MOST_FRAMES)
    fps: float | None = Field(default=None, gt=0, le=1000)
    stride: int = Field(default=1, ge=1, le=MOST_FRAMES)
    height: int = Field(ge=1, le=MOST_PIXELS)
    width: int = Field(ge=1, le=MOST_PIXELS)
    lengths: Literal["same", "each"] = "same"


class Reference(YamlModel):
    """The real clips. ``number`` null: all of the split; ``which``: the part of a longer video that is taken.

    ``dataset`` ``none``: there are none, and metrics that compare with them are absent.

    ``first``: index of the first clip (shapes). ``digest``: of the list of files, if the card pins it. ``transform``:
    of these clips alone, when they are read, before that of all clips.
    """

    dataset: Literal["shapes", "shapes-long", "ucf101", "msrvtt", "none"]
    split: Literal["train", "test", "all"]
    number: int | None = Field(default=None, ge=2, le=MOST)
    which: Which = "first"
    order: Literal["sorted", "random"] = "sorted"
    first: int = Field(default=0, ge=0, le=MOST)
    digest: str | None = None
    transform: Transform | None = None


class Features(YamlModel):
    """The video features of FVD. ``covariance``: divided by n − 1 or by n.

    ``subset`` and ``repeats``: FVD is the mean over so many random subsets of that size; null takes all clips once.
    ``first``: of the clips of so many prompts, the first ones; null: of all.
    """

    extractor: str
    settings: dict[str, Any] = {}
    covariance: Literal["n-1", "n"] = "n-1"
    subset: int | None = Field(default=None, ge=2, le=MOST)
    repeats: int = Field(default=1, ge=1, le=10_000)
    first: int | None = Field(default=None, ge=2, le=MOST)


class TextImage(YamlModel):
    """The encoder of CLIPSIM."""

    extractor: str
    settings: dict[str, Any] = {}


class Published(YamlModel):
    """A value from a paper, shown beside ours."""

    method: str
    metric: str
    value: float
    source: str


class Card(YamlModel):
    """A protocol card. Everything that a number depends on goes into the hash (all but ``NOT_HASHED``).

    ``drift``: the measure, ``QUANTITY/SUMMARY``, that the metric ``drift`` is; ``ends``: frames of each end that
    ``curve:…/delta`` and ``…/delta_abs`` compare; both are part of the hash of such values.
    """

    name: str = Field(pattern=r"^[^\s/:=]+$")
    title: str
    source: str
    notes: str = ""
    prompts: Prompts
    known: Known = Known()
    frames: Frames
    first_frame: bool
    reference: Reference
    transform: Transform = Transform()
    features: Features
    clip: TextImage | None = None
    metrics: tuple[str, ...] = Field(min_length=1)
    drift: str = ANY_VIDEO
    ends: int | None = Field(default=None, ge=1, le=MOST_FRAMES)
    bad_files: float = Field(default=0.01, ge=0, lt=1)
    published: tuple[Published, ...] = ()

    @property
    def hash(self) -> str:
        """12 hex digits of the fields that numbers depend on."""
        values = self.model_dump(mode="json", exclude=set(NOT_HASHED))
        for part, name in SINCE:  # cards that do not use it keep the hash that they had before it was there
            if values[part][name] == type(getattr(self, part)).model_fields[name].default:
                del values[part][name]
        return digest_of([json.dumps(values, sort_keys=True)])[:12]


def read_card(path: str | Path) -> Card:
    """Reads a card. Raises UserError with the file and the field that is wrong."""
    path = Path(path)
    values = read_yaml(path, "protocol card")
    if not values:
        raise UserError(f"protocol card {path} is empty; begin with: artv-eval protocols show shapes@1 > {path.name}")
    try:
        card = Card.model_validate(values)
    except ValidationError as error:
        raise UserError(f"protocol card {path}: {explain(error, Card)}") from None
    crop, side = card.transform.crop, card.transform.shorter_side or min(card.frames.height, card.frames.width)
    if isinstance(crop, int) and crop > side:
        raise UserError(
            f"protocol card {path}: field 'transform.crop' is {crop} and frames have {side} pixels there; give a "
            "larger transform.shorter_side, or a smaller crop"
        )
    return card
