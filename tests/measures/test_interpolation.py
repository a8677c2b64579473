import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensweep.errors import InputError
from gensweep.geometry.batch_norm import Reestimated
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.known import Bowl, Regression
from gensweep.measures.interpolation import Interpolation, barrier
from gensweep.models.build import drawn
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.rows import checked

MODES = ("interpolated", "fixed", "reestimated", "batch")


class Known:
    """A loss with a known answer in the place of a split's; its accuracy is that of a coin."""

    def __init__(self, loss):
        self.loss = loss

    together = 1

    def loss_and_accuracy(self, theta_P, buffers):
        return self.loss(theta_P), 0.5


def values(rows):
    return {(r.quantity, r.split, r.x): r.value for r in rows}


def at(rows, quantity, split, x):
    return next(r.value for r in rows if (r.quantity, r.split, r.x) == (quantity, split, x))


def barriers(rows):
    return {r.split: r.value for r in rows if r.quantity == "barrier"}


def trained(solution, data):
    """θ after some steps down the training loss."""
    risk, theta_P = Risk(solution, data.train, data), solution.theta_P.clone()
    for _ in range(200):
        theta_P -= risk.grad(theta_P)[1]
    return theta_P


def along(loss, a_P, b_P, **settings):
    walk = Interpolation(**settings).walk({"train": Known(loss)}, a_P, b_P, lambda theta_P, weights: {})
    return checked("interpolation", walk)


def other_images(solution):
    """Another net of the same kind with statistics of its own."""
    model = copy.deepcopy(solution.model)
    theta_P = solution.init_P + 0.3 * torch.from_numpy(Stream(8).normal(len(solution.init_P)))
    for i, name in enumerate(("layers.1", "layers.5")):
        model.get_submodule(name).running_mean.add_(0.1 * (i + 1))
        model.get_submodule(name).running_var.mul_(1.7)
    return Solution(model, theta_P, solution.init_P)


def test_along_a_regression_the_loss_is_the_known_parabola_without_a_barrier():
    """L(x) = (1−x)·L(0) + x·L(1) − x(1−x)·‖A(θ_b − θ_a)‖²/N."""
    draws = [torch.from_numpy(Stream(s).normal(60)).double() for s in range(3)]
    loss = Regression(draws[0].view(12, 5), draws[1][:12])
    a_P, b_P = draws[2][:5], draws[2][5:10]
    bend = (loss.a @ (b_P - a_P)).square().mean().item()
    rows = along(loss, a_P, b_P)
    for row in rows[:-1:2]:
        chord = (1 - row.x) * loss(a_P) + row.x * loss(b_P)
        assert row.value == pytest.approx(chord - row.x * (1 - row.x) * bend, rel=1e-12)
    assert barriers(rows) == {"train": 0.0}


def test_an_upturned_bowl_has_the_barrier_of_its_middle():
    rows = along(Bowl([-2.0, -2.0]), torch.tensor([0.0, 1.0]).double(), torch.tensor([4.0, 1.0]).double())
    assert barriers(rows)["train"] == pytest.approx(4.0)  # −1 at one end, −17 at the other, −5 between them


def test_only_what_is_between_the_ends_makes_a_barrier():
    def wall(theta_P):
        return 9.0 if theta_P.item() in (-0.125, 1.125) else 1.0

    assert barriers(along(wall, torch.zeros(1), torch.ones(1))) == {"train": 0.0}
    assert barrier([1.0, 3.0, 2.0]) == 1.5
    assert barrier([1.0, 1.0, 5.0]) == 0.0
    assert math.isnan(barrier([1.0, math.nan, 1.0]))


def test_the_grids_of_the_papers_hold_both_ends():
    keskar = [r.x for r in along(Bowl([1.0]), torch.zeros(1), torch.ones(1)) if r.quantity == "loss"]
    assert keskar == np.linspace(-1, 2, 25).tolist()
    rows = along(Bowl([1.0]), torch.zeros(1), torch.ones(1), steps=200, beyond=100)
    li = [r.x for r in rows if r.quantity == "loss"]
    assert li == pytest.approx(np.linspace(-0.5, 1.5, 401).tolist(), abs=1e-12)
    assert {0.0, 1.0} <= set(li)


def test_permuted_copies_have_equal_ends_and_the_barrier_of_brute_force(solution, data):
    order = torch.tensor([2, 0, 1, 5, 3, 4])
    theta_P = trained(solution, data)
    twin_P = theta_P.clone()
    for name, part in solution.layout.unpack(twin_P).items():
        part.copy_(part[:, order] if name == "layers.3.weight" else part[order] if len(part) == 6 else part)
    assert not torch.equal(twin_P, theta_P)
    here, twin = (replace(solution, theta_P=p) for p in (theta_P, twin_P))
    rows = checked("interpolation", Interpolation(other=twin)(here, data, Stream(0)))
    for split in ("train", "test"):
        risk, losses = Risk(solution, data.splits()[split], data), []
        for k in range(9):
            model = copy.deepcopy(solution.model)
            mixed = theta_P + (twin_P - theta_P) * k / 8
            model.load_state_dict(solution.layout.unpack(mixed))
            with torch.no_grad():
                losses.append(torch.nn.functional.cross_entropy(model(risk.x), risk.y).item())
        assert losses[0] == pytest.approx(losses[-1], rel=1e-12)
        heights = [loss - losses[0] for loss in losses]
        assert barriers(rows)[split] == pytest.approx(max(heights), abs=1e-12)
        assert max(heights) > 0.01


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_ends_have_the_losses_of_their_models(images, split):
    solution, data = images
    other = other_images(solution)
    rows = checked("interpolation", Interpolation(other=other)(solution, data, Stream(0)))
    for x, end in ((0.0, solution), (1.0, other)):
        loss, accuracy = Risk(end, data.splits()[split], data).loss_and_accuracy(end.theta_P)
        assert at(rows, "loss", split, x) == loss
        assert at(rows, "accuracy", split, x) == accuracy


@pytest.mark.parametrize("mode", [m for m in MODES if m != "fixed"])
def test_swapping_the_ends_mirrors_the_line(images, mode):
    solution, data = images
    other = other_images(solution)
    settings = {"steps": 5, "beyond": 3, "batch_norm": mode}
    there = checked("interpolation", Interpolation(other, **settings)(solution, data, Stream(0)))
    back = checked("interpolation", Interpolation(solution, **settings)(other, data, Stream(0)))
    ahead = [r for r in there if r.quantity != "barrier"]
    for row in ahead:
        twin = round(5 - 5 * row.x) / 5
        assert at(back, row.quantity, row.split, twin) == row.value
    assert barriers(there) == pytest.approx(barriers(back), rel=1e-14)


def test_the_far_end_is_by_default_the_beginning_with_unused_statistics(images):
    solution, data = images
    rows = checked("interpolation", Interpolation()(solution, data, Stream(0)))
    begun = copy.deepcopy(solution.model)
    for name in ("layers.1", "layers.5"):
        begun.get_submodule(name).reset_running_stats()
    risk = Risk(replace(solution, model=begun), data.train, data)
    assert at(rows, "loss", "train", 1.0) == risk(solution.init_P)
    assert at(rows, "loss", "train", 0.0) == Risk(solution, data.train, data)(solution.theta_P)


def test_every_mode_in_the_middle_by_hand(images):
    solution, data = images
    other = other_images(solution)
    middle_P = 0.5 * solution.theta_P + 0.5 * other.theta_P
    train = Risk(solution, data.train, data)
    for mode in MODES:
        rows = checked("interpolation", Interpolation(other, 2, 0, mode)(solution, data, Stream(0)))
        model = copy.deepcopy(solution.model)
        if mode == "interpolated":
            for name, b in model.named_buffers():
                if b.is_floating_point():
                    b.add_(0.5 * (other.model.get_buffer(name) - b))
        if mode == "reestimated":
            model.load_state_dict(Reestimated(train)(middle_P), strict=False)
        model.load_state_dict(solution.layout.unpack(middle_P), strict=False)
        model.train(mode == "batch")
        for split in ("train", "test"):
            risk = Risk(solution, data.splits()[split], data)
            solution.model.eval()
            logits = copy.deepcopy(model)(risk.x)
            expected = torch.nn.functional.cross_entropy(logits, risk.y).item()
            assert at(rows, "loss", split, 0.5) == pytest.approx(expected, rel=1e-12)


def test_a_net_without_batch_norm_gives_the_same_rows_in_every_mode(solution, data):
    rows = [checked("interpolation", Interpolation(batch_norm=m)(solution, data, Stream(0))) for m in MODES]
    assert rows[0] == rows[1] == rows[2] == rows[3]


def test_a_rescaling_of_layers_that_both_ends_undergo_leaves_the_line(solution, data):
    before = values(Interpolation()(solution, data, Stream(0)))
    for theta_P in (solution.theta_P, solution.init_P):
        parts = solution.layout.unpack(theta_P)
        parts["layers.1.weight"] *= 4
        parts["layers.1.bias"] *= 4
        parts["layers.3.weight"] /= 4
    after = values(Interpolation()(solution, data, Stream(0)))
    assert list(after.values()) == pytest.approx(list(before.values()), rel=1e-9, abs=1e-12)


def test_nothing_is_written_to_either_end(images):
    solution, data = images
    other = other_images(solution)
    kept = [{k: v.clone() for k, v in s.model.state_dict().items()} for s in (solution, other)]
    points = solution.theta_P.clone(), other.theta_P.clone()
    for mode in MODES:
        list(Interpolation(other, batch_norm=mode)(solution, data, Stream(0)))
    for end, before, theta_P in zip((solution, other), kept, points, strict=True):
        assert all(torch.equal(v, before[k]) for k, v in end.model.state_dict().items())
        assert torch.equal(end.theta_P, theta_P)


def test_without_a_test_set_or_a_line_it_says_so(solution, data):
    empty = replace(data, test=data.confusion)
    rows = checked("interpolation", Interpolation()(solution, empty, Stream(0)))
    assert {(r.quantity, r.reason) for r in rows if r.split == "test"} == {
        (q, "the run has no test set") for q in ("loss", "accuracy", "barrier")
    }
    assert {r.status for r in rows if r.split == "train"} == {"ok"}
    still = replace(solution, init_P=solution.theta_P)
    rows = checked("interpolation", Interpolation()(still, data, Stream(0)))
    assert {(r.status, r.reason) for r in rows} == {("not_applicable", "both ends of the line are one point")}


def test_a_loss_that_is_not_finite_takes_the_barrier_along(solution, data):
    far = replace(solution, theta_P=solution.theta_P * 1e200)
    rows = checked("interpolation", Interpolation(far)(solution, data, Stream(0)))
    assert {r.status for r in rows if r.quantity == "barrier"} == {"nonfinite"}
    assert at(rows, "loss", "train", 0.0) == Risk(solution, data.train, data)(solution.theta_P)


def test_another_end_must_be_a_solution_of_the_same_architecture(solution, data, images):
    model = drawn(lambda: MLP((4,), 3, [7]), Stream(2)).double().eval()
    wide_P = Layout.of(model).pack(dict(model.named_parameters()))
    unkept = copy.deepcopy(images[0].model)
    unkept.layers[1] = torch.nn.BatchNorm2d(3, track_running_stats=False).double()
    with pytest.raises(InputError, match="has another architecture"):
        list(Interpolation(replace(images[0], model=unkept))(*images, Stream(0)))
    for other, sentence in (
        (Solution(model, wide_P, wide_P), "has another architecture"),
        (images[0], "has another architecture"),
        ("0123abc", "neither 'init' nor another model"),
    ):
        with pytest.raises(InputError, match=sentence):
            list(Interpolation(other)(solution, data, Stream(0)))
