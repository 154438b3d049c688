"""``python -m artv_eval``, the same as ``artv-eval``."""

from artv_eval.cli import main

if __name__ == "__main__":
    main()
