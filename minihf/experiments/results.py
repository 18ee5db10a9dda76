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

from minihf.experiments.files import write_text
from minihf.experiments.logs import AXES, ERRORS
from minihf.experiments.summary import Runs
from minihf.train import History

__all__ = ["Result"]

FORMAT = 1
COLUMNS = (*AXES, *ERRORS)


@dataclass(frozen=True)
class Result:
    """A study's runs, and the conditions that they were made under.

    Attributes
    ----------
    study, scale : str
    conditions : mapping of str to str
        As `minihf.experiments.conditions.conditions_of` has them.
    processor : str
    methods : mapping of str to str
        Each method's settings.
    runs : Runs
        With records of `COLUMNS`, and of the last one what it ended by and how many updates rose.
    """

    study: str
    scale: str
    conditions: Mapping[str, str]
    processor: str
    methods: Mapping[str, str]
    runs: Runs

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all, a line for each run."""
        head = {
            "format": FORMAT, "study": self.study, "scale": self.scale,
            "conditions": dict(self.conditions), "processor": self.processor,
            "methods": dict(self.methods), "columns": COLUMNS,
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
            if held["format"] != FORMAT:
                raise ValueError(f"its format is {held['format']!r}, expected {FORMAT}")
            runs: dict[str, dict[int, History]] = {}
            for run in held["runs"]:
                runs.setdefault(run["method"], {})[run["seed"]] = _history(held["columns"], run)
            return cls(
                held["study"], held["scale"], held["conditions"], held["processor"],
                held["methods"], runs,
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            said = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{str(path)!r} is no result of a study: {said}") from None


def _small(history: History) -> dict[str, Any]:
    rows = [[_rounded(record[name]) for name in COLUMNS] for record in history]
    return {"ended": history.ended, "rose": history.last["rose"], "records": rows}


def _rounded(value: Any) -> Any:
    """Return a number with four digits; what is whole stays whole."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _history(columns: Sequence[str], run: Mapping[str, Any]) -> History:
    records = [dict(zip(columns, row, strict=True)) for row in run["records"]]
    records[-1] |= {"rose": run["rose"], "ended": run["ended"]}
    return History(records, ended=run["ended"])
