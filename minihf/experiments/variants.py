"""A method with settings of one's own, in a word: ``adam:lr=5e-4:batch=512``.

    name[:field=value]...

A field is one of the optimizer's; one of a part of it, by a dotted path (``solver.max_iters``);
``batch``, the cases per update; or ``averaging``, a share of the run. A value is a number,
``true``, ``false``, ``none`` or a name. For a part it is the name of another one, as `minihf.optim`
has it: ``solver=PreconditionerOnly``. No field is set twice, and a part is replaced before its own
fields are set. Called by the runner, the race and the command line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from types import FunctionType
from typing import Any

from minihf import optim
from minihf.curvature import GGN, Hessian
from minihf.experiments.methods import Method

__all__ = ["first_order", "one_of", "variant"]

WORDS = {"true": True, "false": False, "none": None}
FITTING: Mapping[type, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("a name", (str,)),
}
"""By the type of what a field holds: what may take its place."""
PARTS: Mapping[str, tuple[type, ...]] = {
    "solver": (optim.ConjugateGradients, optim.PreconditionerOnly, optim.Cholesky),
    "preconditioner": (optim.SquaredGradients, optim.Jacobi, optim.Kronecker),
    "damping": (
        optim.Constant, optim.LevenbergMarquardt, optim.ByAcceptance, optim.ConvexMix,
    ),
    "structural": (optim.StructuralDamping,),
    "step_rule": (optim.FixedStep, optim.BacktrackingArmijo, optim.Subspace, optim.SumThenMean),
    "sampling": (optim.Prefix, optim.CycledChunks, optim.Independent),
    "projection": (optim.MaxNorm,),
    "curvature": (optim.PositiveCurvature,),
}
"""By field, the parts that can be named: they need no settings."""
TYPES: Mapping[str, tuple[type, ...]] = {"curvature": (GGN, Hessian)}
"""By field, the types that stand there themselves."""
BLOCKS = ("network", "layer", "param")
"""The partitions that have a name."""


def variant(methods: Mapping[str, Method], word: str) -> Method:
    """Return the method that the word names, with its settings.

    Raises
    ------
    ValueError
        If there is no such method or field, with those that there are, or the value does not fit.

    Examples
    --------
    >>> from minihf.experiments.methods import METHODS
    >>> method = variant(METHODS, "adam:lr=5e-4:batch=512")
    >>> method.label, method.opt.lr, method.batch_size
    ('Adam, lr=5e-4, batch=512', 0.0005, 512)
    >>> variant(METHODS, "zhang2017:solver.max_iters=3").opt.solver.max_iters
    3
    >>> variant(METHODS, "zhang2017:preconditioner=Kronecker:blocks=network").opt.preconditioner
    Kronecker(decay=0.9, refresh=3, calibrate=None)
    """
    name, *settings = word.split(":")
    method = methods[one_of(methods, "method", name)]
    before: list[str] = []
    for setting in settings:
        field, _, text = setting.partition("=")
        if not field or not text:
            raise ValueError(f"expected NAME:FIELD=VALUE such as 'adam:lr=5e-4', got {word!r}")
        try:
            _must_be_new(field, before)
            method = _with_setting(method, field, _value(text))
            before.append(field)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{word!r}: {error}") from None
    return replace(method, label=", ".join([method.label, *settings]))


def first_order(methods: Mapping[str, Method], words: Iterable[str]) -> list[str]:
    """Return the words that name methods which go by gradients alone.

    Examples
    --------
    >>> from minihf.experiments.methods import METHODS
    >>> first_order(METHODS, ["minihf", "adam", "sgd:lr=0.1"])
    ['adam', 'sgd:lr=0.1']
    """
    return [word for word in words if variant(methods, word).first_order]


def _must_be_new(field: str, before: Iterable[str]) -> None:
    for other in before:
        if other == field:
            raise ValueError(f"{field!r} is set twice")
        if other.startswith(f"{field}."):
            raise ValueError(f"{field!r} would undo {other!r}; set it first")


def one_of(known: Iterable[str], what: str, name: str) -> str:
    """Return the name if it is known; else say which are."""
    known = list(known)
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown {what} {name!r}; known: {', '.join(known)}{hint}")
    return name


def _value(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    name = text.strip("'\"").removeprefix("hf.").removesuffix("()")     # as in Python
    if not name.isidentifier():
        raise ValueError(f"{text!r} is neither a number nor true, false, none or a name")
    return name


def _with_setting(method: Method, field: str, value: Any) -> Method:
    if field == "batch":
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"batch must be a whole number, or none for all cases; got {value!r}")
        return replace(method, batch_size=value)
    if field == "averaging":
        if value is not None and not (type(value) in (int, float) and 0 < value <= 1):
            raise ValueError(f"averaging must be a number in (0, 1], or none; got {value!r}")
        return replace(method, averaging=value)
    kind = type(method.opt).__name__
    one_of([*_names(method.opt), "batch", "averaging"], f"field of {kind}", field.partition(".")[0])
    return replace(method, opt=_with_field(method.opt, field, value))


def _with_field(config: Any, path: str, value: Any) -> Any:
    """Return a frozen configuration with a field, or a field of a part, replaced."""
    kind = type(config).__name__
    name, dot, rest = path.partition(".")
    old = getattr(config, one_of(_names(config), f"field of {kind}", name))
    if dot:
        _must_have_field(old, name, rest.partition(".")[0], kind)
        return replace(config, **{name: _with_field(old, rest, value)})
    parts = _parts(name)
    if value in parts:
        return replace(config, **{name: parts[value]})
    if (_is_part(old) or parts) and value is not None:
        own = ", ".join(f"{name}.{field}" for field in _names(old)) if _is_part(old) else ""
        raise ValueError(
            f"{name!r} of {kind} is {_a(old)}; its own fields: {own or 'none'}; in its place: "
            f"{', '.join(parts) or 'none'}"
        )
    if name == "blocks":
        if value not in BLOCKS:
            raise ValueError(f"{name!r} of {kind} must be {' or '.join(BLOCKS)}, got {value!r}")
        return replace(config, **{name: value})
    if isinstance(old, FunctionType):
        raise ValueError(f"{name!r} of {kind} is a function, and no word stands for another one")
    what, kinds = FITTING.get(type(old), ("", (type(value),)))
    if type(value) not in kinds:
        raise ValueError(f"{name!r} of {kind} must be {what}, got {value!r}")
    return replace(config, **{name: value})


def _must_have_field(old: Any, name: str, field: str, kind: str) -> None:
    """Refuse a field that a part does not have, and name the parts that do."""
    own = _names(old) if _is_part(old) else []
    having = [other for other, part in _parts(name).items() if field in _names(part)]
    if having and field not in own:
        raise ValueError(
            f"{name!r} of {kind} is {_a(old)}, which has no {field!r}; with it: "
            f"{' or '.join(f'{name}={other}:{name}.{field}=...' for other in having)}"
        )
    if not own:
        raise ValueError(f"{name!r} of {kind} is {_a(old)}, which has no fields")
    one_of(own, f"field of {type(old).__name__}", field)


def _parts(name: str) -> dict[str, Any]:
    """Return what may stand in a field, by the names that words know."""
    made = {part.__name__: part() for part in PARTS.get(name, ())}
    return made | {it.__name__: it for it in TYPES.get(name, ())}


def _a(value: Any) -> str:
    """Return a part by the name of its type, and another value as it is."""
    if isinstance(value, type):
        return value.__name__
    return f"a {type(value).__name__}" if _is_part(value) else repr(value)


def _names(config: Any) -> list[str]:
    return [field.name for field in fields(config)] if is_dataclass(config) else []


def _is_part(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)
