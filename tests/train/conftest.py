"""A network that learns in no time, and optimizers that misbehave on purpose."""

import errno
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf


@pytest.fixture
def task():
    """Give a network, a loss, and twelve cases."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 3)).astype(np.float32)
    net = hf.Sequential(hf.Dense(3, 4), hf.Tanh(), hf.Dense(4, 2))
    return SimpleNamespace(net=net, loss=hf.SquaredError(), data=(x, np.tanh(x[:, :2])), x=x)


@pytest.fixture
def fit(task):
    """Give the function that trains it, quietly; keywords change what is trained."""

    def train(opt=None, **arguments):
        net, loss, data = (
            arguments.pop(name, getattr(task, name)) for name in ("net", "loss", "data")
        )
        arguments = {"progress": False} | arguments
        return hf.fit(net, loss, opt or hf.SGD(0.1), data, **arguments)

    return train


@pytest.fixture
def hooked():
    """Give an optimizer around another, with a call before its updates: ``hook(number)``."""

    class Hooked:
        def __init__(self, opt, hook):
            self.opt, self.hook, self.updates = opt, hook, 0

        def init(self, params, seed=0):
            return self.opt.init(params, seed)

        def step(self, *arguments):
            self.updates += 1
            self.hook(self.updates, *arguments)
            return self.opt.step(*arguments)

    return Hooked


class Filling:
    """A file on a disk that may be full: what is too much for it goes on it in part."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def write(self, content):
        if len(content) > self.disk.left:
            self.file.write(content[: self.disk.left])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.disk.left -= len(content)
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@pytest.fixture
def disk(monkeypatch):
    """Give a disk on which there are ``disk.left`` more bytes for files that `Path` opens."""
    made, open_ = SimpleNamespace(left=math.inf), Path.open

    def opened(path, mode="r", *more, **options):
        file = open_(path, mode, *more, **options)
        return file if mode in ("r", "rb") else Filling(file, made)

    monkeypatch.setattr(Path, "open", opened)
    return made
