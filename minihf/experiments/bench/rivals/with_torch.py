"""PyTorch: the graph of a double backward pass, kept; and the linearization of torch.func.

The networks are modules as people write them. Images and filters are in `torch.channels_last`,
PyTorch's own faster order. `nn.LSTM`, of whose two biases one is frozen at 0, serves where it is
the faster: its kernel has no forward-mode rule, and a double backward that is slow to begin. An
LSTM written out step by step serves elsewhere.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, linearize, vjp

from minihf.backend import to_host
from minihf.experiments.bench.problems import Case
from minihf.experiments.bench.systems import DAMPING, ITERATIONS, Operator, System, theirs

__all__ = ["Setting", "cached", "func", "solve"]


def cached(case: Case) -> System:
    """Keep u -> J'u as a graph: back through it is v -> J v. Nothing is computed twice."""
    setting = Setting(case, MODELS)
    z = setting.model(setting.x)
    H_L = setting.hessian(z)

    def operator(block: list[int]) -> Operator:
        at = [setting.parameters[i] for i in block]
        u = torch.zeros_like(z, requires_grad=True)
        JTu = torch.autograd.grad(z, at, u, create_graph=True)

        def product(v: Sequence[Any]) -> Sequence[Any]:
            (Rz,) = torch.autograd.grad(JTu, u, v, retain_graph=True)
            return torch.autograd.grad(z, at, H_L(Rz), retain_graph=True)

        return product, partial(solve, product)

    return setting.system(operator)


def func(case: Case) -> System:
    """Linearize once by `torch.func.linearize`, and keep the pull-back of `torch.func.vjp`."""
    setting = Setting(case)
    setting.model.requires_grad_(False)                  # else folding of constants fails

    def operator(block: list[int]) -> Operator:
        names = [setting.names[i] for i in block]
        at = [setting.parameters[i].detach() for i in block]

        def forward(*part: Any) -> Any:
            arrays = dict(zip(names, part, strict=True))
            return functional_call(setting.model, arrays, (setting.x,))

        with warnings.catch_warnings(action="ignore"):
            z, jvp = linearize(forward, *at)
            _, pull = vjp(forward, *at)
        H_L = setting.hessian(z)

        def product(v: Sequence[Any]) -> Sequence[Any]:
            return pull(H_L(jvp(*v)), create_graph=False)

        return product, partial(solve, product)

    return setting.system(operator)


class Setting:
    """A case in PyTorch: the model at the same parameters, data, loss, and the vector.

    `parameters` are in our order, by their own `names`; those with two axes are transposed.
    """

    def __init__(
        self, case: Case, models: Mapping[str, Callable[[], nn.Module]] | None = None
    ) -> None:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
        self.case = case
        self.model = (models or STEPPED)[case.problem.name]()
        trained = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trained), list(trained.values())
        for mine, name in zip(self.parameters, case.params.names, strict=True):
            mine.data = _from(case.params[name])
        self.v = [_from(case.params.with_vector(case.v)[name]) for name in case.params.names]
        self.x = _in_order(torch.tensor(to_host(case.x)))
        self.y = torch.tensor(to_host(case.y))
        self.loss = nn.CrossEntropyLoss() if case.problem.classifies else HalfSquaredError()

    def hessian(self, z: Any) -> Callable[[Any], Any]:
        """Return Rz -> H_L Rz."""
        z = z.detach()
        if not self.case.problem.classifies:
            return lambda Rz: Rz / len(z)
        p = torch.softmax(z, dim=-1)
        return lambda Rz: p * (Rz - (p * Rz).sum(dim=-1, keepdim=True)) / len(z)

    def system(self, operator: Callable[[list[int]], Operator]) -> System:
        """Return the system of these operators."""
        return theirs(self.case, self.v, operator, flat=_flat, wait=lambda parts: None)


def solve(product: Callable[[Sequence[Any]], Sequence[Any]], b: Sequence[Any]) -> list[Any]:
    """Make all of the iterations of CG on (G + damping I) x = b."""

    def dot(x: Sequence[Any], y: Sequence[Any]) -> float:
        return sum(float(torch.sum(a * b)) for a, b in zip(x, y, strict=True))

    x, r, p = [torch.zeros_like(b_i) for b_i in b], [b_i.clone() for b_i in b], list(b)
    rr = dot(r, r)
    for _ in range(ITERATIONS):
        Ap = torch._foreach_add(list(product(p)), p, alpha=DAMPING)
        alpha = rr / dot(p, Ap)
        torch._foreach_add_(x, p, alpha=alpha)
        torch._foreach_add_(r, Ap, alpha=-alpha)
        rr, before = dot(r, r), rr
        p = torch._foreach_add(r, p, alpha=rr / before)
    return x


def _from(array: Any) -> Any:
    """Return an array of ours as they lay it out: filters as they are, matrices transposed."""
    host = to_host(array)
    return _in_order(torch.tensor(np.ascontiguousarray(host.T) if host.ndim == 2 else host))


def _in_order(tensor: Any) -> Any:
    """Return images and filters with the channels last in memory."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _flat(parts: Sequence[Any]) -> np.ndarray:
    ours = [(part.T if part.ndim == 2 else part).detach() for part in parts]
    return np.concatenate([np.ascontiguousarray(part.numpy()).reshape(-1) for part in ours])


# The networks and the loss ------------------------------------------------------------------


class HalfSquaredError(nn.Module):
    """`minihf.SquaredError`: the mean over cases."""

    reduction = "mean"

    def forward(self, z: Any, y: Any) -> Any:
        """Return the loss."""
        return 0.5 * ((z - y) ** 2).sum() / len(z)


class LSTM(nn.Module):
    """An LSTM layer with one bias, and the hidden sequence alone as its value."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.layer = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.layer.bias_hh_l0.requires_grad_(False).zero_()

    def forward(self, x: Any) -> Any:
        """Map (N, T, D) to (N, T, H)."""
        return self.layer(x)[0]


class SteppedLSTM(LSTM):
    """The same, step by step."""

    def forward(self, x: Any) -> Any:
        """Map (N, T, D) to (N, T, H)."""
        Wx, Wh, b, hidden = *list(self.layer.parameters())[:3], []
        h = c = x.new_zeros(len(x), self.layer.hidden_size)
        for from_x in nn.functional.linear(x, Wx, b).unbind(1):
            i, f, g, o = (from_x + h @ Wh.T).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            hidden.append(h)
        return torch.stack(hidden, dim=1)


class MeanOfPixels(nn.Module):
    """Global average pooling; `torch.vmap` has no rule for `nn.AdaptiveAvgPool2d`."""

    def forward(self, x: Any) -> Any:
        """Map (N, C, H, W) to (N, C)."""
        return x.mean(dim=(2, 3))


class LastStep(nn.Module):
    """The last step of a sequence."""

    def forward(self, h: Any) -> Any:
        """Map (N, T, H) to (N, H)."""
        return h[:, -1]


def autoencoder() -> nn.Module:
    """784-1000-500-250-30 and back; tanh, linear code and output."""
    widths = (784, 1000, 500, 250, 30)
    halves = [
        [layer for sizes in pairwise(half) for layer in (nn.Linear(*sizes), nn.Tanh())][:-1]
        for half in (widths, widths[::-1])
    ]
    return nn.Sequential(*halves[0], *halves[1])


def cnn() -> nn.Module:
    """Four 3x3 convolutions with ReLU, the second and the fourth of stride 2; pool; dense."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        MeanOfPixels(), nn.Linear(64, 10),
    )  # fmt: skip


def lstm3(layer: type[LSTM] = LSTM) -> nn.Module:
    """Three LSTM layers, and a dense layer on the last state."""
    return nn.Sequential(
        layer(28, 128), layer(128, 128), layer(128, 128), LastStep(), nn.Linear(128, 10)
    )


MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "autoencoder": autoencoder, "cnn": cnn, "lstm": lstm3
}  # fmt: skip
STEPPED: Mapping[str, Callable[[], nn.Module]] = {
    **MODELS, "lstm": partial(lstm3, SteppedLSTM)
}  # fmt: skip
"""With LSTMs that are written out."""
