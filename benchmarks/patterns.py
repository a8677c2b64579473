"""How peers that no package index has evaluate a network, written anew from what their code does.

loss-landscape (Li et al. 2018) sets every weight and walks a DataLoader; robust-generalization-measures
(Dziugaite et al. 2020) adds noise to every weight, walks one, and takes the noise off again.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.optimize import Bounds, minimize
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gensweep.data.base import Data


def evaluated(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Mean loss and accuracy, batch by batch (loss-landscape)."""
    total, right, seen = 0.0, 0, 0
    model.eval()
    with torch.no_grad():
        for x, y in loader:
            logits = model(x)
            total += F.cross_entropy(logits, y).item() * len(y)
            right += logits.max(1)[1].eq(y).sum().item()
            seen += len(y)
    return total / seen, right / seen


def moved(model: nn.Module, weights: Sequence[Tensor], step: Sequence[Tensor]) -> None:
    """Every weight set to where it was plus a step (loss-landscape)."""
    for parameter, weight, change in zip(model.parameters(), weights, step, strict=True):
        parameter.data = weight + change


class Pictures(Dataset):
    """Images one by one through PIL, to a tensor, normalised: what a CIFAR-10 data set does per item."""

    def __init__(self, data: Data) -> None:
        self.x, self.y = data.train.x, data.train.y
        assert data.mean is not None
        assert data.std is not None
        self.mean, self.std = ((torch.tensor(c) / 255).view(-1, 1, 1) for c in (data.mean, data.std))

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.x[i].transpose(1, 2, 0))
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return x.sub_(self.mean).div_(self.std), int(self.y[i])


@contextlib.contextmanager
def perturbed(
    model: nn.Module, std: float, draw: Callable[[Tensor], Tensor] = torch.randn_like
) -> Iterator[None]:
    """The model with Gaussian noise on every parameter, taken off again (robust-generalization-measures)."""
    noise = [std * draw(p) for p in model.parameters()]
    with torch.no_grad():
        for parameter, change in zip(model.parameters(), noise, strict=True):
            parameter.add_(change)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, change in zip(model.parameters(), noise, strict=True):
                parameter.sub_(change)


def tolerated_deviation(
    model: nn.Module, loader: DataLoader, drop: float = 0.1, depth: int = 15, draws: int = 10
) -> tuple[float, int]:
    """The noise that costs this much accuracy, by bisection, and the evaluations it took.

    Its σ is bisected over [0, 2] until the mean drop of ``draws`` networks is within 0.01 of ``drop``; the
    standard deviation of the noise is σ², as in its code, and is what comes back.
    """
    low, high, spent = 0.0, 2.0, 0
    base = evaluated(model, loader)[1]
    for _ in range(depth):
        sigma = (low + high) / 2
        fallen = []
        for _ in range(draws):
            with perturbed(model, sigma**2):
                fallen.append(base - evaluated(model, loader)[1])
        spent += draws
        if abs(np.mean(fallen) - drop) < 0.01:
            break
        low, high = (sigma, high) if np.mean(fallen) < drop else (low, sigma)
    return sigma**2, spent


def squared_path_sum(model: nn.Module, input_shape: Sequence[int]) -> float:
    """The sum of the outputs for ones as input, each parameter squared (robust-generalization-measures)."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.pow_(2)
        ones = torch.ones(1, *input_shape, dtype=next(model.parameters()).dtype)
        return model(ones).sum().item()


def gradient(model: nn.Module, loader: DataLoader) -> tuple[float, Tensor]:
    """Mean loss and its gradient over a DataLoader, batch by batch."""
    model.zero_grad()
    total, size = 0.0, len(loader.dataset)  # type: ignore[arg-type]
    for x, y in loader:
        loss = F.cross_entropy(model(x), y, reduction="sum") / size
        loss.backward()
        total += loss.item()
    return total, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def highest_in_box(
    value_and_gradient: Callable[[Tensor], tuple[float, Tensor]],
    theta_P: Tensor,
    half_width_P: Tensor,
    start_P: Tensor,
) -> float:
    """The largest loss that ten iterations of L-BFGS-B find in a box, as Keskar et al. (2016) do it."""
    seen = []

    def descent(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = value_and_gradient(torch.from_numpy(w).to(theta_P))
        seen.append(value)
        return -value, -slope.double().numpy()

    centre, half = theta_P.double().numpy(), half_width_P.double().numpy()
    bounds = Bounds(centre - half, centre + half)
    options = {"maxiter": 10, "gtol": 0.0, "ftol": 0.0}
    start = np.clip(start_P.double().numpy(), bounds.lb, bounds.ub)
    minimize(descent, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return max(seen)
