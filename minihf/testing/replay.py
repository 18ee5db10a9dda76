"""One line that runs a failed check again: written by a failure, read by `replay`.

The line is a call in Python, with nothing in it but names of this library, things out of the user's
own files by ``load('file.py:Name')``, and literals:

    check_layer(load('my_layer.py:MyLayer')(3, 2), 'N 3', sizes=dict(N=1), seed=0)

so that it can be read, changed, and pasted into a program. `replay` does not run it as a program:
it reads the expression and makes only such calls as stand in it.

Called by the checks (to write) and by users (to run).
"""

from __future__ import annotations

import ast
import importlib.util
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import minihf
from minihf import testing
from minihf.op import Op
from minihf.testing.cases import Case

__all__ = ["load", "read", "replay", "reproducer", "written"]


def replay(line: str) -> Any:
    """Run a check again, from the line that its failure printed.

    Parameters
    ----------
    line : str
        A call of a check: ``"check_op(DenseOp(), 'N D', 'D M', 'M', sizes=dict(N=2), seed=3)"``.

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
    >>> line = "check_op(DenseOp(), 'N D', 'D M', 'M', sizes=dict(N=2, D=1, M=1), seed=3)"
    >>> replay(line).cases
    1
    """
    __tracebackhide__ = True
    node = _parsed(line)
    if not isinstance(node, ast.Call):
        raise ValueError(f"replay: {line!r} is no call of a check")
    return _value(node, line)


def read(text: str) -> Any:
    """Make what `written` wrote down."""
    return _value(_parsed(text), text)


def _parsed(line: str) -> ast.expr:
    try:
        return ast.parse(line.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"replay: cannot read {line!r}: {error.msg}") from None


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
    if case.sizes:
        options["sizes"] = case.sizes
    pairs = [(None, argument) for argument in arguments]
    return _call(check.__name__, [*pairs, *options.items(), ("seed", case.seed)]) or ""


def written(thing: Any) -> str | None:
    """Write a thing so that `replay` makes it again; None if that cannot be done."""
    if thing is None or isinstance(thing, str | int | float):
        return repr(thing)
    if isinstance(thing, (type, FunctionType)):
        return _home(thing)
    for name in minihf.ops.__all__:
        if getattr(minihf.ops, name) is thing:
            return f"ops.{name}"
    if isinstance(thing, list):
        words = [written(entry) for entry in thing]
        return None if None in words else f"[{', '.join(map(str, words))}]"
    if isinstance(thing, tuple):
        return _call("", [(None, entry) for entry in thing], comma=True)
    if isinstance(thing, Mapping):
        return _call("dict", thing.items()) if all(map(str.isidentifier, thing)) else None
    home = _home(type(thing))
    if home is None:
        return None
    if isinstance(thing, minihf.Sequential):
        layers = thing.layers.items()
        return _call(home, [(None if name.isdecimal() else name, layer) for name, layer in layers])
    if isinstance(thing, minihf.Residual):
        shortcut = [] if thing.shortcut is None else [(None, thing.shortcut)]
        return _call(home, [(None, thing.body), *shortcut])
    if is_dataclass(thing):
        return _call(home, _given(thing))
    said, name = repr(thing), type(thing).__name__
    text = home + said.removeprefix(name)
    return text if said.startswith(f"{name}(") and _can_be_read(text) else None


def _given(thing: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield the arguments that a dataclass was made with: the needed ones, and what is special."""
    for place in fields(thing):
        default = place.default if place.default_factory is MISSING else place.default_factory()
        value = getattr(thing, place.name)
        if place.init and (default is MISSING or repr(value) != repr(default)):
            yield None if default is MISSING and not place.kw_only else place.name, value


def _can_be_read(text: str) -> bool:
    if "load(" in text:
        return True                                     # no file is run just to write a line
    try:
        read(text)
    except (ValueError, TypeError):
        return False
    return True


def _call(
    function: str, arguments: Iterable[tuple[str | None, Any]], comma: bool = False
) -> str | None:
    """Write ``function(argument, key=argument)``, if each argument can be written."""
    words = []
    for key, argument in arguments:
        word = written(argument)
        if word is None:
            return None
        words.append(word if key is None else f"{key}={word}")
    return f"{function}({', '.join(words)}{',' * (comma and len(words) == 1)})"


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
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{str(file)!r} does not run: {said}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module


def _names() -> dict[str, Any]:
    """Return what may be named in a line: the public library, its checks, and all ops."""
    names = {op.__name__: op for op in all_below(Op) if op.__module__.startswith("minihf.")}
    for module in (testing, minihf.optim, minihf):          # a layer before an op of its name
        names |= {name: getattr(module, name) for name in module.__all__}
    return names | {"load": load, "dict": dict, "slice": slice, "inf": math.inf, "nan": math.nan}


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
    """Return ``papers.zhang2017``, ``ops.tanh``, ``hf.Dense`` and their like."""
    owners = {"hf": minihf, "minihf": minihf, "papers": minihf.papers, "ops": minihf.ops}
    public = getattr(owners.get(owner), "__all__", ())
    if name not in public:
        raise ValueError(f"replay: {owner}.{name} is no name of this library, in {line!r}")
    return getattr(owners[owner], name)

