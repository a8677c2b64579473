"""One file, one measure: a solution in, rows out."""

from gensweep.measures.adaptive_sharpness import AdaptiveSharpness
from gensweep.measures.basin import Basin
from gensweep.measures.boundary import Boundary
from gensweep.measures.box_sharpness import BoxSharpness
from gensweep.measures.curve import Curve
from gensweep.measures.error import Error
from gensweep.measures.expected_sharpness import ExpectedSharpness
from gensweep.measures.gradient import Gradient
from gensweep.measures.hessian_ratio import HessianRatio
from gensweep.measures.interpolation import Interpolation
from gensweep.measures.llc import LLC
from gensweep.measures.magnitude_sharpness import MagnitudeSharpness
from gensweep.measures.margin import Margin
from gensweep.measures.norms import Norms
from gensweep.measures.path_norms import PathNorms
from gensweep.measures.perturbation import Perturbation
from gensweep.measures.perturbed_boundary import PerturbedBoundary
from gensweep.measures.slice import Slice
from gensweep.measures.spectrum import Spectrum
from gensweep.measures.surface import Surface
from gensweep.measures.trajectory import Trajectory

__all__ = [
    "LLC",
    "AdaptiveSharpness",
    "Basin",
    "Boundary",
    "BoxSharpness",
    "Curve",
    "Error",
    "ExpectedSharpness",
    "Gradient",
    "HessianRatio",
    "Interpolation",
    "MagnitudeSharpness",
    "Margin",
    "Norms",
    "PathNorms",
    "Perturbation",
    "PerturbedBoundary",
    "Slice",
    "Spectrum",
    "Surface",
    "Trajectory",
]
