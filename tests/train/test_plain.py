"""Values taken apart and put together again: the same, to the last bit and the very type."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

import minihf as hf
from minihf.train.plain import Assembly, Dismantled, types_in

PARAMS = hf.Params.from_dict({"w": np.arange(3.0)})


@dataclass(frozen=True)
class Inner:
    lam: float
    moves: tuple


@dataclass(frozen=True)
class Outer:
    inner: Inner
    memory: object = None


def again(value, template=None):
    """Return what comes out of the text and the arrays."""
    taken = Dismantled(value)
    text = json.loads(json.dumps(taken.tree))
    return Assembly(taken.arrays, types_in(template), PARAMS).of(text)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 2**127 + 1, -0.0, 0.1, math.inf, "λ", (), [], {}, (1, [2.5, None]),
        {"a": {"b": (True, "")}}, np.float32(0.1), np.float64(0.1), np.int64(3), np.bool_(True),
        np.random.default_rng(0).bit_generator.state,
    ],
    ids=str,
)  # fmt: skip
def test_numbers_and_words_come_back_as_they_were(value):
    found = again(value)
    assert repr(found) == repr(value)
    assert type(found) is type(value)


def test_what_is_not_a_number_comes_back_so():
    assert math.isnan(again({"rho": math.nan})["rho"])


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_arrays_come_back_where_the_backend_makes_them(dtype):
    array = hf.asarray(np.arange(6).reshape(2, 3).astype(dtype))
    found = again({"A": {"encoder.0": array}})["A"]["encoder.0"]
    assert type(found) is type(array)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(hf.to_host(found), hf.to_host(array))


def test_the_order_of_an_array_in_memory_stays():
    """Sums over it are made in that order."""
    found = again(np.asfortranarray(np.ones((3, 4))))
    assert found.flags.f_contiguous
    assert not found.flags.c_contiguous


def test_parameters_and_dataclasses_come_back_by_the_template():
    value = Outer(Inner(0.5, (np.ones(2), 1)), {"P": PARAMS.with_vector(np.full(3, 7.0))})
    found = again(value, template=Outer(Inner(0.0, ())))
    assert type(found.inner) is Inner
    assert found.inner.moves[0].tolist() == [1, 1]
    assert found.memory["P"]["w"].tolist() == [7, 7, 7]


def test_an_array_in_two_places_is_held_once():
    array = np.ones(2)
    taken = Dismantled({"a": array, "b": [array, np.ones(2)]})
    assert sorted(taken.arrays) == ["a", "b.1"]
    found = again({"a": array, "b": array})
    assert found["a"] is found["b"]


def test_names_are_those_of_files_and_no_two_are_the_same():
    names = list(Dismantled({"a/b": np.ones(1), "a b": np.ones(1), "é": np.ones(1)}).arrays)
    assert names == ["a_b", "a_b_", "_"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"rng": object()}, "rng is object$"),
        ({"a": (1, {2})}, "a.1 is set$"),
        ({"a": {3: 1}}, "a has a key 3, expected a str$"),
        (object(), "it is object$"),
    ],
)
def test_what_no_file_can_hold_is_refused_by_its_place(value, message):
    with pytest.raises(TypeError, match=message):
        Dismantled(value)


@dataclass(frozen=True)
class Newer:
    lam: float


@pytest.mark.parametrize(
    ("types", "message"),
    [({}, "it holds a Inner; known: $"), ({"Inner": Newer}, "its Inner is of another version: ")],
)
def test_a_dataclass_that_is_not_in_the_template_is_refused(types, message):
    tree = Dismantled(Inner(0.5, ())).tree
    with pytest.raises(ValueError, match=message):
        Assembly({}, types, PARAMS).of(tree)


def test_a_missing_array_is_named():
    with pytest.raises(ValueError, match="an array 'w' is missing"):
        Assembly({}, {}, PARAMS).of({"array": "w"})
