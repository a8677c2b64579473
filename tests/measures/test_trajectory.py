from dataclasses import replace

import numpy as np
import pytest
import torch

from gensweep.errors import InputError
from gensweep.measures.trajectory import Trajectory
from gensweep.rng import Stream
from gensweep.rows import checked


def on(solution, path_TP, **settings):
    """The rows of a path that is put where training's was."""
    rows = Trajectory(**settings)(replace(solution, path_TP=path_TP), None, Stream(0))
    return checked("trajectory", rows)


def column(rows, quantity):
    return np.array([r.value for r in rows if r.quantity == quantity])


def drawn(*shape, seed=0):
    return torch.from_numpy(Stream(seed).normal(int(np.prod(shape)))).double().reshape(shape)


def plane(points_T2, dims=30):
    """Points of a plane, somewhere and somehow in a space of many dimensions."""
    axes = torch.linalg.qr(drawn(dims, 2, seed=5)).Q.T
    return torch.as_tensor(points_T2, dtype=torch.float64) @ axes + drawn(dims, seed=6)


def test_points_of_a_plane_come_back_with_all_their_distances(solution):
    flat = drawn(8, 2)
    rows = on(solution, plane(flat))
    found = torch.from_numpy(np.stack([column(rows, "pca_1"), column(rows, "pca_2")], 1))
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(flat, flat), rtol=0, atol=1e-10)
    explained = column(rows, "explained")
    assert explained.sum() == pytest.approx(1, rel=1e-12)
    assert explained[:2].sum() == pytest.approx(1, rel=1e-12)
    assert len(explained) == 7


def test_a_rectangle_lies_along_the_axes_with_the_end_at_the_origin(solution):
    """Sides 3 and 1: the long one carries 9/10 of the variance."""
    rows = on(solution, plane([[3.0, 1.0], [3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    assert column(rows, "pca_1") == pytest.approx([3, 3, 0, 0], abs=1e-12)
    assert column(rows, "pca_2") == pytest.approx([1, 0, 1, 0], abs=1e-12)
    assert column(rows, "explained") == pytest.approx([0.9, 0.1, 0], abs=1e-12)
    assert [r.index for r in rows if r.quantity == "explained"] == [1, 2, 3]
    assert [r.index for r in rows if r.quantity == "pca_1"] == [0, 1, 2, 3]


def test_without_checkpoints_there_are_the_first_and_the_last_point(solution):
    rows = checked("trajectory", Trajectory()(solution, None, Stream(0)))
    far = (solution.theta_P - solution.init_P).norm().item()
    assert column(rows, "pca_1") == pytest.approx([far, 0], rel=1e-12)
    assert [str(v) for v in column(rows, "pca_2").tolist()] == ["0.0", "0.0"]
    assert column(rows, "explained").tolist() == [1]
    assert column(rows, "distance") == pytest.approx([far], rel=1e-12)
    unmapped = [r for r in rows if r.quantity.startswith("tsne")]
    assert {r.status for r in unmapped} == {"not_applicable"}
    assert {r.reason for r in unmapped} == {"t-SNE with perplexity 30 needs more than 30 points, not 2"}


def test_each_pair_has_its_distance_once(solution):
    path = drawn(5, 20)
    rows = [r for r in on(solution, path) if r.quantity == "distance"]
    assert len(rows) == 10
    for row in rows:
        assert row.index < row.x
        expected = (path[row.index] - path[int(row.x)]).norm().item()
        assert row.value == pytest.approx(expected, rel=1e-12)


def test_turning_and_shifting_the_parameter_space_changes_nothing(solution):
    path = drawn(7, 20).cumsum(0)
    turn = torch.linalg.qr(drawn(20, 20, seed=3)).Q
    before, after = on(solution, path), on(solution, path @ turn + 2.0)
    for quantity in ("pca_1", "pca_2", "explained", "distance"):
        assert column(after, quantity) == pytest.approx(column(before, quantity), abs=1e-10)


def test_t_sne_keeps_neighbours_together_and_its_seed(solution):
    """Two clusters far from each other: the nearest point of each point is one of its own."""
    path = torch.cat([drawn(10, 20), drawn(10, 20, seed=1) + 50.0])
    rows = on(solution, path, perplexity=5.0)
    placed = torch.from_numpy(np.stack([column(rows, "tsne_1"), column(rows, "tsne_2")], 1))
    apart = torch.cdist(placed, placed).fill_diagonal_(torch.inf)
    assert (apart.argmin(1) // 10).tolist() == [0] * 10 + [1] * 10
    again = on(solution, path, perplexity=5.0)
    assert column(again, "tsne_1").tolist() == column(rows, "tsne_1").tolist()


def test_t_sne_needs_more_points_than_its_perplexity(solution):
    path = drawn(6, 20)
    assert {r.status for r in on(solution, path, perplexity=5.0)} == {"ok"}
    refused = [r for r in on(solution, path, perplexity=6.0) if r.status != "ok"]
    assert [r.quantity for r in refused] == ["tsne_1", "tsne_2"]


def test_a_path_that_never_moved_or_blew_up_says_so(solution):
    still = on(solution, torch.ones(3, 20, dtype=torch.float64))
    assert column(still, "distance").tolist() == [0, 0, 0]
    lost = {r.quantity: r.reason for r in still if r.status == "not_applicable"}
    assert lost == dict.fromkeys(
        ("pca_1", "pca_2", "explained", "tsne_1", "tsne_2"), "all points of the path are one"
    )
    blown = on(solution, torch.tensor([[0.0, 1.0], [torch.inf, 1.0]]))
    assert {(r.status, r.reason) for r in blown} == {("nonfinite", "a point of the path is not finite")}


def solutions(solution, points):
    return [replace(solution, theta_P=point.clone()) for point in points]


def test_ends_follow_the_path_and_lie_where_they_are(solution):
    """Four corners of a rectangle in the layout of the network: two of the path, two ends."""
    size = len(solution.theta_P)
    corners = torch.zeros(4, size, dtype=torch.float64)
    corners[0, 0], corners[2, 1], corners[3, :2] = 3.0, 1.0, torch.tensor([3.0, 1.0])
    ends = solutions(solution, corners[2:])
    rows = on(solution, corners[:2], ends=ends)
    assert [r.index for r in rows if r.quantity == "pca_1"] == [0, 1, 2, 3]
    assert column(rows, "pca_1") == pytest.approx([3, 0, 0, 3], abs=1e-12)
    assert column(rows, "pca_2") == pytest.approx([0, 0, 1, 1], abs=1e-12)
    apart = {(r.index, r.x): r.value for r in rows if r.quantity == "distance"}
    assert apart == pytest.approx(
        {(0, 1): 3, (0, 2): 10**0.5, (0, 3): 1, (1, 2): 1, (1, 3): 10**0.5, (2, 3): 3}
    )


def test_an_end_beside_the_path_changes_no_distance_along_it(solution):
    path = drawn(5, len(solution.theta_P))
    alone = {(r.index, r.x): r.value for r in on(solution, path) if r.quantity == "distance"}
    ends = solutions(solution, drawn(2, len(solution.theta_P), seed=9))
    beside = {(r.index, r.x): r.value for r in on(solution, path, ends=ends) if r.quantity == "distance"}
    assert {pair: beside[pair] for pair in alone} == pytest.approx(alone, rel=1e-12)
    assert len(beside) == 21


def test_an_end_of_another_architecture_is_refused(solution, images):
    with pytest.raises(InputError, match=r"Trajectory\(ends=…\) has a point of another architecture"):
        on(solution, drawn(3, len(solution.theta_P)), ends=[images[0]])
