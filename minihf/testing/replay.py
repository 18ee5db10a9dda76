"""One line that runs a failed check again: written by a failure, read by `replay`.

The line is a call in Python, with nothing in it but names of this library, things out of the user's
own files by ``load('file.py:Name')``, and literals:

    check_layer(load('my_layer.py:MyLayer')(3, 2), 'N 3', sizes={'N': 1}, seed=0)

so that it can be read, changed, and pasted into a program. `replay` does not run it as a program:
it reads the expression and makes only such calls as stand in it.

Called by the checks (to write) and by users (to run).
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from minihf.testing.cases import Case

__all__ = ["load", "replay", "reproducer", "written"]


def replay(line: str) -> Any:
    """Run a check again, from the line that its failure printed.

    Parameters
    ----------
    line : str
        A call of a check: ``"check_op(DenseOp(), 'N D', 'D M', 'M', sizes={...}, seed=3)"``.

    Returns
    -------
    Verdict
        If the check passes now.

    Raises
    ------
    CheckFailure
        If it fails as it did.
    ValueError
        If the line is no such call.

    Examples
    --------
    >>> from minihf.testing import replay
    >>> line = "check_op(DenseOp(), 'N D', 'D M', 'M', sizes={'N': 2, 'D': 1, 'M': 1}, seed=3)"
    >>> replay(line).cases
    1
    """
    __tracebackhide__ = True
    try:
        tree = ast.parse(line.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"replay: cannot read {line!r}: {error.msg}") from None
    if not isinstance(tree.body, ast.Call):
        raise ValueError(f"replay: {line!r} is no call of a check")
    return _value(tree.body, line)


def load(target: str) -> Any:
    """Load something out of a Python file: ``load('path/to/file.py:Name')``.

    The file's folder can be imported from while the file runs. A file that was loaded before is not
    run again unless it has changed.

    Raises
    ------
    ValueError
        If there is no such file, it does not run, or has no such name.
    """
    path, _, name = target.rpartition(":")
    file = Path(path)
    if not path or not name.isidentifier() or file.suffix != ".py":
        raise ValueError(f"{target!r} must read FILE.py:NAME, such as my_layer.py:MyLayer")
    if not file.is_file():
        raise ValueError(f"there is no file {path!r}")
    module = _module(file)
    if not hasattr(module, name):
        its_own = [
            other for other, thing in vars(module).items()
            if getattr(thing, "__module__", "") == module.__name__
        ]  # fmt: skip
        raise ValueError(f"{path!r} has no {name!r}; it has: {', '.join(its_own) or 'nothing'}")
    return getattr(module, name)


def reproducer(check: Any, arguments: Sequence[Any], case: Case, **options: Any) -> str:
    """Write the call that runs `check` in one case; nothing if an argument cannot be written."""
    words = [written(argument) for argument in arguments]
    words += [f"{key}={written(value)}" for key, value in options.items()]
    if any(word is None or word.endswith("=None") for word in words):
        return ""
    if case.sizes:
        words.append(f"sizes={dict(case.sizes)!r}")
    words.append(f"seed={case.seed}")
    return f"{check.__name__}({', '.join(map(str, words))})"


def written(thing: Any) -> str | None:
    """Write a thing so that `replay` makes it again; None if that cannot be done."""
    if thing is None or isinstance(thing, str | int | float):
        return repr(thing)
    if isinstance(thing, tuple | list):
        words = [written(entry) for entry in thing]
        inside = None if None in words else ", ".join(map(str, words))
        comma = "," if isinstance(thing, tuple) and len(thing) == 1 else ""
        return None if inside is None else f"({inside}{comma})"
    if isinstance(thing, Mapping):
        pairs = [(key, written(value)) for key, value in thing.items()]
        if any(word is None for _, word in pairs):
            return None
        return "{" + ", ".join(f"{key!r}: {word}" for key, word in pairs) + "}"
    if isinstance(thing, (type, FunctionType)):
        return _home(thing)
    home, said = _home(type(thing)), repr(thing)
    if home is None or not said.startswith(f"{type(thing).__name__}("):
        return None
    text = home + said.removeprefix(type(thing).__name__)
    if "load(" in text:
        return text                                     # not to be run just to be written down
    try:
        again = _value(ast.parse(text, mode="eval").body, text)
    except (ValueError, SyntaxError, TypeError):
        return None
    return text if repr(again) == said else None


def _home(thing: type[Any] | FunctionType) -> str | None:
    """Return a name that `replay` knows, or ``load('file.py:Name')`` for the user's own."""
    if _names().get(thing.__name__) is thing:
        return thing.__name__
    module = sys.modules.get(thing.__module__)
    if thing.__qualname__ != thing.__name__ or getattr(module, thing.__name__, None) is not thing:
        return None                                     # made inside a function: not to be found
    file = getattr(module, "__file__", None)
    if file is None or thing.__name__ == "<lambda>":
        return None
    path = Path(file)
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"load({near.as_posix() + ':' + thing.__name__!r})"


def _module(file: Path) -> ModuleType:
    name = f"minihf_loaded_{file.stem}_{abs(hash((str(file.resolve()), file.stat().st_mtime_ns)))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{str(file)!r} cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(file)!r} does not run: {said}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module


def _names() -> dict[str, Any]:
    """Return what may be named in a line: the public library, its checks, and all ops."""
    import minihf
    from minihf import testing
    from minihf.op import Op

    names = {name: getattr(testing, name) for name in testing.__all__}
    names |= {name: getattr(minihf, name) for name in minihf.__all__}
    names |= {name: getattr(minihf.optim, name) for name in minihf.optim.__all__}
    names |= {op.__name__: op for op in all_below(Op) if op.__module__.startswith("minihf.")}
    return names | {"load": load, "slice": slice, "float32": np.float32, "float64": np.float64}


def all_below(parent: type[Any]) -> list[type[Any]]:
    """Return all subclasses of a class, and theirs."""
    children: list[type[Any]] = parent.__subclasses__()
    return [cls for child in children for cls in (child, *all_below(child))]


def _value(node: ast.AST, line: str) -> Any:
    """Make what an expression stands for, if it is made of names, literals and calls alone."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        entries = [_value(entry, line) for entry in node.elts]
        return tuple(entries) if isinstance(node, ast.Tuple) else entries
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_value(key, line) for key in node.keys if key is not None]
        return dict(zip(keys, (_value(value, line) for value in node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, line)
    if isinstance(node, ast.Name):
        known = _names()
        if node.id not in known:
            raise ValueError(f"replay: {node.id!r} is no name of this library, in {line!r}")
        return known[node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return _attribute(node.value.id, node.attr, line)
    if isinstance(node, ast.Call):
        function = _value(node.func, line)
        if not callable(function):
            raise ValueError(f"replay: {ast.unparse(node.func)} cannot be called, in {line!r}")
        return function(
            *(_value(argument, line) for argument in node.args),
            **{str(word.arg): _value(word.value, line) for word in node.keywords},
        )
    raise ValueError(
        f"replay: {ast.unparse(node)!r} is neither a name, nor a literal, nor a call, in {line!r}"
    )


def _attribute(owner: str, name: str, line: str) -> Any:
    """Return ``papers.zhang2017``, ``hf.Dense`` and their like."""
    import minihf

    owners: dict[str, Any] = {"hf": minihf, "minihf": minihf, "papers": minihf.papers}
    public = getattr(owners.get(owner), "__all__", ())
    if name not in public:
        raise ValueError(f"replay: {owner}.{name} is no name of this library, in {line!r}")
    return getattr(owners[owner], name)

