import numpy as np
import pandas as pd
import pytest

from gensweep.errors import InputError
from gensweep.figures import base
from gensweep.figures.poison_boundaries import FLOOR, also, draw, grid, height


def test_all_files_are_there(plane, tmp_path):
    assert all(path.stat().st_size for path in base.draw("poison-boundaries", plane, tmp_path))


def test_a_map_has_its_values_at_their_places(plane):
    run = plane[(plane["run_id"] == "plane1") & (plane["quantity"] == "probability")]
    x_M, y_N, p_NM = grid(run)
    assert x_M.tolist() == y_N.tolist() == [-18, -6, 6, 18]
    assert p_NM == pytest.approx(np.tile(1 / (1 + np.exp(2 - x_M)), (4, 1)))


def test_every_factor_has_a_map_and_the_ends_a_surface(plane):
    figure, drawn = draw(plane)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["β = 0", "β = 0.2", "β = 0.8", "loss surface, β = 0", "loss surface, β = 0.8"]
    assert drawn[drawn["measure"] == "surface"].groupby("poison_factor").size().to_dict() == {0.0: 9, 0.8: 9}


def test_it_does_without_surfaces_and_says_so(plane):
    _, drawn = draw(plane[plane["measure"] == "boundary"])
    assert "no surface rows" in drawn.attrs["footnote"]


def test_a_loss_that_is_not_finite_is_drawn_at_the_top_and_counted(plane):
    table = plane.copy()
    corner = (
        (table["measure"] == "surface")
        & (table["run_id"] == "plane2")
        & (table["x"] == 1)
        & (table["y"] == 1)
    )
    table.loc[corner, ["value", "status"]] = [np.inf, "nonfinite"]
    assert "1 of 96 nonfinite" in draw(table)[1].attrs["footnote"]


def test_at_most_six_columns_from_the_whole_range(plane):
    one = plane[(plane["run_id"] == "plane0") & (plane["measure"] == "boundary")]
    many = pd.concat([one.assign(run_id=f"run{i}", poison_factor=i / 10) for i in range(9)])
    _, drawn = draw(many)
    shown = drawn["poison_factor"].unique()
    assert (len(shown), shown.min(), shown.max()) == (6, 0.0, 0.8)


def test_a_table_without_boundaries_is_refused(sweep):
    with pytest.raises(InputError, match="no probability of the measure boundary"):
        draw(sweep)


def test_heights_are_logarithms_cut_below(plane):
    run = plane[
        (plane["run_id"] == "plane2") & (plane["measure"] == "surface") & (plane["quantity"] == "loss")
    ]
    _, _, z_NM = height(run)
    assert z_NM[0].tolist() == pytest.approx([np.log10(3.6), np.log10(1.8), np.log10(3.6)])
    assert z_NM[1, 1] == pytest.approx(np.log10(FLOOR))


def test_both_surfaces_are_kept_for_paraview(plane):
    files = also(plane)
    assert [*files] == ["poison-boundaries-0.vtk", "poison-boundaries-0.8.vtk"]
    lines = files["poison-boundaries-0.8.vtk"].decode().splitlines()
    assert "DIMENSIONS 3 3 1" in lines
    assert f"-1 -1 {np.log10(3.6):.6g}" in lines
    assert also(plane[plane["measure"] == "boundary"]) == {}
