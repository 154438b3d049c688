"""Networks of transformers from files that are there: a hub id in the cache, or a folder. Downloads nothing."""

from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv_eval.features.base import digest_of


def pretrained(kind: str, model: str, unused: str | None = None) -> tuple[Any, str]:
    """The network of a class of transformers, and the digest of its weights.

    Args:
        kind: name of the class, for example ``Dinov2Model``.
        model: a hub id that is in the cache, or a folder.
        unused: part of the names of weights that nobody reads: they may be missing, and are not in the digest.

    Raises:
        UserError: it is not there, or it holds something else than ``kind``: nothing takes its place.
    """
    import transformers
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()  # what it warns of is refused below
    try:
        network, report = getattr(transformers, kind).from_pretrained(
            model, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        how = "" if Path(model).exists() else f"; fetch it with: hf download {model}"
        raise UserError(f"{kind} {model!r} cannot be loaded: {str(error).splitlines()[0][:120]}{how}") from None
    finally:
        logging.set_verbosity(before)
    missing = [key for key in report["missing_keys"] if unused is None or unused not in key]
    wrong = sorted(missing) + sorted(str(key) for key in report.get("mismatched_keys", ()))
    if wrong:  # transformers would fill these in at random
        raise UserError(f"{model!r} does not hold the weights of a {kind}: {wrong[0]} is missing or of another size")
    state = {key: value for key, value in network.state_dict().items() if unused is None or unused not in key}
    return network, digest_of(part for key in sorted(state) for part in (key, state[key].numpy().tobytes()))
