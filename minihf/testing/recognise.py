"""What is it, and how is it checked? For ``minihf check my_layer.py:MyLayer``.

A thing out of a user's file is recognised by what it can do: an op has four rules, a layer has
`init` and can be called, a loss has `value` and `grad`, an optimizer `init` and `step`; a function
of (params, x) is a network, one of (A, b) a solver. A class, or a function that wants other things,
is given whole numbers: sizes, named as its parameters are.

Called by the command line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minihf import testing
from minihf.losses import SquaredError
from minihf.op import Op
from minihf.testing.cases import plan
from minihf.testing.checks.network_case import NetworkCase, is_layer
from minihf.testing.checks.op_case import OpCase
from minihf.testing.failure import Verdict
from minihf.testing.ladder import Raised
from minihf.testing.makers import sizes_wanted
from minihf.testing.problem import input_of
from minihf.testing.shapes import names_of, shape

__all__ = ["Recognised", "recognise"]

EXPECTED = (
    "an op, a layer, a loss, an optimizer, a solver (of A, b), a network (a function of params, x),"
    " or a class or function that makes one of them from sizes"
)


@dataclass(frozen=True)
class Recognised:
    """What a thing is, how its check is called, and what had to be guessed for that.

    Attributes
    ----------
    kind : str
        ``"op"``, ``"layer"``, ``"network"``, ``"loss"``, ``"optimizer"`` or ``"solver"``.
    arguments : tuple
        Of the check, after the thing itself.
    options : mapping
        Its keyword arguments.
    note : str
        A line for the user: which shape was taken, and why.
    """

    kind: str
    thing: Any
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] | None = None
    note: str = ""

    @property
    def a_kind(self) -> str:
        """The kind with its article."""
        return _a(self.kind)

    def check(self, seed: int = 0, cases: int | None = None) -> Verdict:
        """Climb the ladder of its kind."""
        climb = getattr(testing, f"check_{self.kind}")
        options = self.options or {}
        verdict: Verdict = climb(self.thing, *self.arguments, **options, seed=seed, cases=cases)
        return verdict


def recognise(
    thing: Any,
    x: str | None = None,
    inputs: Sequence[str] = (),
    params: Mapping[str, str] | None = None,
) -> Recognised:
    """Find out what a thing is, and the shapes that it takes.

    Parameters
    ----------
    thing : object
    x : str, optional
        Shape of the input: of a layer or network, of an op's first input, of a loss's z. Without
        it, the thing's attribute `example`, else some usual ones are tried.
    inputs : sequence of str
        Shapes of an op's (further) inputs.
    params : mapping of str to str, optional
        Shapes of the parameters of a network that is a function of (params, x). Without it, its
        attribute `params`.

    Raises
    ------
    ValueError
        If it is nothing that can be checked, or runs on none of the shapes that were tried.

    Examples
    --------
    >>> import minihf as hf
    >>> found = recognise(hf.LSTM)
    >>> found.kind, found.arguments, found.note
    ('layer', ('N T input_size',), "x = 'N T input_size': tried, and it runs")
    """
    for text in (*([] if x is None else [x]), *inputs, *(params or {}).values()):
        shape(text)
    made, kind = _an_example(thing)
    for given, name, kinds in ((inputs, "--input", ("op",)), (params, "--param", ("network",))):
        if given and kind not in kinds:
            raise ValueError(f"{name} is for {' and '.join(kinds)}s; {_name(thing)} is {_a(kind)}")
    if kind == "op":
        return _op(thing, made, [x, *inputs] if x is not None else list(inputs))
    if kind == "loss":
        z = "N M" if x is None else x
        note = "z = 'N M'" if x is None else ""
        return Recognised(kind, thing if isinstance(thing, type) else made, (z,), None, note)
    if kind == "network":
        return _network(thing, x, params)
    if kind == "layer":
        if made is thing:
            usual = dict.fromkeys((input_of(thing), *_usual(_first_size(thing))))
        else:
            usual = dict.fromkeys(_usual(_first_size(thing)))
        text, note = _shape(thing, x, [(text, _runs(thing, text)) for text in usual])
        return Recognised(kind, thing, (text,), None, note)
    if x is not None:
        raise ValueError(f"--x is for what has an input; {_name(thing)} is {_a(kind)}")
    return Recognised(kind, made)


def _an_example(thing: Any) -> tuple[Any, str]:
    """Return the thing, or what it makes of small sizes, and its kind."""
    kind = _kind_of(thing)
    if kind:
        return thing, kind
    if not callable(thing):
        raise ValueError(f"{_name(thing)} is {type(thing).__name__}, expected {EXPECTED}")
    wanted = sizes_wanted(thing, lambda _: False)
    try:
        made = thing(**{name: 2 + i for i, name in enumerate(wanted)})
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"{_name(thing)}({', '.join(wanted)}) cannot be made from whole numbers ({said}); "
            "check an object, or a function of sizes that makes one"
        ) from error
    kind = _kind_of(made)
    if not kind:
        made_what = "" if isinstance(thing, type) else f"makes {_name(made)}, which "
        raise ValueError(f"{_name(thing)} {made_what}is none of: {EXPECTED}")
    return made, kind


def _kind_of(thing: Any) -> str:
    """Return the kind of an object, empty for classes and for what is none."""
    if isinstance(thing, type):
        return ""
    if isinstance(thing, Op):
        return "op"
    has = {name for name in ("init", "step", "value", "grad") if hasattr(thing, name)}
    if has >= {"value", "grad"}:
        return "loss"
    if has >= {"init", "step"}:
        return "optimizer"
    if callable(thing) and "init" in has:
        return "layer"
    match list(_parameters(thing))[:2]:
        case ["params", "x"]:
            return "network"
        case ["A", "b"]:
            return "solver"
    return ""


def _op(thing: Any, made: Op, given: list[str]) -> Recognised:
    if given:
        return Recognised("op", thing, tuple(given))
    example = getattr(thing, "example", None)
    if example is not None:
        shapes = (example,) if isinstance(example, str) else tuple(example)
        return Recognised("op", thing, shapes, None, f"inputs {_listed(shapes)}: its example")
    places = list(inspect.signature(made.forward).parameters.values())
    if any(place.kind is place.VAR_POSITIONAL for place in places):
        places = places[:1] * 2
    said = []
    for text in _usual("D") if len(places) == 1 else ["N D"]:
        shapes = (text,) * len(places)
        try:
            sizes = dict(zip(names_of([shape(text)]), (2, 3, 4), strict=False))
            OpCase(made, list(map(shape, shapes)), testing.cases.Case(sizes, 0))
        except Exception as error:
            if not _leaves(error):
                said.append(f"{text!r}: {_said(error)}")
                continue
        return Recognised("op", thing, shapes, None, f"inputs {_listed(shapes)}: tried, it runs")
    raise ValueError(
        f"{_name(thing)} is an op of {', '.join(place.name for place in places)}, and runs on none "
        f"of the shapes tried ({'; '.join(said)}); say its inputs' shapes: --x 'N D' "
        "--input 'D M', or an attribute example = ('N D', 'D M')"
    )


def _network(thing: Any, x: str | None, params: Mapping[str, str] | None) -> Recognised:
    shapes = params or getattr(thing, "params", None)
    if not shapes:
        raise ValueError(
            f"{_name(thing)} is a network: say the shapes of its parameters, "
            "--param 'W=D M' --param 'b=M', or an attribute params = {'W': 'D M', 'b': 'M'}"
        )
    first = next(iter(names_of(map(shape, shapes.values()))), "D")
    tries = [(text, _runs(thing, text, shapes)) for text in _usual(first)]
    text, note = _shape(thing, x, tries)
    return Recognised("network", thing, (text,), {"params": dict(shapes)}, note)


def _usual(size: str) -> tuple[str, str, str]:
    """Return shapes of a batch of vectors, of sequences and of images."""
    return f"N {size}", f"N T {size}", f"N {size} 6 6"


def _shape(
    thing: Any, x: str | None, tries: Iterable[tuple[str, Callable[[], None]]]
) -> tuple[str, str]:
    """Return the shape of x, and how it came."""
    if x is not None:
        return x, ""
    example = getattr(thing, "example", None)
    if example is not None:
        if not isinstance(example, str):
            raise ValueError(f"{_name(thing)}.example is {example!r}, expected such as 'N D'")
        text = example if isinstance(thing, type) or not _kind_of(thing) else input_of(thing)
        return text, f"x = {text!r}: its example"
    said = []
    for text, run in tries:
        try:
            run()
        except Exception as error:
            if not _leaves(error):
                said.append(f"{text!r}: {_said(error)}")
                continue
        return text, f"x = {text!r}: tried, and it runs"
    raise ValueError(
        f"{_name(thing)} runs on none of the shapes tried ({'; '.join(said)}); say the shape of "
        "its input: --x 'N D', or an attribute example = 'N D'"
    )


def _runs(
    thing: Any, text: str, params: Mapping[str, str] | None = None
) -> Callable[[], None]:
    """Return a function that runs a network once, on sizes that all differ."""

    def run() -> None:
        shapes = {name: shape(written) for name, written in (params or {}).items()}
        wanted = () if params else sizes_wanted(thing, is_layer)
        names = dict.fromkeys((*names_of([shape(text), *shapes.values()]), *wanted))
        case = plan(list(names))[0]
        made = thing if params else testing.makers.made(thing, case.sizes, is_layer, "check")
        NetworkCase(made, shape(text), SquaredError(), "layer", None, shapes, case)

    return run


def _first_size(thing: Any) -> str:
    """Return the first size that a maker wants, or the number that an object was made with."""
    maker = type(thing) if _kind_of(thing) else thing
    for name, place in _parameters(maker).items():
        if maker is thing and (place.default is place.empty or type(place.default) is int):
            return name
        if maker is not thing and type(getattr(thing, name, None)) is int:
            return str(getattr(thing, name))
    return "D"


def _parameters(thing: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return {}


def _said(error: Exception) -> str:
    inner = error.error if isinstance(error, Raised) else error
    return f"{inner or type(inner).__name__}".splitlines()[0]


def _leaves(error: Exception) -> bool:
    """Tell whether a rule wanted to end the program: the check tells, whatever the shapes."""
    return isinstance(error, Raised) and isinstance(error.error, SystemExit)


def _name(thing: Any) -> str:
    return getattr(thing, "__name__", None) or repr(thing)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _listed(shapes: Iterable[str]) -> str:
    return ", ".join(map(repr, shapes))
