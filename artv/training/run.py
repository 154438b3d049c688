"""A whole training run: its folder, its data, its three stages, and the pipeline that comes out.

RUN/config.json            the settings; the same command continues, other settings are refused
RUN/inputs.json            digests of the clips and of what encodes them; others are refused
RUN/autoencoder/  RUN/text_encoder/  RUN/model/     state and log.jsonl of each stage
RUN/latents/               shards of the clips in latent space, where the run streams them
RUN/samples/               clips and masks of the averaged model now and then
RUN/best/                  the pipeline of the step whose validation loss is smallest
RUN/outcome.json           how it ended: finished, or stopped by its time limit
RUN/pipeline/              what ``artv sample --checkpoint`` and ``ArtVPipeline.from_pretrained`` load
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from artv.autoencoder import encode_frames
from artv.data.latents import LatentCache
from artv.data.shard_index import ShardIndex, begun_with, claim_shards, missing_shards, read_index
from artv.data.shards import LatentStream, MicroStreams, digest, settings_digest, write_shards
from artv.errors import UserError
from artv.files import read_object, write_text_atomically
from artv.networks import ArtVModel
from artv.networks.fast.encoder import PRECISIONS, InferenceEncoder
from artv.pipeline import ArtVPipeline
from artv.progress import progress_bar
from artv.text_encoder import OpenClipTextEncoder
from artv.training import processes
from artv.training.autoencoder import train_autoencoder
from artv.training.checkpoint import replacing
from artv.training.clips import Clips
from artv.training.config import HOW, STAGES, LoopConfig, TrainConfig, in_full
from artv.training.inputs import SAMPLES, check_inputs, claim_inputs
from artv.training.loop import Outcome
from artv.training.model import train_model
from artv.training.step import Prepare
from artv.training.text_encoder import train_text_encoder
from artv.training.trackers import Trackers, chosen_trackers
from artv.training.watched import held_out, make_validation
from artv.weights import check_fit

OUTCOME = "outcome.json"


def run(
    config: TrainConfig,
    out: Path,
    device: torch.device,
    *,
    components: Mapping[str, nn.Module] | None = None,
    init: ArtVModel | None = None,
    stages: Sequence[str] = STAGES,
    prepare: Prepare | None = None,
) -> Outcome:
    """Runs the stages that are not finished yet, in order.

    Args:
        components: an ``autoencoder`` and a ``text_encoder`` to take instead of training them.
        init: weights to start the two networks from.
        stages: which ones to run; the networks need the other two, trained here or given.
        prepare: wraps what is trained for several processes (accelerate).
    """
    config.model.micro_batches(processes.world())  # before any work: it may not be a whole number
    _claim(out, config)
    if processes.is_main():
        print(f"settings, kept in {out / 'config.json'}:\n{in_full(config)}", file=sys.stderr)
        _under_way(out)
    torch.manual_seed(config.seed * 1000 + processes.rank())
    clips = Clips(config, device)
    claim_inputs(out, inputs_of(config, clips, processes.world()))
    parts = {name: module.to(device) for name, module in (components or {}).items()}
    for stage in stages:
        if stage == "model":
            outcome = _train_networks(config, out, device, clips, parts, init, prepare)
        elif stage not in parts:
            parts[stage], outcome = _pretrain(stage, config, out, clips, prepare)
    return outcome


def inputs_of(config: TrainConfig, clips: Clips, world: int) -> dict[str, object]:
    """What a run of ``world`` processes is begun with."""
    contents = {"contents of the clips": clips.contents} if clips.contents else {}
    return {SAMPLES: config.model.samples(world), "clips": clips.said, **contents}


def check_begun(out: Path, config: TrainConfig, world: int) -> None:
    """Raises :class:`UserError` where a run was begun with other settings, or other samples a step."""
    file, settings = out / "config.json", _stored_settings(config)
    samples = {SAMPLES: config.model.samples(world)}
    begun = check_inputs(out, samples, "start as many processes as then, or give --global-batch")
    if file.exists():
        ours, theirs = _what_is_trained(settings), _what_is_trained(read_object(file))
        ours, theirs = _defaults() | ours, _defaults() | theirs  # a run may be older than a setting
        if SAMPLES in begun:  # which holds with and without a global batch
            ours["model.global_batch"] = theirs["model.global_batch"]
        keys = dict.fromkeys((*theirs, *ours))
        differing = [f"{k} = {theirs.get(k)}, not {ours.get(k)}" for k in keys if theirs.get(k) != ours.get(k)]
        if differing:
            raise UserError(
                f"{out} was trained with {'; '.join(differing[:5])}; use the same settings, or another --out"
            )


def _stored_settings(config: TrainConfig) -> dict[str, Any]:
    return json.loads(config.model_dump_json(exclude={"reader"}))  # its frames are the same


def _claim(out: Path, config: TrainConfig) -> None:
    check_begun(out, config, processes.world())
    processes.wait()
    if processes.is_main():
        try:
            write_text_atomically(out / "config.json", json.dumps(_stored_settings(config), indent=1))
        except OSError as error:
            raise UserError(f"cannot write to {out}: {error.strerror}; choose another --out") from None
    processes.wait()


def _under_way(out: Path) -> None:
    """One that its time limit stopped goes on: whoever watches it waits for another end."""
    with suppress(UserError):
        if read_object(out / OUTCOME).get("finished"):
            return
    (out / OUTCOME).unlink(missing_ok=True)


def _what_is_trained(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _what_is_trained(value, f"{prefix}{key}.")
        elif key not in HOW:
            flat[prefix + key] = value
    return flat


def _defaults() -> dict[str, Any]:
    whole = TrainConfig.model_fields.items()
    defaults = {name: field.default for name, field in whole if not field.is_required()}
    loop = {field.name: field.default for field in fields(LoopConfig) if field.default is not MISSING}
    return defaults | {f"{stage}.{name}": default for stage in STAGES for name, default in loop.items()}


def _pretrain(
    stage: str, config: TrainConfig, out: Path, clips: Clips, prepare: Prepare | None
) -> tuple[nn.Module, Outcome]:
    if config.preset != "shapes":
        raise UserError(f"the {config.preset} preset takes its {stage} from a pretrained pipeline; give --init FOLDER")
    folder, loop = out / stage, config.loop(stage)
    frames, captions = clips.load(16_384)
    module: Any
    if stage == "autoencoder":
        module, outcome = train_autoencoder(frames.flatten(0, 1), loop, folder, prepare)
    else:
        # every wording should be in the vocabulary, whatever the number of clips
        module, outcome = train_text_encoder(frames, captions, loop, folder, prepare)
    module.to(clips.device)
    if processes.is_main():
        with replacing(folder / "weights") as fresh:
            module.save_pretrained(fresh)
    return module.eval(), outcome


def make_latents(
    config: TrainConfig,
    folder: Path,
    clips: Clips,
    autoencoder: AutoencoderKL,
    text_encoder: OpenClipTextEncoder,
    precision: str = "fp32",
) -> None:
    """Writes what is missing of the run's latents, or checks that those which it was given suit it.

    Args:
        precision: in which clips are encoded; that of given latents is whatever it was.
    """
    begun = begun_with(folder)
    text = begun.get("text") or ("fp32" if precision == "fp32" else "fp16")  # bfloat16 has too few digits for it
    data = Path(config.data).name + (f" {config.world} to {config.horizon}" if config.world != 1 else "")
    index = ShardIndex(
        data=data + (f" crops {config.seed}" if config.crop == "random" else ""),
        clips=clips.count,
        num_frames=config.num_frames,
        size=config.size,
        fps=config.fps,
        encoders=digest(autoencoder, text_encoder),
        source=clips.source,
        precision=precision,
        text=text,
        device=clips.device.type,
        settings=settings_digest(autoencoder, text_encoder),
        contents=clips.contents,
    )
    if clips.encoded:  # whatever the clips were called
        stored = read_index(folder)
        how = ("data", "clips_a_shard", "source", "precision", "text", "device", "contents")
        index = replace(index, **{name: getattr(stored, name) for name in how})
    elif begun and not missing_shards(folder, index):  # nothing is encoded here
        index = replace(index, device=begun["device"])
    if processes.is_main():
        claim_shards(folder, index)
    processes.wait()
    if not clips.encoded:
        encode: Callable[[Tensor], Tensor] = partial(encode_frames, autoencoder)
        if clips.device.type == "cuda":
            encode = InferenceEncoder(autoencoder, PRECISIONS[precision])
        encode_text = partial(text_encoder.encode, products=None if text == "fp32" else torch.float16)
        rank, world = processes.rank(), processes.world()
        clips.note_broken(folder)
        write_shards(folder, index, clips.batches, encode, encode_text, rank=rank, world=world)
        clips.tell_broken()


def _streams(config: TrainConfig, folder: Path, device: torch.device) -> MicroStreams:
    """The same batches in the same order, however many processes share the places of a step."""
    world = processes.world()
    places = world * config.model.micro_batches(world)

    def stream(place: int) -> LatentStream:
        return LatentStream(
            folder,
            batch_size=config.model.batch_size,
            device=device,
            seed=config.seed,
            rank=place,
            world=places,
            workers=config.workers,
        )

    return MicroStreams({place: stream(place) for place in range(processes.rank(), places, world)})


def shared_cache(own: LatentCache) -> LatentCache:
    """The clips of all processes in the order of the set, so that a draw is of the same one in each of them."""
    if processes.world() == 1:
        return own
    device, parts = own.text_NLD.device, processes.gather((own.latents_NTChw.cpu(), own.text_NLD.cpu()))
    return LatentCache(*(_alternating(each).to(device) for each in zip(*parts, strict=True)))


def _alternating(parts: Sequence[Tensor]) -> Tensor:
    """Row k of the result is the next of part k modulo their number."""
    whole = parts[0].new_empty(sum(map(len, parts)), *parts[0].shape[1:])
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole


def _train_networks(config, out, device, clips, parts, init, prepare) -> Outcome:
    autoencoder, text_encoder = parts["autoencoder"], parts["text_encoder"]
    assert isinstance(autoencoder, AutoencoderKL) and isinstance(text_encoder, OpenClipTextEncoder)
    check_fit(config.sizes(), autoencoder, text_encoder)
    encoders, settings = digest(autoencoder, text_encoder), settings_digest(autoencoder, text_encoder)
    claim_inputs(out, {"encoders": encoders, "settings of the encoders": settings})
    watched = held_out(config, clips, encoders=encoders, settings=settings)  # before hours of encoding
    null_text = text_encoder.encode([""])[0]
    if config.stream or clips.encoded:
        folder = Path(config.data) if clips.encoded else out / "latents"
        make_latents(config, folder, clips, autoencoder, text_encoder)
        source: LatentCache | MicroStreams = _streams(config, folder, device)
    else:
        ours = len(range(processes.rank(), clips.count, processes.world()))
        encode = partial(encode_frames, autoencoder)
        with progress_bar("latents", total=ours, shown=processes.is_main()) as bar:
            source = LatentCache.build(clips.batches(), encode, text_encoder.encode, bar.update)
        if config.model.global_batch is not None:
            source = shared_cache(source)
        clips.tell_broken()
    validation = None
    if watched is not None and processes.is_main():
        validation = make_validation(config, out, watched, autoencoder, text_encoder)
    # the draws of training do not depend on what was before
    torch.manual_seed(config.seed * 1000 + processes.rank())
    model = (ArtVModel.from_config(config.sizes()) if init is None else init).to(device)

    def save(averaged: Any, step: int) -> None:
        pipeline = ArtVPipeline(model=averaged, autoencoder=autoencoder, text_encoder=text_encoder)
        with replacing(out / "pipeline") as fresh:
            pipeline.save_pretrained(fresh, safe_serialization=True)
            (fresh / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")
        if validation is not None:
            validation.keep(step)

    fetch = source.fetch if isinstance(source, MicroStreams) else None
    _, outcome = train_model(
        model,
        source.sample,
        null_text,
        config,
        out / "model",
        prepare=prepare,
        fetch=fetch,
        on_save=save,
        validation=validation,
        trackers=_trackers(config, out / "model"),
    )
    if processes.is_main():
        said = {**asdict(outcome), "clips": clips.count, "batch": config.model.batch_size}
        write_text_atomically(out / OUTCOME, json.dumps(said))
    return outcome


def _trackers(config: TrainConfig, folder: Path) -> Trackers | None:
    if not processes.is_main():
        return None
    trackers = Trackers(chosen_trackers(config.trackers), folder, asdict(config.model))
    for where in (f"log: {folder / 'log.jsonl'}", *trackers.where):
        print(where, file=sys.stderr)
    return trackers
