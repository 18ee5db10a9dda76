"""One file of text and arrays, in which a changed bit is noticed.

It is an npz, which ``numpy.load`` opens, with a JSON text among the arrays; the zip format keeps a
CRC-32 of each. Nothing in it is ever run: no pickle.

Called by `minihf.train.checkpoint`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

__all__ = ["Unreadable", "pack", "unpack"]

TEXT = "checkpoint.json"


class Unreadable(ValueError):
    """A file that is damaged, or no archive; the message is one line and names it."""


def pack(path: Path, text: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write plain values and arrays to a new file, and bring it to the disk."""
    text = {**text, "arrays": list(arrays)}
    with path.open("xb") as file:
        with ZipFile(file, "w") as archive:
            archive.writestr(ZipInfo(TEXT), json.dumps(text))
            for name, array in arrays.items():
                with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def unpack(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `pack` wrote; all of it is checked: every bit, and that no array is missing.

    Raises
    ------
    Unreadable
        If any of it is damaged.
    FileNotFoundError
    """
    try:
        with ZipFile(path) as archive:
            text = json.loads(archive.read(TEXT))
            arrays = {name: _array(archive.read(f"{name}.npy")) for name in text["arrays"]}
    except FileNotFoundError:
        raise
    except Exception as error:          # a damaged file can fail in every way there is
        said = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"{str(path)!r} cannot be read ({said})") from None
    return text, arrays


def _array(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
