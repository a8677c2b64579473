import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from sklearn.decomposition import PCA

from gensweep.geometry import pca
from gensweep.geometry.pca import components, distances, inner_products
from gensweep.rng import Stream


def drawn(*shape, seed=0):
    return torch.from_numpy(Stream(seed).normal(int(np.prod(shape)))).double().reshape(shape)


def test_a_walk_has_the_components_of_scikit_learn_seen_from_its_end():
    walk = drawn(9, 40).cumsum(0)
    found, expected = components(inner_products(walk)), PCA().fit(walk.numpy())
    assert found.explained_M == pytest.approx(expected.explained_variance_ratio_[:8], rel=1e-10)
    theirs = (walk - walk[-1]).numpy() @ expected.components_[:8].T
    assert np.abs(found.coordinates_TM) == pytest.approx(np.abs(theirs), abs=1e-10)
    assert (found.coordinates_TM[-1] == 0).all()


def test_the_largest_coordinate_of_each_axis_is_positive():
    for seed in range(6):
        found = components(inner_products(drawn(6, 20, seed=seed))).coordinates_TM
        assert (found[np.abs(found).argmax(0), np.arange(5)] > 0).all()


def test_distances_are_those_of_the_points():
    walk = drawn(9, 40).cumsum(0) + 100.0
    assert distances(inner_products(walk)) == pytest.approx(squareform(pdist(walk.numpy())), rel=1e-10)


def test_points_near_the_end_keep_their_digits_far_from_zero():
    steps = torch.tensor([1.0, 1e-4, 0.0], dtype=torch.float64)
    path = 1e3 + steps[:, None] * torch.ones(3, 25, dtype=torch.float64)
    assert distances(inner_products(path))[1, 2] == pytest.approx(5e-4, rel=1e-8)


def test_blocks_change_nothing(monkeypatch):
    walk = drawn(5, 33)
    whole = inner_products(walk)
    monkeypatch.setattr(pca, "BLOCK", 7)
    assert inner_products(walk) == pytest.approx(whole, rel=1e-13)


def test_products_of_float32_points_are_in_float64():
    walk = drawn(4, 500).float()
    exact = (walk.double() - walk[-1].double()) @ (walk.double() - walk[-1].double()).T
    assert inner_products(walk) == pytest.approx(exact.numpy(), rel=1e-14)
