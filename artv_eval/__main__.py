"""``artv-eval`` and ``python -m artv_eval``."""

from artv.ending import one_line


def main() -> None:
    """Entry point: Ctrl-C is heard from here on, and everything else is imported then."""
    with one_line("artv-eval"):
        from artv_eval.cli import main as command

        command()


if __name__ == "__main__":
    main()
