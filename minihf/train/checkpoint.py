"""Checkpoints of a run in a folder: going on from one is never having stopped.

    latest.npz      where the run stood when it was last saved
    previous.npz    the one before, for when the latest cannot be read
    best.npz        the parameters with the smallest training error so far

The new latest is on the disk before the old one becomes the previous, so that at any moment one of
the two is whole. A checkpoint is due after `EVERY` seconds, unless writing has taken more than its
share of the time.

Called by `minihf.fit`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from minihf.files import aside, put, sweep, whole
from minihf.optim.report import BlockReport, Report
from minihf.params import Params
from minihf.train.archive import Unreadable, pack, unpack
from minihf.train.averaging import RunningMean
from minihf.train.identity import must_be_equal, network_of
from minihf.train.plain import Assembly, Dismantled, types_in
from minihf.train.progress import Best, Progress, whole_progress

__all__ = ["BEST", "LATEST", "PREVIOUS", "Checkpoints", "parameters"]

LATEST, PREVIOUS, BEST = "latest.npz", "previous.npz", "best.npz"
FORMAT = 1

EVERY = 30.0
"""Seconds from one checkpoint to the next, at least."""
SHARE = 0.01
"""The time that writing may have taken, as a share of all the time so far."""

TYPES = {kind.__name__: kind for kind in (Progress, Best, RunningMean, Report, BlockReport)}


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    of : mapping of str to sequence of str
        What the run is, by `minihf.train.identity`: a checkpoint of another one is refused.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        folder: str | Path,
        of: Mapping[str, Sequence[str]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.folder = Path(folder)
        self._of = {name: list(words) for name, words in of.items()}
        self._clock = clock
        self._began = self._last = clock()
        self._writing = 0.0
        self._latest_is_whole = True
        self._kept_best: Best | None = None

    @property
    def _two(self) -> tuple[Path, Path]:
        return self.folder / LATEST, self.folder / PREVIOUS

    def begin(self, fresh: Progress, resume: bool) -> Progress:
        """Return where the run is to begin: at `fresh`, or where it stood.

        Raises
        ------
        ValueError
            If it is to begin anew, and there are checkpoints; or it is to go on, and none can be
            read, or it is of another run or another format.
        TypeError
            If the optimizer's state is not made of arrays and numbers.
        """
        sweep(self.folder)
        if resume:
            return self._last_kept(fresh) or fresh
        for path in self._two:
            if path.exists():
                raise ValueError(
                    f"{str(path)!r} is there: resume=True goes on from it; or take another folder"
                )
        Dismantled(fresh)
        return fresh

    # Writing ----------------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Tell whether it is time for another one."""
        now = self._clock()
        return now - self._last >= EVERY and self._writing <= SHARE * (now - self._began)

    def keep(self, progress: Progress) -> None:
        """Write where the run stands; what cannot be written is a warning, and the run goes on."""
        began = self._clock()
        self.keep_best(progress.best)
        with self._or_warned():
            self._keep_latest(progress)
        self._last = self._clock()
        self._writing += self._last - began

    def keep_best(self, best: Best | None) -> None:
        """Write the best parameters, if they are not there yet."""
        if best is None or best is self._kept_best:
            return
        with self._or_warned():
            with whole(self.folder / BEST) as part:
                self._write(part, best)
            self._kept_best = best

    @contextmanager
    def _or_warned(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            warnings.warn(
                f"no checkpoint in {str(self.folder)!r}: {error.strerror or error}; the run goes "
                "on, and what was kept before is still there",
                RuntimeWarning, stacklevel=4,
            )  # fmt: skip

    def _keep_latest(self, progress: Progress) -> None:
        latest, previous = self._two
        with aside(latest) as part:
            self._write(part, progress)
            if latest.exists() and self._latest_is_whole:
                os.replace(latest, previous)
            put(part, latest)
        self._latest_is_whole = True

    def _write(self, part: Path, value: Any) -> None:
        taken = Dismantled(value)
        pack(part, {"format": FORMAT, "of": self._of, "value": taken.tree}, taken.arrays)

    # Reading ----------------------------------------------------------------------------------

    def _last_kept(self, fresh: Progress) -> Progress | None:
        """Return where the run stood, by the latest checkpoint that can be read; None without any.

        `fresh` is the template.
        """
        unreadable = []
        for path in self._two:
            try:
                text, arrays = _opened(path)
            except FileNotFoundError:
                continue
            except Unreadable as error:
                unreadable.append(str(error))
                continue
            for name, here in self._of.items():
                must_be_equal(path, name, text["of"].get(name, []), here)
            assembly = Assembly(arrays, TYPES | types_in(fresh.state), fresh.params)
            with _fitting(path):
                progress = whole_progress(assembly.of(text["value"]))
            if unreadable:
                self._latest_is_whole = False
                warnings.warn(
                    f"{'; '.join(unreadable)}: the run goes on from {str(path)!r}, "
                    f"update {progress.updates}",
                    RuntimeWarning, stacklevel=3,
                )  # fmt: skip
            return progress
        if unreadable:
            raise ValueError(
                f"no checkpoint can be read: {'; '.join(unreadable)}; delete them, and the run "
                "begins anew"
            )
        return None


def parameters(path: str | Path, like: Params) -> Params:
    """Return the parameters of a checkpoint: those that errors were measured at.

    Of ``latest.npz`` and ``previous.npz`` they are the last ones or, if the run averages, their
    mean.

    Parameters
    ----------
    path : path
        Of a file in a run's folder.
    like : Params
        Of the same network, such as ``net.init(0)``.

    Raises
    ------
    ValueError
        If the file cannot be read, or is of another network.
    """
    path = Path(path)
    text, arrays = _opened(path)
    must_be_equal(path, "network", text["of"].get("network", []), network_of(like))
    assembly = Assembly(arrays, TYPES, like)
    with _fitting(path):
        (parts,) = text["value"].values()
        mean = assembly.of(parts.get("mean"))
        if mean is not None and mean.params is not None:
            return mean.params
        return assembly.of(parts["params"])


def _opened(path: Path) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
    text, arrays = unpack(path)
    found = text.get("format") if isinstance(text, dict) else None
    if found != FORMAT:
        raise ValueError(f"{str(path)!r} is of format {found!r}; this minihf reads {FORMAT}")
    with _fitting(path):
        if not all(isinstance(words, list) for words in text["of"].values()):
            raise ValueError("it does not say what it is of")
    return text, arrays


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """Name the checkpoint that is not made as checkpoints are."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} does not fit: {error}") from None
