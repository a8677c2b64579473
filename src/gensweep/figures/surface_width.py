"""T9: does width flatten the loss around a solution, with and without shortcuts?"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from gensweep.figures.contours import matrix

TITLE = "Contours of the loss of residual nets of growing width"
ALT = (
    "Square maps of contours of the training loss over two directions through the solution, one column per "
    "width, nets with shortcuts above and without below, all on the same levels."
)
RUNS = "surface-shortcuts"


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the losses (nats) of each plane in it.

    Error: Exact for these nets and planes; of each net the run with the lowest seed.

    Source: Li et al. 2018 (1712.09913), figure 6.
    """
    return matrix(table, "model.width", "k = {}", "model.depth")
