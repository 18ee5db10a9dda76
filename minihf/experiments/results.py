"""What a study came to, small enough to keep: one JSON file, from which page and figures are made.

Of every look at a run it has the costs and the errors, to four digits. Called by
`minihf.experiments.reproduce`, and by the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minihf.experiments.logs import AT_END, AXES, ERRORS, fits
from minihf.experiments.summary import Runs
from minihf.files import write_text
from minihf.train import History

__all__ = ["Result"]

FORMAT = 2
COLUMNS = (*AXES, *ERRORS)

HEAD = {
    "study": str, "scale": str, "conditions": dict, "methods": dict,
    "columns": list, "runs": list,
}  # fmt: skip
CONDITIONS = dict.fromkeys(
    (
        "data", "looked_at", "parameters", "budget", "backend", "blas", "threads", "processor",
        "minihf", "numpy",
    ),
    str,
)  # fmt: skip
RUN = {
    "method": str, "seed": int, "ended": str, "rose": int, "looking": float, "at_end": dict,
    "records": list,
}  # fmt: skip
"""What a result, its conditions and each of its runs have, and of which kind."""


@dataclass(frozen=True)
class Result:
    """A study's runs, and the conditions that they were made under.

    Attributes
    ----------
    study, scale : str
    conditions : mapping of str to str
        As `minihf.experiments.conditions.conditions_of` has them.
    methods : mapping of str to str
        Each method's settings.
    runs : Runs
        With records of `COLUMNS`, and of the last one what it ended by, how many updates rose,
        the seconds of all looks, and the errors at the end of more cases, if there were more.
    """

    study: str
    scale: str
    conditions: Mapping[str, str]
    methods: Mapping[str, str]
    runs: Runs

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all, a line for each run."""
        head = {
            "format": FORMAT, "study": self.study, "scale": self.scale,
            "conditions": dict(self.conditions), "methods": dict(self.methods), "columns": COLUMNS,
        }  # fmt: skip
        runs = [
            json.dumps({"method": word, "seed": seed, **_small(history)})
            for word, seeds in self.runs.items()
            for seed, history in seeds.items()
        ]
        text = json.dumps(head, indent=2).removesuffix("\n}")
        write_text(path, text + ',\n  "runs": [\n' + ",\n".join(runs) + "\n  ]\n}\n")

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read what `write` wrote.

        Raises
        ------
        ValueError
            If the file is none of these: one line that names it.
        """
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(held, dict) and held.get("format") != FORMAT:
                raise ValueError(
                    f"its format is {held.get('format')!r}, expected {FORMAT}; make it anew by "
                    "minihf reproduce"
                )
            _must_have(held, HEAD)
            _must_have(held["conditions"], CONDITIONS)
            runs: dict[str, dict[int, History]] = {}
            for run in held["runs"]:
                _must_have(run, RUN)
                runs.setdefault(run["method"], {})[run["seed"]] = _history(held["columns"], run)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{str(path)!r} is no result of a study: {error}") from None
        return cls(
            held["study"], held["scale"], held["conditions"], held["methods"],
            runs,
        )  # fmt: skip


def _must_have(held: Any, kinds: Mapping[str, type]) -> None:
    """Refuse what has not every one of these names, with a value of its kind."""
    for name, kind in kinds.items():
        if not isinstance(held, dict) or name not in held:
            raise ValueError(f"{name!r} is missing")
        if type(held[name]) is not kind:
            raise ValueError(f"{name!r} is {repr(held[name])[:40]}, expected {kind.__name__}")


def _small(history: History) -> dict[str, Any]:
    rows = [[_rounded(record[name]) for name in COLUMNS] for record in history]
    last = history.last
    at_end = {name: _rounded(last[name]) for name in AT_END if name in last}
    return {
        "ended": history.ended, "rose": last["rose"], "looking": _rounded(last["looking"]),
        "at_end": at_end, "records": rows,
    }  # fmt: skip


def _rounded(value: Any) -> Any:
    """Return a number with four digits; what is whole stays whole."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _history(columns: Sequence[str], run: Mapping[str, Any]) -> History:
    records = [_record(columns, row) for row in run["records"]]
    if not records:
        raise ValueError(f"its run of {run['method']!r} has no records")
    if run["at_end"] and set(run["at_end"]) != set(AT_END):
        raise ValueError(f"'at_end' has {', '.join(run['at_end'])}; expected {', '.join(AT_END)}")
    _must_be_numbers(run["at_end"])
    records[-1] |= {name: run[name] for name in ("rose", "ended", "looking")} | run["at_end"]
    return History(records, ended=run["ended"])


def _record(columns: Sequence[str], row: Any) -> dict[str, Any]:
    if not isinstance(row, list) or tuple(columns) != COLUMNS or len(row) != len(COLUMNS):
        raise ValueError(f"expected records of {', '.join(COLUMNS)}, found {repr(row)[:40]}")
    record = dict(zip(COLUMNS, row, strict=True))
    _must_be_numbers(record)
    return record


def _must_be_numbers(record: Mapping[str, Any]) -> None:
    for name, value in record.items():
        if not fits(name, value):
            raise ValueError(f"{name!r} of a record is {repr(value)[:40]}, expected a number")
