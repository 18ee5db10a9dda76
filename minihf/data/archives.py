"""Files out of a tar archive, read one after another and never unpacked onto the disk.

So it does not matter where an archive's paths and links would lead: a file is given only by the
very name that was asked for, and a link of that name is refused. What pads, describes and
surrounds the files is passed over.

Called by `minihf.data.cifar` and `minihf.data.routes`.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection
from pathlib import Path

from minihf.data.streams import CHUNK, Stream, exactly, opened

__all__ = ["members"]

BLOCK = 512
"""An archive is made of blocks: a header, then the file's bytes and what fills up the last one."""

WITHOUT_DATA = (
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)  # fmt: skip


def members(path: Path, wanted: Collection[str]) -> dict[str, bytearray]:
    """Read files of an archive, packed by gzip or not.

    Parameters
    ----------
    path : path
    wanted : collection of str
        Their names, with the folders that the archive has them in.

    Returns
    -------
    dict of str to bytearray
        Those that are there.

    Raises
    ------
    ValueError, OSError, EOFError, zlib.error, tarfile.TarError
        If it cannot be read or is no such archive, or one of these names is a link's or two files'.
    """
    found: dict[str, bytearray] = {}
    with opened(path) as stream:
        while any(header := exactly(stream, BLOCK)):
            member = tarfile.TarInfo.frombuf(bytes(header), "utf-8", "surrogateescape")
            name = member.name.removeprefix("./")
            size = 0 if member.type in WITHOUT_DATA else member.size
            if size < 0:
                raise ValueError(f"its {name} announces {size} bytes")
            if name not in wanted:
                _skip(stream, size)
            elif not member.isreg():
                raise ValueError(f"its {name} is no file")
            elif name in found:
                raise ValueError(f"it has {name} twice")
            else:
                found[name] = exactly(stream, size)
            _skip(stream, -size % BLOCK)
        while stream.read(CHUNK):                      # to the end, where gzip keeps its checksum
            pass
    return found


def _skip(stream: Stream, n: int) -> None:
    while n:
        piece = stream.read(min(CHUNK, n))
        if not piece:
            raise ValueError("it ends in the middle of a file")
        n -= len(piece)
