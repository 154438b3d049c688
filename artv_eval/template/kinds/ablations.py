"""An ablation names the cells to compare; the first that is no sanity cell is compared with the others."""

from artv_eval.api import CellSpec


def ablation(*, scales: tuple[float, ...] = (1.0, 3.0)):
    """How much the text guides.

    Args:
        scales: of the text in equation 1.
    """

    def cells(context):
        return [
            CellSpec(
                name=f"text={scale:g}",
                method="artv",
                settings={"checkpoint": context.checkpoint, "guidance": {"name": "three_term", "text": scale}},
            )
            for scale in scales
        ] + [CellSpec(name="real", method="real", sanity=True)]

    return cells
