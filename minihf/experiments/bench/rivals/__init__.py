"""The libraries that people would take instead, each on the same networks, parameters and data.

All are optional. Each prepares what it can keep between products, and is timed without that.

    JAX cached      linearize and linear_transpose once; the product compiled
    JAX naive       jvp and vjp anew in every product; compiled
    torch cached    the graph of a double backward pass, kept: back through it is a tangent forward
    torch.func      linearize once, the vjp kept
    BackPACK        ggn_vector_product_from_plist
    curvlinops      GGNLinearOperator

Called by the benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from minihf.experiments.bench.problems import Case
from minihf.experiments.bench.systems import System

__all__ = ["INSTALL", "RIVALS", "Rival"]

INSTALL = {
    "torch": "python -m pip install torch==2.13.0",
    "jax": "python -m pip install jax",
    "backpack-for-pytorch": "python -m pip install backpack-for-pytorch",
    "curvlinops-for-pytorch": "python -m pip install curvlinops-for-pytorch",
}
"""How to get each package: PyTorch first, in a build that suits the machine."""


@dataclass(frozen=True)
class Rival:
    """A way to multiply with the matrix, in the function `make` of the module `within`."""

    name: str
    within: str
    make: str
    packages: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """Which packages it wants and are not installed."""
        return [package for package in self.packages if not _version(package)]

    @property
    def versions(self) -> list[str]:
        """The packages that it uses, with their versions."""
        return [f"{package} {_version(package)}" for package in self.packages]

    def prepare(self, case: Case) -> System:
        """Do once what every product profits from."""
        system: System = getattr(import_module(f"{__name__}.{self.within}"), self.make)(case)
        return system


RIVALS = (
    Rival("JAX cached", "with_jax", "cached", ("jax",)),
    Rival("JAX naive", "with_jax", "naive", ("jax",)),
    Rival("torch cached", "with_torch", "cached", ("torch",)),
    Rival("torch.func", "with_torch", "func", ("torch",)),
    Rival("BackPACK", "with_backpack", "backpack", ("torch", "backpack-for-pytorch")),
    Rival("curvlinops", "with_curvlinops", "curvlinops", ("torch", "curvlinops-for-pytorch")),
)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
