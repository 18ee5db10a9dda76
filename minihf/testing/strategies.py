"""Hypothesis strategies: networks, losses, batches, blocks, problems, matrices to solve with.

They draw shapes and a seed, never floats: Hypothesis makes a failing example smaller by making
sizes smaller and layers simpler, which is what a reader wants to see, and the seed gives all the
numbers. What they give has a ``repr`` that is the whole example.

Called by tests; needs Hypothesis, as the extra ``minihf[testing]`` brings it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import minihf as hf
from minihf.params import Params
from minihf.testing.cases import profile
from minihf.testing.problem import Batch, Problem, input_of
from minihf.testing.properties import hypothesis
from minihf.testing.shapes import shape
from minihf.testing.spd import SPD, SPECTRA

st = hypothesis().strategies

__all__ = ["batches", "losses", "networks", "partitions", "problems", "seeds", "spd_operators"]

SMOOTH = (hf.Tanh(), hf.Sigmoid(), hf.Softplus())
KINKED = (hf.ReLU(),)
DEPTH = 3  # layers with weights at most: deeper networks find nothing more


def seeds() -> Any:
    """Draw a seed; the smallest is 0."""
    return st.integers(0, 2**32 - 1)


def _sizes(largest: int | None) -> Any:
    return st.integers(1, largest or profile().largest)


def networks(
    kinds: Sequence[str] = ("dense", "recurrent", "convolution"),
    *,
    smooth: bool = False,
    largest: int | None = None,
) -> Any:
    """Draw networks of the library's layers; the simplest is ``Sequential(Dense(1, 1))``.

    Parameters
    ----------
    kinds : sequence of str
        Some of ``"dense"``, ``"recurrent"`` and ``"convolution"``, the simplest first.
    smooth : bool
        Leave out what has kinks: ReLU and max-pooling.
    largest : int, optional
        Of any size; without it, the profile's.

    Returns
    -------
    SearchStrategy of Sequential
        `minihf.testing.problem.input_of` tells the shape of its input.

    Raises
    ------
    ValueError
        For a kind that there is not.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minihf.testing.strategies import networks
    >>> len(find(networks(), lambda net: len(net.layers) > 1).layers)
    2
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        said = f"unknown kind {unknown[0]!r}" if unknown else "no kind is given"
        raise ValueError(f"networks: {said}; choose some of: {', '.join(KINDS)}")
    return st.one_of([KINDS[kind](smooth, largest) for kind in kinds])


def _stack(largest: int | None, most: int, *choices: Any) -> Any:
    """Draw a size and choices for each of 1 to `most` layers."""
    return st.lists(st.tuples(_sizes(largest), *choices), min_size=1, max_size=most)


def _activations(smooth: bool) -> Any:
    return st.sampled_from((None, *SMOOTH, *(() if smooth else KINKED)))


@st.composite
def _dense(draw: Callable[[Any], Any], smooth: bool, largest: int | None) -> Any:
    width = draw(_sizes(largest))
    layers: list[Any] = []
    choices = (_activations(smooth), st.booleans(), st.booleans())
    for wider, activation, no_bias, residual in draw(_stack(largest, DEPTH, *choices)):
        layers.append(hf.Dense(width, wider, bias=not no_bias))
        if activation is not None:
            layers.append(activation)
        if residual:
            layers.append(hf.Residual(hf.Sequential(hf.Dense(wider, wider), hf.Tanh())))
        width = wider
    return hf.Sequential(*layers)


@st.composite
def _recurrent(draw: Callable[[Any], Any], smooth: bool, largest: int | None) -> Any:
    width, layers = draw(_sizes(largest)), []
    for wider, layer in draw(_stack(largest, 2, st.sampled_from((hf.RNN, hf.LSTM)))):
        layers.append(layer(width, wider))
        width = wider
    head = draw(st.sampled_from(("none", "each step", "last step")))
    if head == "last step":
        layers.append(hf.LastStep())
    if head != "none":
        layers.append(hf.Dense(width, draw(_sizes(largest))))
    return hf.Sequential(*layers)


@st.composite
def _convolution(draw: Callable[[Any], Any], smooth: bool, largest: int | None) -> Any:
    channels, small = draw(_sizes(largest)), st.integers(1, 3)
    layers: list[Any] = []
    kernels, strides, paddings = st.tuples(small, small), st.integers(1, 2), st.integers(0, 1)
    stack = _stack(largest, 2, kernels, strides, paddings, _activations(smooth))
    for filters, kernel, stride, padding, activation in draw(stack):
        layers.append(hf.Conv2d(channels, filters, kernel, stride, padding))
        if activation is not None:
            layers.append(activation)
        channels = filters
    pools = (None, hf.AvgPool2d(2), *(() if smooth else (hf.MaxPool2d(2),)))
    pool = draw(st.sampled_from(pools))
    if pool is not None:
        layers.append(pool)
    if draw(st.booleans()):
        layers += [hf.GlobalAvgPool2d(), hf.Dense(channels, draw(_sizes(largest)))]
    return hf.Sequential(*layers)


KINDS: Mapping[str, Callable[[bool, int | None], Any]] = {
    "dense": _dense,
    "recurrent": _recurrent,
    "convolution": _convolution,
}


def losses() -> Any:
    """Draw one of the library's losses; the simplest is ``SquaredError()``."""
    return st.sampled_from(
        (hf.SquaredError(), hf.SigmoidCrossEntropy(), hf.SoftmaxCrossEntropy())
    )


def partitions(of: Any) -> Any:
    """Draw ways to divide parameters into blocks: what `minihf.Partition.of` takes.

    Parameters
    ----------
    of : Params or Layer
        Whose parameters.

    Returns
    -------
    SearchStrategy of str, or of dict of str to list of str
        By rule, or any grouping of whole parameters, as names; the simplest is ``"network"``.
    """
    names = (of if isinstance(of, Params) else of.init(0)).names
    return st.one_of(st.sampled_from(("network", "layer", "param")), _groups(names))


@st.composite
def _groups(draw: Callable[[Any], Any], names: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(f"block{draw(st.integers(0, len(names) - 1))}", []).append(name)
    return groups


@st.composite
def batches(
    draw: Callable[[Any], Any], net: Any, loss: Any = None, x: str | None = None,
    largest: int | None = None,
) -> Batch:  # fmt: skip
    """Draw batches for a network and a loss: ``x, y = batch``; the simplest has one case.

    Parameters
    ----------
    net : Layer
    loss : Loss, optional
        Without it, `minihf.SquaredError`.
    x : str, optional
        Shape of the input; without it, what `minihf.testing.problem.input_of` says.
    largest : int, optional
        Of any size; without it, the profile's.
    """
    text = input_of(net) if x is None else x
    sizes = {name: draw(_sizes(largest)) for name in shape(text).names}
    return Batch(net, text, loss or hf.SquaredError(), sizes=sizes, seed=draw(seeds()))


@st.composite
def problems(
    draw: Callable[[Any], Any], nets: Any = None, losses: Any = None, partitions: Any = None,
    x: str | None = None, largest: int | None = None,
) -> Problem:  # fmt: skip
    """Draw a network, a loss, blocks, sizes and a seed, as one `Problem`.

    Parameters
    ----------
    nets, losses, partitions : SearchStrategy, optional
        Where these come from; without one, the strategies of this module. `partitions` may be a
        function that is given the network.
    x : str, optional
        Shape of the input; without it, what `minihf.testing.problem.input_of` says.
    largest : int, optional
        Of any size; without it, the profile's.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minihf.testing.strategies import networks, problems
    >>> problem = find(problems(networks(["dense"])), lambda problem: problem.params.size > 2)
    >>> problem.shape, problem.loss, problem.partition, problem.sizes, problem.seed
    ('N 1', SquaredError(), 'network', {'N': 1}, 0)
    """
    net = draw(networks(largest=largest) if nets is None else nets)
    loss = draw(_losses() if losses is None else losses)
    if partitions is None or callable(partitions):
        partitions = (partitions or _partitions)(net)
    spec = draw(partitions)
    text = input_of(net) if x is None else x
    sizes = {name: draw(_sizes(largest)) for name in shape(text).names}
    return Problem(net, text, loss, partition=spec, sizes=sizes, seed=draw(seeds()))


_losses, _partitions = losses, partitions


@st.composite
def spd_operators(
    draw: Callable[[Any], Any], spectrum: Any = None, largest: int | None = None
) -> SPD:
    """Draw symmetric positive definite matrices; the simplest is the number 1.

    Parameters
    ----------
    spectrum : str or tuple of float, optional
        A name of `minihf.testing.spd.SPECTRA`, or the eigenvalues; without it, any of the names.
    largest : int, optional
        Largest number of rows; without it, four times the profile's size.
    """
    chosen = draw(st.sampled_from(tuple(SPECTRA))) if spectrum is None else spectrum
    rows = st.integers(1, largest or 4 * profile().largest)
    n = draw(rows) if isinstance(chosen, str) else len(chosen)
    return SPD(n, chosen, draw(seeds()))
