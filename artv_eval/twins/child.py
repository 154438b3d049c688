"""``python -m artv_eval.twins.child PARENT …``: ``artv …`` that ends when the process PARENT is gone."""

import sys

from artv_eval.executors.orphans import end_with

if __name__ == "__main__":
    parent, *sys.argv[1:] = sys.argv[1:]
    end_with(int(parent))
    from artv.cli import main

    main()
