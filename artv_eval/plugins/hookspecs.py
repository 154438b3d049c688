"""The hooks: one a kind of component. A plugin implements those it has something for.

Every hook returns a list of :class:`~artv_eval.plugins.components.Component`; nothing but the list is made when a
plugin loads.
"""

import pluggy

from artv_eval.plugins.components import Component

PROJECT = "artv_eval"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_methods() -> list[Component]:  # type: ignore[empty-body]
    """Things that make clips: models, baselines, folders of videos.

    >>> @hookimpl
    ... def register_methods():
    ...     return [Component("still", "my_package:Still", "repeats the first frame")]
    """


@hookspec
def register_samplers() -> list[Component]:  # type: ignore[empty-body]
    """Solvers of the reverse process: functions of ``denoise``, ``x`` and ``sigmas``.

    >>> @hookimpl
    ... def register_samplers():
    ...     return [Component("my-euler", "my_package:sample_euler", "Euler's method")]
    """


@hookspec
def register_guidance() -> list[Component]:  # type: ignore[empty-body]
    """Rules that combine the predictions with and without each condition.

    >>> @hookimpl
    ... def register_guidance():
    ...     return [Component("text-only", "my_package:TextOnly", "classifier-free guidance by the text alone")]
    """


@hookspec
def register_masks() -> list[Component]:  # type: ignore[empty-body]
    """Transformations of the predicted mask before it composes the noise.

    >>> @hookimpl
    ... def register_masks():
    ...     return [Component("hard", "my_package:hard_mask", "0 or 1, split at one half")]
    """


@hookspec
def register_anchors() -> list[Component]:  # type: ignore[empty-body]
    """Strategies that choose the anchor frame.

    >>> @hookimpl
    ... def register_anchors():
    ...     return [Component("every-8", "my_package:EveryEight", "moves the anchor every eight frames")]
    """


@hookspec
def register_noise_levels() -> list[Component]:  # type: ignore[empty-body]
    """Distributions of the noise level that is put on the reference frames.

    >>> @hookimpl
    ... def register_noise_levels():
    ...     return [Component("squared", "my_package:squared", "mostly near nothing")]
    """


@hookspec
def register_accelerations() -> list[Component]:  # type: ignore[empty-body]
    """Approximations that sample a frame with less work.

    >>> @hookimpl
    ... def register_accelerations():
    ...     return [Component("unguided-end", "my_package:UnguidedEnd", "no guidance at low noise")]
    """


@hookspec
def register_first_frames() -> list[Component]:  # type: ignore[empty-body]
    """Sources of the first frame when a protocol gives none: text-to-image models.

    >>> @hookimpl
    ... def register_first_frames():
    ...     return [Component("grey", "my_package:Grey", "a grey frame, for tests")]
    """


@hookspec
def register_readers() -> list[Component]:  # type: ignore[empty-body]
    """Decoders of video files.

    >>> @hookimpl
    ... def register_readers():
    ...     return [Component("npy", "my_package:NpyReader", "clips stored as numpy arrays")]
    """


@hookspec
def register_protocols() -> list[Component]:  # type: ignore[empty-body]
    """Protocol cards: prompts, frames, size, reference set.

    >>> @hookimpl
    ... def register_protocols():
    ...     return [Component("my-set@1", "my_package:my_card", "our lab's 200 prompts")]
    """


@hookspec
def register_features() -> list[Component]:  # type: ignore[empty-body]
    """Feature extractors for set metrics.

    >>> @hookimpl
    ... def register_features():
    ...     return [Component("my-net", "my_package:MyNet", "our video encoder, 768-d")]
    """


@hookspec
def register_metrics() -> list[Component]:  # type: ignore[empty-body]
    """Metrics: one row a clip, and a value over rows.

    >>> @hookimpl
    ... def register_metrics():
    ...     return [Component("brightness", "my_package:Brightness", "mean of all pixels")]
    """


@hookspec
def register_ablations() -> list[Component]:  # type: ignore[empty-body]
    """Ablations: a name for the cells to compare.

    >>> @hookimpl
    ... def register_ablations():
    ...     return [Component("eta", "my_package:EtaAblation", "how much noise the sampler puts back")]
    """


@hookspec
def register_trainers() -> list[Component]:  # type: ignore[empty-body]
    """Ways to make the checkpoints of cells that are trained.

    >>> @hookimpl
    ... def register_trainers():
    ...     return [Component("my-train", "my_package:MyTrainer", "trains my model")]
    """


@hookspec
def register_executors() -> list[Component]:  # type: ignore[empty-body]
    """Ways to run the tasks of a sweep.

    >>> @hookimpl
    ... def register_executors():
    ...     return [Component("threads", "my_package:Threads", "a thread a task")]
    """


@hookspec
def register_reporters() -> list[Component]:  # type: ignore[empty-body]
    """Formats of the results.

    >>> @hookimpl
    ... def register_reporters():
    ...     return [Component("org", "my_package:org_table", "a table for Emacs' org mode")]
    """
