"""No test of this folder reads or writes the developer's own data; small sets to try things on."""

import gzip
import hashlib
import io
import struct
import tarfile
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from minihf.data import cifar, idx, places, sources
from minihf.data.sources import SOURCES, File, Form


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    """Give the test a cache of its own, which does not exist yet, and no other folder of sets."""
    home = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.delenv("MINIHF_DATA", raising=False)
    monkeypatch.setattr(places, "SYSTEM", ())
    for name, source in SOURCES.items():
        monkeypatch.setitem(SOURCES, name, replace(source, addresses=()))
    return home


@pytest.fixture
def peak():
    """Return the most bytes that a call held at once."""

    def measure(call):
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


def idx_bytes(array):
    """Return the IDX file of an array of bytes."""
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


@pytest.fixture
def arrays():
    """Twenty and ten images of 28 x 28, with labels."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_train": np.arange(20, dtype=np.uint8) % 10,
        "x_test": rng.integers(0, 256, (10, 28, 28), np.uint8),
        "y_test": np.arange(10, dtype=np.uint8),
    }


@pytest.fixture
def payloads(arrays):
    """Return the four IDX files of these images, by name."""
    return {name: idx_bytes(arrays[key]) for key, name in idx.FILES.items()}


@pytest.fixture
def little_mnist(payloads, monkeypatch):
    """Let MNIST be a set of thirty images, with the checksums of these."""
    files = [
        File(name, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
        for name, content in payloads.items()
    ]
    source = replace(
        sources.MNIST, n_train=20, n_test=10, forms=(Form("", tuple(files)),), addresses=()
    )
    monkeypatch.setitem(SOURCES, "mnist", source)
    return source


@pytest.fixture
def write_idx(payloads):
    """Return a function that writes the four files into a folder, packed if it is told to."""

    def write(folder, packed=False):
        folder.mkdir(parents=True)
        for name, content in payloads.items():
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture
def batches():
    """Return small binary batches of CIFAR-10: four training images in each, two test images."""
    rng = np.random.default_rng(1)
    names = cifar.BATCHES["cifar-10-batches-bin"]

    def batch(n):
        return b"".join(
            bytes([rng.integers(10)]) + rng.integers(0, 256, 3072, np.uint8).tobytes()
            for _ in range(n)
        )

    return {name: batch(2 if name.startswith("test") else 4) for name in names}


@pytest.fixture
def write_tar(tmp_path):
    """Return a function that writes an archive of these contents, or of members made by hand."""

    def write(contents, name="images.tar.gz"):
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for member, content in contents.items():
                info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(member)
                data = content if isinstance(content, bytes) else b""
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return tmp_path / name

    return write
