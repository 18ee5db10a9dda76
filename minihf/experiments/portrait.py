"""What a trained network shows: images and what it makes of them, or which classes it confuses.

And, where a function is given that takes a matrix and returns a density of its eigenvalues, the
spectra of the Gauss-Newton matrix's blocks. A portrait is small arrays by name, in portrait.npz
beside the run's log:

    images          (2, 10, H, W) float32, test images and their reconstructions
    confusion       (classes, classes) int64, rows the label, columns the network's answer
    spectrum/BLOCK  (2, K) float64, eigenvalues and their density

Called by whatever keeps a run, and by the report, which draws it.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from minihf.backend import asarray, to_host
from minihf.curvature import GGN
from minihf.curvature.spectrum import spectral_density
from minihf.data import Dataset
from minihf.experiments.experiment import Experiment
from minihf.files import whole
from minihf.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy
from minihf.optim.batches import chunks, rows
from minihf.params import Params
from minihf.tape import linearize
from minihf.train import History
from minihf.train.feed import train_of

__all__ = [
    "PORTRAIT",
    "Density",
    "Portrait",
    "lanczos_density",
    "portrait_of",
    "read_portrait",
    "write_portrait",
]

PORTRAIT = "portrait.npz"

Portrait: TypeAlias = Mapping[str, np.ndarray]
Density: TypeAlias = Callable[[Any], Any]
"""Takes a block, a symmetric (m, m) operator; returns eigenvalues and densities, (2, K)."""

UNREADABLE = (
    ValueError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What comes of a file that is torn, or of another kind."""

IMAGES = 10
CASES = 100
"""Training cases of which the spectra are, the first ones."""

STEPS, PROBES, POINTS = 30, 2, 200
"""Of a density."""


def portrait_of(
    experiment: Experiment, history: History, density: Density | None = None
) -> Portrait:
    """Return what the network of a run shows.

    Its parameters are those that the run's last record is of. What it does not go with is left
    out: a classifier has no reconstructions, a regression neither.

    Parameters
    ----------
    experiment : Experiment
    history : History
        From `Experiment.train`, with parameters; one that was read from a file has none.
    density : callable, optional
        `lanczos_density`, or another; without it there are no spectra. The blocks are those that
        the task has for ``zhang2017``, on the first 100 training cases.

    Raises
    ------
    ValueError
        If the history has no parameters.

    Examples
    --------
    >>> from minihf.experiments.methods import METHODS
    >>> from minihf.experiments.tasks import TASKS
    >>> digits = Experiment.of(TASKS["classifier-digits"])
    >>> history = digits.train(METHODS["adam"], {"updates": 20}, seed=0, progress=False)
    >>> confusion = portrait_of(digits, history)["confusion"]
    >>> confusion.shape, int(confusion.sum()) == len(digits.data.x_test)
    ((10, 10), True)
    """
    params = history.params if history.mean is None else history.mean
    if params is None:
        raise ValueError("a history without parameters has no portrait: it was read from a file")
    with np.errstate(over="ignore", invalid="ignore"):        # of a run that blew up, shown as such
        return {
            **_images(experiment, params),
            **_confusion(experiment, params),
            **({} if density is None else _spectra(experiment, params, density)),
        }


def _images(experiment: Experiment, params: Params) -> Portrait:
    data = experiment.data
    if not _is_autoencoding(data):
        return {}
    originals = data.x_test[:IMAGES]
    output = to_host(experiment.net(params, asarray(originals)))
    if isinstance(experiment.task.loss, SigmoidCrossEntropy):         # its outputs are logits
        output = 1 / (1 + np.exp(-output))
    shape = (len(originals), *data.image_shape)
    pair = [originals.reshape(shape), output.reshape(shape)]
    return {"images": np.stack(pair).astype(np.float32)}


def _is_autoencoding(data: Dataset) -> bool:
    x, y = data.x_test, data.y_test
    if y is None or y.shape != x.shape or x[0].size != np.prod(data.image_shape):
        return False
    return y is x or np.array_equal(x, y)


def _confusion(experiment: Experiment, params: Params) -> Portrait:
    labels = experiment.data.y_test
    if labels is None or not isinstance(experiment.task.loss, SoftmaxCrossEntropy):
        return {}
    parts = [part for part, _ in chunks((experiment.data.x_test, labels))]
    outputs = np.concatenate([to_host(experiment.net(params, asarray(x))) for x, _ in parts])
    classes = outputs.shape[-1]
    cells = labels.astype(np.int64) * classes + outputs.argmax(axis=-1)
    counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return {"confusion": counts.astype(np.int64)}


def _spectra(experiment: Experiment, params: Params, density: Density) -> Portrait:
    x, y = rows(train_of(experiment.data), slice(0, CASES))
    linearized = linearize(experiment.net, params, asarray(x))
    blocks = experiment.task.methods["zhang2017"].opt.blocks
    G = GGN(linearized, experiment.task.loss, asarray(y), blocks).planned(STEPS * PROBES)
    found = {}
    for name in G.partition.names:
        with suppress(FloatingPointError):                    # of a run that blew up
            found[f"spectrum/{name}"] = np.asarray(density(G.block(name)), dtype=np.float64)
    return found


def lanczos_density(block: Any) -> np.ndarray:
    """Return a smoothed density of a block's eigenvalues, shape (2, 200), by sixty products.

    From 0 to the largest; `minihf.curvature.spectrum` has the equations.

    Examples
    --------
    >>> at, density = lanczos_density(np.diag([1.0, 1.0, 3.0]))
    >>> int(density[at < 2].sum() / density[at > 2].sum() + 0.5)
    2
    """
    spectrum = spectral_density(block, np.random.default_rng(0), STEPS, PROBES)
    at = np.linspace(min(0.0, spectrum.lowest), 1.05 * max(spectrum.highest, 0.0), POINTS)
    return np.stack([at, spectrum.density(at)])


# Files ----------------------------------------------------------------------------------------


def write_portrait(path: Path, portrait: Portrait) -> None:
    """Write a portrait, whole or not at all.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "portrait.npz"
    >>> write_portrait(path, {"confusion": np.eye(2, dtype=np.int64)})
    >>> read_portrait(path)["confusion"].tolist()
    [[1, 0], [0, 1]]
    """
    arrays: dict[str, Any] = dict(portrait)
    with whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_portrait(path: Path) -> Portrait:
    """Read a portrait back; nothing in the file is run, and what is unknown is left out.

    Raises
    ------
    ValueError
        If it is none, one line that names file and array, with what was expected.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            known = [name for name in arrays.files if _kind(name) in EXPECTED]
            portrait = {name: np.asarray(arrays[name]) for name in known}
    except UNREADABLE as error:
        raise ValueError(f"{str(path)!r} is no portrait of a run: {error}") from None
    for name, array in portrait.items():
        expected, is_right = EXPECTED[_kind(name)]
        if not is_right(array):
            raise ValueError(
                f"{str(path)!r}: {name!r} is {array.dtype} of shape {array.shape}, "
                f"expected {expected}"
            )
    return portrait


def _kind(name: str) -> str:
    return name.partition("/")[0]


def _is_pair(array: np.ndarray, ndim: int) -> bool:
    return array.dtype.kind in "iuf" and array.ndim == ndim and len(array) == 2 and array.size > 0


def _is_square(array: np.ndarray) -> bool:
    is_square = array.ndim == 2 and array.shape[0] == array.shape[1] > 0
    return is_square and array.dtype.kind in "iu" and bool((array >= 0).all())


EXPECTED: Mapping[str, tuple[str, Callable[[np.ndarray], bool]]] = {
    "images": ("real numbers (2, N, H, W)", lambda array: _is_pair(array, 4)),
    "confusion": ("counts, as many rows as columns", _is_square),
    "spectrum": ("real numbers (2, K)", lambda array: _is_pair(array, 2)),
}
"""What an array of that kind must be, in words and as a test."""
