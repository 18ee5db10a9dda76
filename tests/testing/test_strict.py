"""The stand-in for a device refuses what CuPy refuses, and computes what NumPy computes."""

import operator

import numpy as np
import pytest

from minihf.testing import StrictArray, counted, strict

HOST = np.arange(6.0).reshape(2, 3)
KERNEL = strict.ElementwiseKernel("T x, T y", "T z", "z = x + y")


@pytest.fixture
def x():
    return strict.asarray(HOST)


REFUSED = {
    "np.asarray": lambda x: np.asarray(x),
    "a NumPy ufunc": lambda x: np.exp(x),
    "a NumPy function": lambda x: np.sum(x),
    "a list for NumPy": lambda x: np.array([x, x]),
    "x + host": lambda x: x + HOST,
    "host * x": lambda x: HOST * x,
    "host @ x": lambda x: HOST.T @ x,
    "host += x": lambda x: operator.iadd(HOST.copy(), x),
    "x += host": lambda x: operator.iadd(x, HOST),
    "x < host": lambda x: x < HOST,
    "x + list": lambda x: operator.add(x, [1.0, 2.0, 3.0]),
    "x[0] = host": lambda x: operator.setitem(x, 0, HOST[0]),
    "x[host]": lambda x: x[np.array([0])],
    "x[0, host]": lambda x: x[0, np.array([0])],
    "host[x]": lambda x: HOST[x[0]],
    "function of host": lambda x: strict.exp(HOST),
    "function of a list": lambda x: strict.sum([1, 2]),
    "a second list": lambda x: strict.vdot(x, [1.0, 2.0]),
    "join with host": lambda x: strict.concatenate([x, HOST]),
    "join with numbers": lambda x: strict.stack([x.sum(), 1.0]),
    "out=host": lambda x: strict.add(x, x, out=HOST.copy()),
    "strings": lambda x: strict.asarray(["a"]),
    "a kernel of host": lambda x: KERNEL(x, HOST),
    "a kernel of two types": lambda x: KERNEL(x, x.astype(np.float32)),
    "a kernel of integers": lambda x: KERNEL(x.astype(int), 2),
    "hash": hash,
}


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_what_cupy_refuses_is_a_type_error(act, x):
    with pytest.raises(TypeError):
        act(x)


def test_what_cupy_lacks_is_missing():
    for name in ("matvec", "errstate", "random"):
        assert not hasattr(strict, name)


def test_numbers_are_welcome_on_both_sides(x):
    for number in (2, 2.5, np.float32(2.5), np.int64(2)):
        np.testing.assert_array_equal(strict.asnumpy(number * x - number), number * HOST - number)


def test_a_full_reduction_is_an_array_without_axes(x):
    total = x.sum()
    assert isinstance(total, StrictArray)
    assert total.shape == ()
    assert (float(total), int(total), bool(total > 3)) == (15.0, 15, True)
    assert isinstance(total + total, StrictArray)
    assert isinstance(strict.vdot(x, x), StrictArray)


def test_views_share_memory_and_know_their_base(x):
    assert x.base is None
    for view in (x[0], x[1, 2], x.T, x.reshape(-1), x.swapaxes(0, 1), x[0].reshape(3, 1)):
        assert view.base is x
        view += 1
    row = x[0]
    row[0] = 100.0
    expected = HOST + 3  # the whole, three times over
    expected[0] += 2
    expected[1, 2] += 1
    expected[0, 0] = 100.0
    np.testing.assert_array_equal(strict.asnumpy(x), expected)


def test_going_up_and_coming_down_copies():
    host = HOST.copy()
    x = strict.asarray(host)
    host[:] = 0
    strict.asnumpy(x)[:] = -1
    np.testing.assert_array_equal(strict.asnumpy(x), HOST)


def test_out_and_scatter_write_in_place(x):
    out = strict.zeros((2, 2))
    assert strict.matmul(x, x.T, out=out) is out
    np.testing.assert_array_equal(strict.asnumpy(out), HOST @ HOST.T)
    strict.add.at(out, (strict.asarray([0, 0]), 1), strict.asarray([1.0, 2.0]))
    assert float(out[0, 1]) == (HOST @ HOST.T)[0, 1] + 3


# Counts


COSTS = {                          # uploads, downloads, synchronisations, launches
    "asarray": (lambda x: strict.asarray(HOST), (1, 0, 0, 0)),
    "asarray of x": (lambda x: strict.asarray(x), (0, 0, 0, 0)),
    "asarray of x, cast": (lambda x: strict.asarray(x, dtype=np.float32), (0, 0, 0, 1)),
    "asnumpy": (strict.asnumpy, (0, 1, 1, 0)),
    "asnumpy of host": (lambda x: strict.asnumpy(HOST), (0, 0, 0, 0)),
    "float": (lambda x: float(x[0, 0]), (0, 1, 1, 0)),
    "bool": (lambda x: bool((x > 3).all()), (0, 1, 1, 2)),
    "item": (lambda x: x[0, 0].item(), (0, 1, 1, 0)),
    "views": (lambda x: x[1:, ::2].T.reshape(1, -1)[0, 1], (0, 0, 0, 0)),
    "a reshape that copies": (lambda x: x.T.reshape(-1), (0, 0, 0, 1)),
    "broadcast_to": (lambda x: strict.broadcast_to(x, (4, 2, 3)), (0, 0, 0, 0)),
    "attributes": (lambda x: (x.shape, x.dtype, x.size, x.real, len(x)), (0, 0, 0, 0)),
    "result_type": (lambda x: strict.result_type(x.dtype, np.float32), (0, 0, 0, 0)),
    "astype": (lambda x: x.astype(np.float32), (0, 0, 0, 1)),
    "astype of its own": (lambda x: x.astype(np.float64, copy=False), (0, 0, 0, 0)),
    "empty": (lambda x: (strict.empty((2, 2)), strict.empty_like(x)), (0, 0, 0, 0)),
    "zeros": (lambda x: strict.zeros((2, 2)), (0, 0, 0, 1)),
    "operators": (lambda x: -(2 * x + x), (0, 0, 0, 3)),
    "in place": (lambda x: operator.iadd(x, 1), (0, 0, 0, 1)),
    "out": (lambda x: strict.multiply(x, x, out=x), (0, 0, 0, 1)),
    "matmul": (lambda x: x @ x.T, (0, 0, 0, 1)),
    "assignment": (lambda x: operator.setitem(x, 0, 1.0), (0, 0, 0, 1)),
    "scatter": (lambda x: strict.add.at(x, (0,), 1.0), (0, 0, 0, 1)),
    "gather": (lambda x: x[x[0].astype(int) * 0], (0, 0, 0, 3)),
    "a list as an index": (lambda x: x[[0, 1]], (1, 0, 0, 1)),
    "a mask as an index": (lambda x: x[x > 3], (0, 0, 1, 2)),
    "a number where a mask is": (lambda x: operator.setitem(x, x > 3, 0), (0, 0, 0, 2)),
    "nonzero": (lambda x: strict.flatnonzero(x), (0, 0, 1, 1)),
}


@pytest.mark.parametrize(("act", "cost"), COSTS.values(), ids=COSTS)
def test_what_a_device_would_have_to_do_is_counted(act, cost, x):
    with counted() as counts:
        act(x)
    assert (*counts.crossings, counts.launches) == cost


def test_bytes_are_counted_and_every_with_block_counts_for_itself(x):
    with counted() as outer:
        strict.asarray(HOST)
        with counted() as inner:
            strict.asnumpy(x[0])
    strict.asarray(HOST)
    assert (outer.uploaded, outer.downloaded) == (HOST.nbytes, HOST[0].nbytes)
    assert (inner.uploaded, inner.downloaded) == (0, HOST[0].nbytes)
