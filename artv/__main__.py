"""``python -m artv`` and ``accelerate launch -m artv train …``."""

from artv.cli import main

if __name__ == "__main__":
    main()
