"""Surfaces, contours and Hessian ratios of residual nets, from a table whose every number is known."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from gensweep.errors import InputError
from gensweep.figures import base, hessian_ratio, surface_depth, surface_shortcuts, surface_width
from gensweep.figures.contours import LEVELS, clipped, rises
from gensweep.rows import Row
from tests.figures.conftest import frame

AXIS = (-1.0, 0.0, 1.0)
NETS = ((8, 2, 3), (20, 2, 3), (20, 1, 3), (20, 4, 1))  # depth, width, seeds


def bowl(depth, width, shortcuts, seed):
    """A loss of 0.1 at the solution that rises to 0.1 + 2·steepness in the corners."""
    steepness = (1 + seed) * depth / width * (1 if shortcuts else 3) / 10
    return {(x, y): 0.1 + steepness * (1.5 * x * x + 0.5 * y * y) for x in AXIS for y in AXIS}


def net_frames(depth, width, shortcuts, seed):
    knobs = {
        "seed": seed, "train_size": 256, "model.name": f"resnet{depth}", "model.depth": depth,
        "model.width": width, "model.shortcuts": shortcuts,
    }  # fmt: skip
    run_id = f"d{depth}k{width}{'s' if shortcuts else 'n'}{seed}".ljust(12, "e")
    errors = [Row("loss", 0.1, 0.01, "train"), Row("error", 0.7 - depth / 100, 0.01, "test")]
    yield frame(run_id, knobs, "error", errors)
    plane = bowl(depth, width, shortcuts, seed).items()
    rows = [Row("loss", loss, 0.0, "train", x=x, y=y) for (x, y), loss in plane]
    yield frame(run_id, knobs, "surface", rows, {"points": 3, "span": 1.0, "batch_norm": "fixed"})
    if (depth, width) == (20, 2):
        line = [Row("loss", 0.1 + abs(x), 0.0, "train", x=x) for x in AXIS]
        yield frame(run_id, knobs, "slice", line, {"points": 3, "span": 1.0, "batch_norm": "reestimated"})
        ratios = [ratio(x, y, shortcuts, seed) for x in AXIS for y in AXIS]
        made = {"points": 3, "span": 1.0, "steps": 12, "examples": 48}
        yield frame(run_id, knobs, "hessian_ratio", ratios, made)


def ratio(x, y, shortcuts, seed):
    """0.1 with shortcuts, 0.4 without, a little more per seed; not converged in one corner."""
    value = (0.1 if shortcuts else 0.4) + 0.01 * seed
    if x == y == 1:
        reason = "the residuals allow an error of 0.05"
        return Row("ratio", value, 0.05, "train", x=x, y=y, status="not_converged", reason=reason)
    return Row("ratio", value, 0.001, "train", x=x, y=y)


@pytest.fixture(scope="module")
def nets():
    frames = [
        f
        for depth, width, seeds in NETS
        for shortcuts in (True, False)
        for seed in range(seeds)
        for f in net_frames(depth, width, shortcuts, seed)
    ]
    return pd.concat(frames, ignore_index=True)


def titled(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_each_depth_has_a_column_and_each_twin_a_row(nets):
    figure, drawn = surface_depth.draw(nets)
    assert titled(figure) == [
        "8 layers, shortcuts\nloss 0.10, test error 62.0 %",
        "20 layers, shortcuts\nloss 0.10, test error 50.0 %",
        "8 layers, no shortcuts\nloss 0.10, test error 62.0 %",
        "20 layers, no shortcuts\nloss 0.10, test error 50.0 %",
    ]
    assert set(drawn["seed"]) == {0}
    assert set(drawn["model.width"]) == {2}
    for (depth, shortcuts), plane in drawn.groupby(["model.depth", "model.shortcuts"]):
        expected = bowl(depth, 2, shortcuts, 0)
        assert {(r.x, r.y): r.value for r in plane.itertuples()} == pytest.approx(expected)


def test_widths_are_those_of_one_depth_and_missing_seeds_are_counted(nets):
    figure, drawn = surface_width.draw(nets)
    assert len(titled(figure)) == 6
    assert set(drawn["model.depth"]) == {20}
    assert drawn.attrs["n"] == {f"({k}, {s})": n for k, n in ((1, 3), (2, 3), (4, 1)) for s in (False, True)}


def test_below_a_panel_stands_the_rise_of_all_its_seeds(nets):
    """At k = 1 without shortcuts the corners rise by 12, 24, 36 nats; a median and a range."""
    figure, drawn = surface_width.draw(nets)
    label = next(a for a in figure.axes if a.get_title().startswith("k = 1, no")).get_xlabel()
    assert label == "rise 24 (12–36), n = 3"
    assert "24 (12–36), n = 3 at k = 1" in drawn.attrs["caption"]


def test_levels_and_limits_are_the_same_everywhere(nets):
    assert LEVELS[[0, 1, -1]] == pytest.approx([0.1, 0.6, 9.6])
    panels = [a for a in surface_depth.draw(nets)[0].axes if a.get_title()]
    assert {(a.get_xlim(), a.get_ylim()) for a in panels} == {((-1.0, 1.0), (-1.0, 1.0))}
    filled = [a.collections[0] for a in panels]
    assert len({(c.norm.vmin, c.norm.vmax, c.get_cmap().name, tuple(c.levels)) for c in filled}) == 1


def test_what_is_no_number_is_clipped_crossed_and_counted(nets):
    table = nets.copy()
    corner = (table["run_id"] == "d20k2s0eeeee") & (table["measure"] == "surface") & (table["x"] == 1.0)
    table.loc[corner & (table["y"] == 1.0), ["value", "status"]] = [math.nan, "nonfinite"]
    figure, drawn = surface_depth.draw(table)
    axes = next(a for a in figure.axes if a.get_title().startswith("20 layers, shortcuts"))
    assert any(line.get_marker() == "x" and line.get_xydata().tolist() == [[1, 1]] for line in axes.lines)
    assert "1 of 108 nonfinite" in drawn.attrs["footnote"]
    assert axes.get_xlabel() == "rise 6 (4–∞), n = 3"
    assert clipped(np.array([math.inf, 11.0, -1.0])).tolist() == [10.0, 10.0, -1.0]


def test_a_net_that_is_not_there_leaves_a_panel_that_says_so(nets):
    gone = (nets["model.depth"] == 8) & ~nets["model.shortcuts"].astype(bool)
    figure, drawn = surface_depth.draw(nets[~gone])
    assert [t.get_text() for a in figure.axes for t in a.texts if "no such" in t.get_text()] == [
        "no such run"
    ]
    assert "With no shortcuts: 12" in drawn.attrs["caption"]


def test_another_knob_that_moved_is_refused(nets):
    moved = nets.assign(**{"optim.lr": nets["seed"] / 10 + 0.1})
    for figure in (surface_depth, surface_width, surface_shortcuts, hessian_ratio):
        with pytest.raises(InputError, match=r"optim\.lr takes several values"):
            figure.draw(moved)


def test_a_table_without_surfaces_is_a_sentence(nets):
    with pytest.raises(InputError, match="no loss of the measure surface"):
        surface_depth.draw(nets[nets["measure"] != "surface"])
    with pytest.raises(InputError, match="no ratio of the measure hessian_ratio"):
        hessian_ratio.draw(nets[nets["measure"] != "hessian_ratio"])


def test_the_deepest_pair_has_surfaces_contours_and_both_kinds_of_batch_norm(nets):
    figure, drawn = surface_shortcuts.draw(nets)
    assert set(drawn["model.depth"]) == {20}
    assert set(drawn["model.width"]) == {2}
    assert sum(axes.name == "3d" for axes in figure.axes) == 2
    lines = [axes for axes in figure.axes if axes.get_yscale() == "log"]
    assert [t.get_text() for t in lines[0].get_legend().get_texts()] == ["fixed, n = 3", "reestimated, n = 3"]
    assert lines[0].get_ylim() == lines[1].get_ylim()
    fixed, again = (line.get_ydata() for line in lines[0].lines[:2])
    assert fixed == pytest.approx([3.1, 0.1, 3.1])  # 0.1 + the mean of 1.5, 3, 4.5
    assert again == pytest.approx([1.1, 0.1, 1.1])


def test_surfaces_share_their_height_and_are_cut(nets):
    assert surface_shortcuts.height(np.array([0.0, 1.0, 100.0, math.inf])).tolist() == [-2, 0, 1, 1]
    three = [a for a in surface_shortcuts.draw(nets)[0].axes if a.name == "3d"]
    assert {a.get_zlim() for a in three} == {(-2.0, 1.0)}


def test_vtk_files_have_every_point_and_the_same_bytes(nets):
    files = surface_shortcuts.also(nets)
    assert sorted(files) == ["surface-shortcuts-no-shortcuts.vtk", "surface-shortcuts-shortcuts.vtk"]
    assert files == surface_shortcuts.also(nets.sample(frac=1, random_state=0))
    lines = files["surface-shortcuts-shortcuts.vtk"].decode().splitlines()
    assert lines[2:6] == ["ASCII", "DATASET STRUCTURED_GRID", "DIMENSIONS 3 3 1", "POINTS 9 double"]
    points, losses = lines[6:15], lines[18:]
    assert points[4] == "0 0 -1"  # log10 of 0.1
    for point, loss in zip(points, losses, strict=True):
        x, y, _ = map(float, point.split())
        assert float(loss) == pytest.approx(bowl(20, 2, True, 0)[x, y])


def test_hessian_maps_share_a_scale_and_flag_what_has_not_converged(nets):
    figure, drawn = hessian_ratio.draw(nets)
    maps = [a for a in figure.axes if a.get_title().startswith("20 layers")]
    assert [m.collections[0].get_clim() for m in maps] == [(0, 0.5)] * 2
    shown = [m.collections[0].get_array().ravel().tolist() for m in maps]
    assert shown == [pytest.approx([0.1] * 9), pytest.approx([0.4] * 9)]
    dots = [line for line in maps[0].lines if line.get_marker() == "."]
    assert dots[0].get_xydata().tolist() == [[1, 1]]
    assert "6 of 54 points where the residuals allow" in drawn.attrs["footnote"]
    assert (
        "with shortcuts 0.11 (0.1–0.12), n = 3; with no shortcuts 0.41 (0.4–0.42), n = 3"
        in drawn.attrs["caption"]
    )


def test_the_rise_of_a_plane_is_its_highest_less_its_lowest():
    rows = pd.DataFrame({"run_id": list("aab"), "value": [1.0, 3.5, 2.0]})
    assert rises(rows).to_dict() == {"a": 2.5, "b": 0.0}


def test_the_same_table_gives_the_same_bytes(nets, tmp_path):
    table = nets.assign(experiment="surface-shortcuts-laptop")
    first, second = (base.draw("surface-shortcuts", table, tmp_path / folder) for folder in "ab")
    assert len(first) == 6
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    assert json.loads((tmp_path / "a" / "surface-shortcuts.json").read_text())["message"]
