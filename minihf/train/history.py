"""The record of a run: a dict for each look at it, enough to draw any figure from.

Made by `minihf.fit`, and read by reports from the log that it wrote (`minihf.train.log`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minihf.params import Params

__all__ = ["History"]


@dataclass
class History:
    """Records of a run, in order; each a dict of plain values.

    Every record has ``updates``, ``seconds`` (of the updates alone), ``looking`` (seconds of the
    looks, this one too), ``products`` (of the solvers, with the curvature), ``data_passes`` (cases
    of the gradients over the training set's size), ``train`` and ``test`` (the metric; None without
    test data), and of the last update ``objective``, ``lam``, ``rho``, ``iterations``, ``problem``
    and ``blocks``, the `BlockReport` of each as a dict, and of the updates so far how many were
    ``rejected`` and in how many the objective ``rose``. The last record says why the run ``ended``;
    the others have an empty line there, so that a log tells whether it is whole. Where looks
    measured a part of the cases, it also has the errors of all, or of more of them, as
    ``train_at_end`` and ``test_at_end``.

    Attributes
    ----------
    records : list of dict
    params : Params or None
        The last parameters at which the loss was seen to be finite (None for a history read from a
        file); after a run that blew up, not those of the last record.
    state : object
        The optimizer's state, to go on from.
    ended : str
        Why the run ended, one line; empty for a log of a run that was killed.
    mean : Params or None
        The parameters that the last record is of: those averaged over the last updates, if `fit`
        was to average, else the last ones. `params`, not these, are to go on from.

    Examples
    --------
    >>> import minihf as hf
    >>> history = hf.History([{"updates": 0, "train": 2.0}, {"updates": 5, "train": 1.0}])
    >>> history.column("train"), history.last["updates"]
    ([2.0, 1.0], 5)
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    params: Params | None = None
    state: Any = None
    ended: str = ""
    mean: Params | None = None

    @property
    def last(self) -> dict[str, Any]:
        """The last record."""
        return self.records[-1]

    def final(self, error: str) -> float | None:
        """Return the last ``"train"`` or ``"test"`` error, of all cases that were measured then.

        Examples
        --------
        >>> import minihf as hf
        >>> hf.History([{"train": 0.25, "train_at_end": 0.24}]).final("train")
        0.24
        """
        value: float | None = self.last.get(f"{error}_at_end", self.last[error])
        return value

    @property
    def spent(self) -> bool:
        """Whether the run spent its budget: it neither gave up nor was interrupted."""
        return re.fullmatch(r"\S+ (updates|seconds|epochs)", self.ended) is not None

    def column(self, name: str) -> list[Any]:
        """Return one value of every record."""
        known = self.records[0] if self.records else {}
        if name not in known:
            raise KeyError(f"no column {name!r}; there are: {', '.join(known)}")
        return [record[name] for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)

    @classmethod
    def read(cls, path: str | Path) -> History:
        """Read a log that `minihf.fit` wrote.

        Raises
        ------
        ValueError
            If the file is no text, or a line no JSON object, with its number. A torn last line, as
            a killed run leaves it, is left out.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
        except UnicodeDecodeError:
            raise ValueError(f"{path} is no log of a run: it is not text in UTF-8") from None
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                if number == len(lines) and not line.endswith("\n"):
                    break
                said = getattr(error, "msg", error)
                raise ValueError(f"{path}, line {number}: not JSON ({said})") from None
            if not isinstance(record, dict):
                raise ValueError(f"{path}, line {number}: expected an object")
            records.append(record)
        ended = records[-1].get("ended", "") if records else ""
        if not isinstance(ended, str):
            raise ValueError(f"{path}, line {len(records)}: 'ended' is {ended!r}, expected words")
        return cls(records, ended=ended)
