"""Eigenvalues from products with vectors alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from gensweep.geometry.risk import Product
from gensweep.rng import Stream

RESTARTS = 10  # of eigsh; what has not settled by then is flagged
TOL = 1e-4  # residual over |λ| at which an eigenvalue has settled
FLOOR = 1e-3  # of the largest |λ|: an eigenvalue smaller than this is judged as if it had this size


@dataclass
class Hessian:
    """A symmetric matrix known by its products, which are counted.

    Args:
        product: v ↦ Hv.
        like: A vector (n,) on the device where the products run; Krylov vectors are float64 there.
        products: How many were spent.

    Raises:
        FloatingPointError: A product that is not finite, at once, since no iteration recovers from it.
    """

    product: Product
    like: Tensor
    products: int = field(default=0, init=False)

    def __len__(self) -> int:
        return len(self.like)

    def __matmul__(self, v_P: Tensor) -> Tensor:
        self.products += 1
        image = self.product(v_P)
        if not image.isfinite().all():
            raise FloatingPointError("the Hessian is not finite here")
        return image

    def vector(self, numbers: np.ndarray) -> Tensor:
        """The numbers as a float64 vector where the products run."""
        return torch.from_numpy(numbers).to(self.like.device, torch.float64)


@dataclass(frozen=True)
class Ritz:
    """What m products say about a spectrum, ascending.

    Args:
        values_M: Approximate eigenvalues.
        weights_M: Share of the starting vector along each of them; they sum to 1.
        residuals_M: ‖Hu − λu‖ of each; an eigenvalue lies within this distance.
    """

    values_M: np.ndarray
    weights_M: np.ndarray
    residuals_M: np.ndarray


def relative(residual: float, value: float, largest: float) -> float:
    """A residual over |λ|, or over a thousandth of the largest |λ| if that is more.

    >>> relative(1e-4, 0.1, 1.0), relative(0.0, 0.0, 0.0)
    (0.001, 0.0)
    """
    scale = max(abs(value), FLOOR * largest)
    return residual / scale if scale else 0.0


def lanczos(hessian: Hessian, start_P: Tensor, steps: int) -> Ritz:
    """Lanczos from one vector, orthogonalised against all earlier ones, twice.

    Args:
        hessian: The matrix.
        start_P: Where to begin, not 0, float64.
        steps: Products to spend; fewer when the vectors run out.

    Error: Extreme eigenvalues settle first; ``residuals_M`` says how far each one has. An eigenvalue is
    found once, however often it occurs. Without the second pass, vectors lose their orthogonality as
    soon as an eigenvalue has settled, and copies of it appear.

    Source: Golub & Welsch 1969 for the weights; Ghorbani et al. 2019 (1901.10159) for Hessians.
    """
    _, diagonal, beside = _krylov(hessian, start_P, steps)
    values_M, vectors_MM, residuals_M = _ritz(diagonal, beside)
    return Ritz(values_M, vectors_MM[0] ** 2, residuals_M)


def _krylov(
    hessian: Hessian, start_P: Tensor, steps: int, count: int = 0
) -> tuple[Tensor, list[float], list[float]]:
    """An orthonormal basis (M, P) in which H is tridiagonal, its diagonal, and what lies beside it.

    With a ``count``, it ends as soon as so many of the largest Ritz values have settled.
    """
    basis_MP = torch.zeros(min(steps, len(hessian)), len(hessian), dtype=torch.float64, device=start_P.device)
    basis_MP[0] = start_P / start_P.norm()
    diagonal: list[float] = []
    beside: list[float] = []
    for m in range(len(basis_MP)):
        image = hessian @ basis_MP[m]
        diagonal.append((image @ basis_MP[m]).item())
        for _ in range(2):
            image = image - basis_MP[: m + 1].T @ (basis_MP[: m + 1] @ image)
        beside.append(image.norm().item())
        if beside[-1] <= 1e-12 * np.abs(diagonal + beside[:-1]).max() or _settled(diagonal, beside, count):
            break
        if m + 1 < len(basis_MP):
            basis_MP[m + 1] = image / beside[-1]
    return basis_MP[: len(diagonal)], diagonal, beside


def _settled(diagonal: list[float], beside: list[float], count: int) -> bool:
    """Whether the residuals of the ``count`` largest Ritz values are small; never when none are asked for."""
    if not 0 < count <= len(diagonal):
        return False
    values_M, residuals_M = _ritz(diagonal, beside)[::2]
    scale = np.abs(values_M).max()
    pairs = zip(residuals_M[-count:].tolist(), values_M[-count:].tolist(), strict=True)
    return all(relative(residual, value, scale) <= TOL for residual, value in pairs)


def _ritz(diagonal: list[float], beside: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ritz values, ascending, their vectors in the basis, in columns, and their residuals."""
    values_M, vectors_MM = eigh_tridiagonal(diagonal, beside[:-1])
    return values_M, vectors_MM, beside[-1] * np.abs(vectors_MM[-1])


def ritz_vectors(hessian: Hessian, count: int, rng: Stream) -> tuple[np.ndarray, Tensor]:
    """Up to ``count`` of the largest eigenvalues, descending, with orthonormal vectors in the rows of (M, P).

    One Lanczos run of 2·count + 10 products without restarts; a matrix no larger than that is written out.

    Error: A value is the curvature along its vector, exactly; how near the pair is to an eigenpair is not
    said. An eigenvalue is found once, however often it occurs, but where the matrix is written out.
    """
    steps = 2 * count + 10
    if len(hessian) <= steps:
        values, vectors, _ = _dense(hessian)
        return values[:count], torch.from_numpy(vectors.T[:count].copy()).to(hessian.like.device)
    basis_MP, diagonal, beside = _krylov(hessian, hessian.vector(rng.normal(len(hessian))), steps)
    values_M, vectors_MM = eigh_tridiagonal(diagonal, beside[:-1])
    top_KM = torch.from_numpy(vectors_MM[:, ::-1][:, :count].T.copy()).to(basis_MP)
    return values_M[::-1][:count], top_KM @ basis_MP


def largest(hessian: Hessian, count: int, rng: Stream) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` largest eigenvalues, descending, and the residual ‖Hu − λu‖ of each.

    One Lanczos run that ends when they have settled, which saves the products of a restart and those of the
    residuals; where 2·max(20, 2·count + 10) products are not enough, restarts from the vectors that it
    found. A matrix no larger than that is written out and solved whole.

    Error: Exact to the residual. If the restarts are not enough, the values are Ritz values, which are
    too small, and their residuals say so. Of an eigenvalue that occurs more than once, copies may be missing.

    Source: Lanczos; implicitly restarted, as in `scipy.sparse.linalg.eigsh`, where one run is not enough.
    """
    n, krylov = len(hessian), max(20, 2 * count + 10)
    if n <= 2 * krylov:
        values, _, residuals = _dense(hessian)
        return values[:count], residuals[:count]
    start_P = hessian.vector(rng.normal(n))
    basis_MP, diagonal, beside = _krylov(hessian, start_P, 2 * krylov, count)
    if not any(diagonal) and not any(beside):  # H = 0, which ARPACK refuses
        return np.zeros(count), np.zeros(count)
    if _settled(diagonal, beside, count):
        values_M, _, residuals_M = _ritz(diagonal, beside)
        return values_M[::-1][:count], residuals_M[::-1][:count]
    found_M = torch.from_numpy(_ritz(diagonal, beside)[1][:, -count:].sum(1)).to(basis_MP)
    return _restarted(hessian, count, krylov, found_M @ basis_MP, rng)


def _restarted(
    hessian: Hessian, count: int, krylov: int, start_P: Tensor, rng: Stream
) -> tuple[np.ndarray, np.ndarray]:
    """The same by restarts."""
    n = len(hessian)

    def matvec(v: np.ndarray) -> np.ndarray:
        return (hessian @ hessian.vector(v.flatten())).cpu().numpy()

    operator = LinearOperator((n, n), matvec=matvec, dtype=np.float64)
    settings = {"which": "LA", "ncv": krylov, "tol": TOL, "maxiter": RESTARTS, "v0": start_P.cpu().numpy()}
    try:
        values, vectors = eigsh(operator, count, rng=rng.child("restart").generator(), **settings)
    except ArpackNoConvergence:
        ritz = lanczos(hessian, start_P, RESTARTS * krylov)
        return ritz.values_M[::-1][:count], ritz.residuals_M[::-1][:count]
    order = values.argsort()[::-1]
    return values[order], np.array(
        [np.linalg.norm(operator @ vectors[:, i] - values[i] * vectors[:, i]) for i in order]
    )


def _dense(hessian: Hessian) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All eigenvalues, descending, the vectors in columns, and the residuals."""
    columns = torch.eye(len(hessian), dtype=torch.float64, device=hessian.like.device)
    matrix = torch.stack([hessian @ column for column in columns]).cpu().numpy()
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    residuals = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
    return values[::-1], vectors[:, ::-1], residuals[::-1]
