"""A run taken apart into what a file can hold, text and arrays, and put together again.

    None, bool, int, float, str     themselves; integers of any size, floats to the last bit
    list, tuple, mapping            {"list": [...]}, {"tuple": [...]}, {"mapping": {...}}
    an array, a number of NumPy's   {"array": its name}, {"number": its name}
    `Params`                        {"params": name of the vector}
    a dataclass                     {"NAME": {field: ...}}

Nothing is ever run to put it together: dataclasses are made of the types of a template, and nothing
else can come out. An array that stands in several places is held once.

Called by `minihf.train.checkpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from minihf.backend import asarray, to_host
from minihf.params import Params

__all__ = ["Assembly", "Dismantled", "types_in"]

LEAVES = (type(None), bool, int, float, str)


class Dismantled:
    """A value taken apart: `tree`, for JSON, and `arrays` by the names it uses, on the host.

    Raises
    ------
    TypeError
        If the value holds anything else than the above.

    Examples
    --------
    >>> import numpy as np
    >>> taken = Dismantled({"lam": 0.5, "mean": np.zeros(2)})
    >>> taken.tree, list(taken.arrays)
    ({'mapping': {'lam': 0.5, 'mean': {'array': 'mean'}}}, ['mean'])
    """

    def __init__(self, value: Any) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[int, str] = {}
        self.tree = self._of(value, "")

    def _of(self, value: Any, path: str) -> Any:
        if type(value) in LEAVES:
            return value
        if isinstance(value, np.generic):
            return {"number": self._held(value, path)}
        if isinstance(value, Params):
            return {"params": self._held(value.vector, path)}
        if is_dataclass(value) and not isinstance(value, type):
            parts = {f.name: getattr(value, f.name) for f in fields(value)}
            return {type(value).__name__: self._each(parts, path)}
        if isinstance(value, Mapping):
            strange = next((key for key in value if type(key) is not str), None)
            if strange is not None:
                raise TypeError(f"{path or 'a checkpoint'} has a key {strange!r}, expected a str")
            return {"mapping": self._each(value, path)}
        if type(value) in (list, tuple):
            parts = {str(i): part for i, part in enumerate(value)}
            return {type(value).__name__: list(self._each(parts, path).values())}
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            return {"array": self._held(value, path)}
        raise TypeError(
            f"a checkpoint holds arrays, numbers, words, and tuples, mappings and dataclasses of "
            f"them; {path or 'it'} is {type(value).__name__}"
        )

    def _each(self, parts: Mapping[str, Any], path: str) -> dict[str, Any]:
        start = f"{path}." if path else ""
        return {key: self._of(part, start + key) for key, part in parts.items()}

    def _held(self, array: Any, path: str) -> str:
        """Return the name under which an array is held, the same for the same array."""
        if id(array) not in self._names:
            name = re.sub(r"[^\w.-]", "_", path, flags=re.ASCII) or "value"
            while name in self.arrays:
                name += "_"
            self._names[id(array)] = name
            self.arrays[name] = np.asarray(to_host(array))
        return self._names[id(array)]


class Assembly:
    """Puts values together, from arrays on the host.

    Arrays come to the backend in use; `types` are the dataclasses that may occur, by name, and
    `params` gives the layout of parameters.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], types: Mapping[str, type], params: Params
    ) -> None:
        self._host = arrays
        self._types = types
        self._params = params
        self._there: dict[str, Any] = {}

    def of(self, tree: Any) -> Any:
        """Return the value of which `Dismantled` made the tree.

        Raises
        ------
        ValueError
            If it holds a dataclass that is none of the types, or has other fields; or if an array
            is missing, or parameters do not fit the layout.
        """
        if type(tree) in LEAVES:
            return tree
        ((kind, part),) = tree.items()
        if kind == "list":
            return [self.of(entry) for entry in part]
        if kind == "tuple":
            return tuple(self.of(entry) for entry in part)
        if kind == "mapping":
            return {key: self.of(entry) for key, entry in part.items()}
        if kind == "number":
            return self._held(part)[()]
        if kind == "array":
            return self._brought(part)
        if kind == "params":
            return self._params.with_vector(self._brought(part))
        return self._made(kind, {name: self.of(entry) for name, entry in part.items()})

    def _made(self, kind: str, parts: Mapping[str, Any]) -> Any:
        if kind not in self._types:
            raise ValueError(f"it holds a {kind}; known: {', '.join(self._types)}")
        try:
            return self._types[kind](**parts)
        except TypeError as error:
            raise ValueError(f"its {kind} is of another version: {error}") from None

    def _brought(self, name: str) -> Any:
        if name not in self._there:
            self._there[name] = asarray(self._held(name))
        return self._there[name]

    def _held(self, name: str) -> np.ndarray:
        if name not in self._host:
            raise ValueError(f"an array {name!r} is missing")
        return self._host[name]


def types_in(value: Any) -> dict[str, type]:
    """Return the dataclasses that a value is made of, by name."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {type(value).__name__: type(value)}
        parts = [getattr(value, f.name) for f in fields(value)]
    elif isinstance(value, Mapping):
        found, parts = {}, list(value.values())
    elif isinstance(value, list | tuple):
        found, parts = {}, list(value)
    else:
        return {}
    for part in parts:
        found |= types_in(part)
    return found
