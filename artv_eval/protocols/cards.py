"""Protocol cards: every choice that a number depends on, in one file with a hash.

    protocol = shapes_1()                        # or load("ucf101@lavie", root="UCF-101"), or load("my-card.yaml")
    protocol.requests(num=24)                    # what to generate
    protocol.reference()                         # the real clips that FVD compares with

Cards are YAML in ``artv_eval/cards``; a user's own card is a file of the same form (:mod:`artv_eval.protocols.card`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from artv.data.msrvtt import read_msrvtt
from artv.data.ucf101 import read_ucf101
from artv.errors import UserError, closest
from artv.requests import check_count
from artv_eval.api import ClipRequest, ClipSet
from artv_eval.extras import ProtocolExtras
from artv_eval.features.base import digest_of
from artv_eval.files.decoding import Excerpt
from artv_eval.metrics.headline import curve_choices
from artv_eval.protocols.card import MOST_SEEDS, OWN, Card, read_card
from artv_eval.protocols.prompt_source import PromptSource
from artv_eval.protocols.shapes import NUMBERS, ShapesSource
from artv_eval.protocols.sources import Lazy, Source, request_seed
from artv_eval.protocols.videos import VideoSource

CARDS = Path(__file__).parents[1] / "cards"


class Protocol(ProtocolExtras):
    """A card with its data at hand: what the harness asks a protocol for.

    Args:
        card: the fields.
        root: folder of the data set, where it is not made by us.
        sentences: file of "class,sentence" lines, where the card's prompts are class sentences.
        prompts: file or folder of prompts, where the card takes the user's.
        wording: what methods are given in the prompts' place, as
            :func:`artv_eval.protocols.prompt_files.read_prompts` takes it.
        seeds: clips of each prompt; None: the card's.
        frames: length of all clips; None: the card's.
    """

    def __init__(
        self,
        card: Card,
        *,
        root: str | None = None,
        sentences: str | None = None,
        prompts: str | None = None,
        wording: str | None = None,
        seeds: int | None = None,
        frames: int | None = None,
    ):
        if (prompts or wording) is not None and card.prompts.dataset not in OWN:
            raise UserError(
                f"protocol {card.name} has prompts of its own ({card.prompts.dataset}); a file needs a card with "
                "prompts.dataset: file, such as long@rolling-forcing"
            )
        check_count("seeds of a prompt", seeds, 1, MOST_SEEDS)
        files: dict[str, Any] = {"root": root, "sentences": sentences, "prompts": prompts, "wording": wording}
        self._prompts = _source(card, card.prompts.dataset, **files)
        self._reference = _source(card, card.reference.dataset, **files)
        self._base, self._with = card, partial(Protocol, card, seeds=seeds, **files)
        if seeds is not None:
            card = card.model_copy(update={"prompts": card.prompts.model_copy(update={"seeds": seeds})})
        self.card = card
        self.seeds_per_prompt = card.prompts.seeds
        self.frames = frames or card.frames.number
        changes = [f"seeds={seeds}"] if seeds not in (None, self._base.prompts.seeds) else []
        changes += [f"wording={Path(wording).stem}"] if wording is not None else []
        self.name, self.metrics = " ".join([card.name, *changes]), card.metrics
        self.bad_files, self.published = card.bad_files, card.published
        self.extractor_settings = _extractor_settings(card)
        self.metric_choices = curve_choices(card.drift, card.ends)
        self.world = "shapes" if {card.prompts.dataset, card.reference.dataset} <= NUMBERS.keys() else None

    def with_frames(self, frames: int) -> "Protocol":
        """The same with clips of another length."""
        return self._with(frames=frames)

    @cached_property
    def hash(self) -> str:
        """12 hex digits: of the card, and of the reference files and the prompts where these are the user's."""
        found = self._prompts.digest() if self.card.prompts.dataset in OWN else self.reference_digest
        if self.card.prompts.digest not in (None, found) and self.card.prompts.dataset in OWN:
            raise UserError(
                f"protocol {self.name} pins prompts {self.card.prompts.digest} and these are {found}: another release "
                "of the list; use the pinned one, or a card without prompts.digest"
            )
        if self.card.reference.digest not in (None, found):
            raise UserError(
                f"protocol {self.name} pins reference files {self.card.reference.digest} and these are {found}: "
                "another release or split of the data; use the pinned one, or a card without reference.digest"
            )
        prompts = self._prompts.prompts_digest() if isinstance(self._prompts, VideoSource) else None
        own = [part for part in (found, prompts) if part]
        return digest_of([self.card.hash, *own])[:12] if own else self.card.hash

    @cached_property
    def reference_digest(self) -> str | None:
        """Digest of the list of reference files; None where the card alone fixes the clips, and without the data."""
        return self._reference.digest()

    def conventions(self) -> str | None:
        """Whether the user's copy of a published list is that list, as far as can be told."""
        return self._prompts.said() if isinstance(self._prompts, PromptSource) else None

    def requests(self, num: int | None = None, frames: int | None = None, seed: int = 0) -> Sequence[ClipRequest]:
        """What to generate: the first ``num`` clips, so many of each prompt as it has seeds.

        Without ``num`` of as many prompts as the card says, of a file's of as many as there are.
        """
        seeds, number = self.seeds_per_prompt, self.card.prompts.number
        if isinstance(self._prompts, PromptSource):
            number = min(number, len(self._prompts)) if num is None else number
            self._prompts.check(num or 0, seeds)
        num = num or number * seeds
        first = self._prompts.requests(-(-num // seeds), frames or self.frames, seed)
        if seeds == 1:
            return first
        return Lazy(num, lambda i: replace(first[i // seeds], index=i, seed=request_seed(seed, i)))

    def reference(self, frames: int | None = None) -> ClipSet:
        """The real clips, made or decoded when asked for."""
        return self._reference.reference(frames or self.frames)

    def reference_files(self) -> tuple[list[Path], Excerpt] | None:
        """The files behind :meth:`reference` and which frames of them; None where the clips are rendered."""
        return self._reference.files(self.frames)


def _extractor_settings(card: Card) -> dict[str, dict[str, Any]]:
    """Settings that the card fixes, by what the extractor of a metric describes: each metric takes those it has."""
    clips: dict[str, Any] = {"feature": {"name": card.features.extractor, **card.features.settings}}
    if transform := card.transform.model_dump(exclude_defaults=True):
        clips["transform"] = transform
    clips["ddof"] = 1 if card.features.covariance == "n-1" else 0
    if card.features.subset:
        clips |= {"subset": card.features.subset, "repeats": card.features.repeats}
    if card.features.first:
        clips["first"] = card.features.first
    if card.clip is None:
        return {"clips": clips}
    return {"clips": clips, "pictures": {"feature": {"name": card.clip.extractor, **card.clip.settings}}}


def _source(
    card: Card, dataset: str, *, root: str | None, sentences: str | None, prompts: str | None, wording: str | None
) -> Source:
    if dataset in NUMBERS:
        return ShapesSource(card, dataset)
    if dataset in (*OWN, "none"):
        return PromptSource(card, prompts, wording)
    read = {"ucf101": read_ucf101, "msrvtt": read_msrvtt}[dataset]
    return VideoSource(card, dataset, None if root is None else Path(root), sentences, read)


def cards() -> dict[str, Path]:
    """The cards of the package: name → file."""
    return {path.stem: path for path in sorted(CARDS.glob("*.yaml"))}


def load(name: str, **given: Any) -> Protocol:
    """A protocol by the name of a card in the package, or by the path of a YAML file; ``given`` as for a Protocol."""
    known = cards()
    if name not in known and not name.endswith((".yaml", ".yml")):
        raise UserError(f"protocol is {name!r}; {closest(name, known)}, or the path of a .yaml file")
    return Protocol(read_card(known.get(name, Path(name))), **given)


def from_yaml(
    path: str,
    *,
    root: str | None = None,
    sentences: str | None = None,
    prompts: str | None = None,
    wording: str | None = None,
    seeds: int | None = None,
) -> Protocol:
    """Factory for a user's own card: ``--protocol yaml:my-card.yaml``."""
    return Protocol(read_card(path), root=root, sentences=sentences, prompts=prompts, wording=wording, seeds=seeds)


def long_rolling_forcing(prompts: str | None = None, wording: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``long@rolling-forcing``. ``prompts``: the user's file; ``wording``: given in their place."""
    return load("long@rolling-forcing", prompts=prompts, wording=wording, seeds=seeds)


def long_lv_bench(prompts: str | None = None, wording: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``long@lv-bench``. ``prompts``: the user's file; ``wording``: given in their place."""
    return load("long@lv-bench", prompts=prompts, wording=wording, seeds=seeds)


def vbench(prompts: str | None = None, wording: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``vbench@946``. ``prompts``: VBench's list; ``wording``: given in its place."""
    return load("vbench@946", prompts=prompts, wording=wording, seeds=seeds)


def vbench_long(prompts: str | None = None, wording: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``vbench-long@946``. ``prompts``: VBench's list, long clips; ``wording``: given in its place."""
    return load("vbench-long@946", prompts=prompts, wording=wording, seeds=seeds)


def moviegen(prompts: str | None = None, wording: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``moviegen@1003``. ``prompts``: Movie Gen Video Bench's list; ``wording``: given in its place."""
    return load("moviegen@1003", prompts=prompts, wording=wording, seeds=seeds)


def evalcrafter(prompts: str | None = None, wording: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``evalcrafter@700``. ``prompts``: EvalCrafter's list; ``wording``: given in its place."""
    return load("evalcrafter@700", prompts=prompts, wording=wording, seeds=seeds)


def t2v_compbench(prompts: str | None = None, wording: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``t2v-compbench@1400``. ``prompts``: the folder of its lists; ``wording``: given in its place."""
    return load("t2v-compbench@1400", prompts=prompts, wording=wording, seeds=seeds)


def shapes_1(seeds: int | None = None) -> Protocol:
    """Factory of ``shapes@1``: the synthetic world, first frame given."""
    return load("shapes@1", seeds=seeds)


def shapes_2(seeds: int | None = None) -> Protocol:
    """Factory of ``shapes@2``: the synthetic world for long clips, first frame given."""
    return load("shapes@2", seeds=seeds)


def ucf101_videopoet(root: str | None = None, sentences: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``ucf101@videopoet``. ``root``: the UCF-101 folder; ``sentences``: PYoCo's class sentences."""
    return load("ucf101@videopoet", root=root, sentences=sentences, seeds=seeds)


def ucf101_lavie(root: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``ucf101@lavie``. ``root``: the UCF-101 folder."""
    return load("ucf101@lavie", root=root, seeds=seeds)


def ucf101_stylegan_v(root: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``ucf101@stylegan-v``. ``root``: the UCF-101 folder."""
    return load("ucf101@stylegan-v", root=root, seeds=seeds)


def msrvtt_lavie(root: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``msrvtt@lavie``. ``root``: the MSR-VTT folder."""
    return load("msrvtt@lavie", root=root, seeds=seeds)


def msrvtt_videopoet(root: str | None = None, seeds: int | None = None) -> Protocol:
    """Factory of ``msrvtt@videopoet``. ``root``: the MSR-VTT folder."""
    return load("msrvtt@videopoet", root=root, seeds=seeds)
