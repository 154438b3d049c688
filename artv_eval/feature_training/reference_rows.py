"""Makes the rows of a protocol's reference clips that ship with the package; run it again after training new weights.

python -m artv_eval.feature_training.reference_rows          # shapes@1, FVD: writes artv_eval/assets/reference/
"""

import argparse
import sys

import numpy as np

from artv.errors import UserError
from artv.files import regular
from artv_eval.metrics import factories
from artv_eval.metrics.reference_rows import FOLDER, write
from artv_eval.protocols.cards import load as load_protocol


def main(argv: list[str] | None = None) -> int:
    """The command line above. Files of earlier weights are removed."""
    parser = argparse.ArgumentParser(
        prog="python -m artv_eval.feature_training.reference_rows", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--protocol", default="shapes@1")
    parser.add_argument("--metric", default="fvd", choices=("fvd", "frame_fid"))
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    protocol = load_protocol(args.protocol)
    evaluator = getattr(factories, args.metric)(device=args.device)
    for old in FOLDER.glob("*.npz"):
        with np.load(regular(old), allow_pickle=False) as stored:
            if f"protocol {protocol.name} " in str(stored["made"]):
                old.unlink()
    print(write(protocol, evaluator, protocol.card.frames.number))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
