import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gensweep.errors import InputError
from gensweep.figures import base, perturbation_animation
from gensweep.figures.perturbation_animation import also, draw, steps, stills


def test_every_row_of_both_networks_is_in_the_picture(walked):
    _, drawn = draw(walked)
    assert drawn.groupby(["poison_factor", "quantity"]).size().unique().tolist() == [3, 27, 6]
    assert drawn["run_id"].nunique() == 2


def test_both_networks_share_axes_that_hold_either(walked):
    figure, _ = draw(walked)
    loss, accuracy, curvature = figure.axes[-3:]
    lines = [line for line in loss.lines if line.get_linestyle() != "None"]
    assert [line.get_ydata().max() for line in lines] == pytest.approx([0.4, 2.4])
    assert loss.get_ylim()[1] == pytest.approx(1.05 * 2.4)
    assert accuracy.get_ylim() == (0, 1.05)
    assert curvature.get_yscale() == "log"
    low, high = curvature.get_ylim()
    assert low <= 10 < 1e5 <= high


def test_the_message_says_where_either_breaks(walked):
    """Accuracy 1 − c(0.5 + β) falls below 0.9 at c = 0.4 for β = 0; at β = 0.5 it is 0.9 at c = 0.1."""
    caption = draw(walked)[1].attrs["caption"]
    assert "falls below 90 % at c = 0.4 at β = 0 and 0.4 at β = 0.5" in caption
    assert "curvature at the solution 10 and 1e+03" in caption


def test_the_animation_has_a_frame_per_step_and_stills(walked):
    files = also(walked)
    with Image.open(io.BytesIO(files["perturbation-animation.gif"])) as film:
        assert film.n_frames == 3
        assert film.info["loop"] == 0
    assert [name for name in files if name.endswith(".png")] == [
        f"perturbation-animation-{k:03d}.png" for k in (0, 1, 2)
    ]
    again = also(walked)
    assert all(again[name] == files[name] for name in files)


def test_a_film_is_made_by_ffmpeg_where_there_is_one(walked, tmp_path, monkeypatch):
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\ncat | wc -c\n")
    fake.chmod(0o755)
    monkeypatch.setattr(perturbation_animation.shutil, "which", lambda _: str(fake))
    frames = [Image.new("RGB", (5, 4))] * 2
    assert perturbation_animation.mp4("a.mp4", frames)["a.mp4"].strip() == str(2 * 4 * 4 * 3).encode()
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert perturbation_animation.mp4("a.mp4", frames) == {}
    monkeypatch.setattr(perturbation_animation.shutil, "which", lambda _: None)
    assert perturbation_animation.mp4("a.mp4", frames) == {}


def test_stills_reach_from_the_solution_to_the_farthest_step(walked):
    run = walked[walked["run_id"] == "walk0.0"]
    assert steps(run) == {0: 0.0, 1: 0.1, 2: 0.4}
    assert stills(run) == [0, 1, 2]


def test_what_is_no_number_is_said(walked):
    table = walked.copy()
    table.loc[(table["quantity"] == "curvature") & (table["index"] == 2), ["value", "status"]] = [
        np.nan,
        "nonfinite",
    ]
    assert "2 of 84 nonfinite" in draw(table)[1].attrs["footnote"]


def test_one_network_or_two_ways_to_measure_are_refused(walked):
    with pytest.raises(InputError, match="compares the lowest with the highest"):
        draw(walked[walked["poison_factor"] == 0])
    other = walked.assign(settings=np.where(walked["poison_factor"] == 0, '{"steps": 3}', walked["settings"]))
    with pytest.raises(InputError, match="measured under 2 settings"):
        draw(other)


def test_the_lowest_seed_is_drawn(walked):
    later = walked.assign(seed=1, run_id="z" + walked["run_id"])
    assert draw(pd.concat([later, walked]))[1]["seed"].unique().tolist() == [0]


def test_all_files_are_there(walked, tmp_path):
    files = base.draw("perturbation-animation", walked, tmp_path)
    assert all(path.stat().st_size for path in files)
    assert {path.suffix for path in files} >= {".pdf", ".png", ".gif", ".csv", ".json"}
