"""The same quantities by other people's code."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.sparse.linalg import LinearOperator, eigsh, svds
from torch import Tensor, nn

from exact import convolutions
from nets import Net
from peer import Answer


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """How often ``torch.autograd.grad`` is called inside: PyHessian's products."""
    calls, grad = [0], torch.autograd.grad

    def counting(*args, **kwargs):
        calls[0] += 1
        return grad(*args, **kwargs)

    torch.autograd.grad = counting
    try:
        yield calls
    finally:
        torch.autograd.grad = grad


def torchmetrics_accuracy(net: Net) -> Answer:
    """Fraction classified right, in its float32."""
    from torchmetrics.functional import accuracy

    logits, y = net.model(net.batch[0]), net.batch[1]
    return accuracy(logits, y, "multiclass", num_classes=logits.shape[1], average="micro").item(), "float32"


def sklearn_loss(net: Net) -> Answer:
    """Mean cross-entropy of the probabilities."""
    from sklearn.metrics import log_loss

    probabilities = net.model(net.batch[0]).softmax(1).detach().numpy()
    return float(log_loss(net.batch[1].numpy(), probabilities)), "log_loss"


def pyhessian_of(net: Net):
    """PyHessian's object; it writes gradients into the model, so it gets a copy."""
    from pyhessian import hessian

    return hessian(copy.deepcopy(net.model), nn.CrossEntropyLoss(), data=net.batch, cuda=False)


def pyhessian_top(net: Net, count: int) -> Answer:
    """Power iteration with deflation, at its defaults."""
    with counted() as calls:
        values = pyhessian_of(net).eigenvalues(top_n=count)[0]
    return np.array(values), f"{calls[0]} HVP"


def pyhessian_trace(net: Net) -> Answer:
    """Hutchinson until two running means agree to 1e-3; it gives no standard error, so here are 20 runs."""
    own = pyhessian_of(net)
    runs = [own.trace() for _ in range(20)]
    means = np.array([np.mean(run) for run in runs])
    scatter = means.std(ddof=1) / means.mean()
    return float(means[0]), f"{len(runs[0])} HVP; 20 runs: ±{scatter:.0%}"


def pyhessian_mean(net: Net) -> Answer:
    """The mean of its spectral density."""
    values, weights = pyhessian_of(net).density(iter=80, n_v=8)
    return float(np.mean([np.dot(v, w) for v, w in zip(values, weights, strict=True)])), "640 HVP"


def curvlinops_of(net: Net):
    """The Hessian as its linear operator."""
    from curvlinops import HessianLinearOperator

    model = copy.deepcopy(net.model)
    loss = nn.CrossEntropyLoss()
    return HessianLinearOperator(
        model, loss, list(model.parameters()), [net.batch], check_deterministic=False
    )


def curvlinops_top(net: Net, count: int) -> Answer:
    """The largest eigenvalues."""
    return _ends(net, count, "LA")


def curvlinops_smallest(net: Net) -> Answer:
    """The smallest eigenvalue."""
    values, cost = _ends(net, 1, "SA")
    return float(values[0]), cost


def _ends(net: Net, count: int, which: str) -> tuple[np.ndarray, str]:
    """Its operator in scipy's eigsh, largest first."""
    operator, calls = curvlinops_of(net).to_scipy(), [0]

    def product(v: np.ndarray) -> np.ndarray:
        calls[0] += 1
        return operator @ v

    wrapped = LinearOperator(operator.shape, matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    found = eigsh(wrapped, count, which=which, v0=start, return_eigenvectors=False)
    return np.sort(found)[::-1], f"{calls[0]} HVP"


def curvlinops_trace(net: Net) -> Answer:
    """Hutch++."""
    from curvlinops import hutchpp_trace

    products = 3 * (min(99, len(net.theta_P) - 1) // 3)
    return hutchpp_trace(curvlinops_of(net), products).item(), f"{products} HVP, no stderr"


def curvlinops_square(net: Net) -> Answer:
    """‖H‖_F²/P by random probes."""
    from curvlinops import hutchinson_squared_fro

    products = min(99, len(net.theta_P) - 1)
    squared = hutchinson_squared_fro(curvlinops_of(net), products)
    return squared.item() / len(net.theta_P), f"{products} HVP, no stderr"


def toolkit_path_norm(net: Net, power: int) -> Answer:
    """Its path norm counts biases."""
    from pathnorm import compute_path_norm

    return compute_path_norm(net.model, tuple(net.data.input_shape), exponent=power), ""


def scipy_operator_norms(net: Net) -> Answer:
    """``svds`` on each convolution and its transpose, batch norm taken in."""
    calls = [0]
    found = [_norm(layer, shape, calls) for layer, shape in convolutions(net)]
    return np.array(found), f"svds, {calls[0]} products"


def _norm(layer: nn.Module, shape: torch.Size, calls: list[int]) -> float:
    zero = torch.zeros(1, *shape)
    with torch.no_grad():
        shift = layer(zero)

    def forward(v: np.ndarray) -> np.ndarray:
        calls[0] += 1
        with torch.no_grad():
            return (layer(torch.from_numpy(v).view(1, *shape)) - shift).flatten().numpy()

    def backward(u: np.ndarray) -> np.ndarray:
        calls[0] += 1
        probe = zero.clone().requires_grad_()
        pulled = torch.autograd.grad(layer(probe), probe, torch.from_numpy(u).view_as(shift))
        return pulled[0].flatten().numpy()

    size = (shift.numel(), shape.numel())
    operator = LinearOperator(size, matvec=forward, rmatvec=backward, dtype=np.float64)
    return float(svds(operator, k=1, return_singular_vectors=False, rng=0)[0])


def scipy_crossing(excess: Callable[[float], float], highest: float) -> Answer:
    """One bracket from the centre to the end of the ray, whatever lies between."""
    root, told = brentq(excess, 0.0, highest, xtol=1e-13, full_output=True)
    return root, f"brentq, {told.function_calls} F"


def landscape_filter_ratio(net: Net) -> Answer:
    """‖dᵢ‖/‖θᵢ‖ averaged over the filters of its filter-normalised direction."""
    place, direction = _landscape_direction(net)
    pairs = zip(direction.parameters, place.parameters, strict=True)
    ratios = [d.norm() / w.norm() for ds, ws in pairs if ws.dim() > 1 for d, w in zip(ds, ws, strict=True)]
    return float(torch.stack(ratios).mean()), "filter_normalize_"


def landscape_cosine(net: Net, pairs: int) -> Answer:
    """The cosine between two of its random directions, normalised by filter; the mean over pairs."""
    found = []
    for _ in range(pairs):
        one, other = (flat(_landscape_direction(net)[1].parameters) for _ in range(2))
        found.append(float(one @ other / (one.norm() * other.norm())))
    return float(np.mean(found)), "U[0, 1] draws"


def landscape_centre(net: Net) -> Answer:
    """The middle cell of its 11 × 11 plane."""
    from loss_landscapes import random_plane
    from loss_landscapes.metrics import Loss

    plane = random_plane(net.model, Loss(nn.CrossEntropyLoss(), *net.batch), 1, 11, deepcopy_model=True)
    return float(plane[5, 5]), "cell [5, 5] of 11×11"


def _landscape_direction(net: Net):
    from loss_landscapes.model_interface.model_parameters import ModelParameters, rand_u_like

    place = ModelParameters([p.detach() for p in net.model.parameters()])
    direction = rand_u_like(place)
    direction.filter_normalize_(place)
    return place, direction


def flat(tensors: list[Tensor]) -> Tensor:
    """All of them as one vector."""
    return torch.cat([t.flatten() for t in tensors])
