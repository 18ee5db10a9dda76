"""``total += a @ b`` in BLAS: the sum of `matmul`'s product, wherever it says that it did it."""

import gc

import numpy as np
import pytest

from minihf import backend, blas

pytestmark = pytest.mark.skipif(not blas._routines(), reason="NumPy's BLAS has no name we know")

DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
SWAPPED = np.dtype(np.float64).newbyteorder()
ROUNDINGS = 4  # of sums of a few terms of size 1, in another order


def matrix(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def rows(x):
    return x


def columns(x):
    return np.asfortranarray(x)


def apart(x):
    """Put every second row of another array."""
    wide = np.zeros((2 * len(x), x.shape[1] + 3), x.dtype)
    wide[::2, 1:-2] = x
    return wide[::2, 1:-2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("of_b", [rows, columns, apart])
@pytest.mark.parametrize("of_a", [rows, columns, apart])
@pytest.mark.parametrize("of_total", [rows, apart])
@pytest.mark.parametrize("shape", [(5, 7, 4), (1, 3, 1), (4, 1, 1), (1, 1, 6), (70, 80, 90)])
def test_it_is_the_sum_in_the_same_memory(shape, of_total, of_a, of_b, dtype):
    m, k, n = shape
    total, a, b = (
        of(matrix(size, dtype, i))
        for i, (of, size) in enumerate([(of_total, (m, n)), (of_a, (m, k)), (of_b, (k, n))])
    )
    expected = total + a @ b
    around = None if total.base is None else total.base.sum() - total.sum()
    assert blas.accumulate(total, a, b)
    assert abs(total - expected).max() <= ROUNDINGS * k * np.finfo(dtype).eps
    assert around is None or total.base.sum() - total.sum() == pytest.approx(around, abs=1e-3)


@pytest.mark.parametrize(
    ("total", "a", "b"),
    [
        (np.zeros((2, 2), np.float32), np.ones((2, 3)), np.ones((3, 2))),
        (np.zeros((2, 2)), np.ones((2, 3), np.float32), np.ones((3, 2))),
        (np.zeros((2, 2), int), np.ones((2, 3), int), np.ones((3, 2), int)),
        (np.zeros((2, 2, 2)), np.ones((2, 2, 3)), np.ones((2, 3, 2))),
        (np.zeros((2, 2), order="F"), np.ones((2, 3)), np.ones((3, 2))),
        (np.zeros((2, 2)), np.ones((2, 6))[:, ::2], np.ones((3, 2))),
        (np.zeros((2, 2)), np.broadcast_to(np.ones((1, 3)), (2, 3)), np.ones((3, 2))),
        (np.zeros((2, 2)), np.ones((2, 3))[::-1], np.ones((3, 2))),
        (np.zeros((2, 2)), np.ones((2, 0)), np.ones((0, 2))),
        (np.zeros((2, 2)), np.ones((2, 3)), np.ones((2, 2))),
        (np.zeros((2, 1)), np.ones((2, 3)), np.ones((3, 2))),
        (np.zeros((2, 2)), np.ones((2, 3), SWAPPED), np.ones((3, 2))),
        (np.zeros((2, 2), SWAPPED), np.ones((2, 3), SWAPPED), np.ones((3, 2), SWAPPED)),
    ],
)
def test_what_does_not_fit_is_left_alone(total, a, b):
    before = total.copy()
    assert not blas.accumulate(total, a, b)
    assert (total == before).all()


def test_a_total_that_cannot_be_written_is_left_alone():
    total = np.zeros((2, 2))
    total.flags.writeable = False
    assert not blas.accumulate(total, np.ones((2, 3)), np.ones((3, 2)))


def test_nothing_is_left_in_a_cycle():
    total, a, b = np.zeros((2, 2)), np.ones((2, 3)), np.ones((3, 2))
    blas.accumulate(total, a, b)
    gc.collect()
    gc.disable()
    try:
        assert blas.accumulate(total, a, b)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("names", [(), (("no_such_{}", None),)])
def test_without_a_routine_the_sum_is_made_by_adding(monkeypatch, names):
    monkeypatch.setattr(blas, "NAMES", names)
    blas._routines.cache_clear()
    total = np.ones((2, 2))
    assert not blas.accumulate(total, np.ones((2, 3)), np.ones((3, 2)))
    assert backend.add_gemm(total, np.ones((2, 3)), np.ones((3, 2))) is total
    assert (total == 4).all()
    monkeypatch.undo()
    blas._routines.cache_clear()
    assert blas._routines()


def test_a_routine_that_computes_something_else_is_not_used(monkeypatch):
    monkeypatch.setattr(blas, "_routine", lambda _: lambda total, *_: np.add(total, 1, total))
    blas._routines.cache_clear()
    assert not blas._routines()
    monkeypatch.undo()
    blas._routines.cache_clear()


# Products in pieces


@pytest.fixture
def small_is_fast(monkeypatch):
    monkeypatch.setattr(blas, "_small_is_fast", lambda: True)
    monkeypatch.setattr(blas, "SMALL", 100 * 6 * 4)


TALL = [96, 100, 101, 163, 400]  # pieces of 96 rows: not one, one and a few rows, two or more


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", TALL)
@pytest.mark.parametrize("out", [None, rows, apart])
def test_pieces_make_no_difference(small_is_fast, out, length, dtype):
    x, W, u = (matrix(s, dtype, i) for i, s in enumerate([(length, 6), (6, 4), (length, 4)]))
    for a, b in [(x, W), (x.T, u), (apart(x), apart(W)), (apart(x).T, u), (x, columns(W))]:
        room = None if out is None else out(np.zeros((len(a), b.shape[1]), dtype))
        expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
        found = blas.multiply(a, b, room)
        assert found.dtype == dtype
        assert room is None or found is room
        assert abs(found - expected).max() <= ROUNDINGS * length * np.finfo(dtype).eps


def test_tall_products_are_cut_and_no_others(small_is_fast):
    x, W = np.ones((400, 6)), np.ones((6, 4))
    u = np.ones((400, 4))
    assert blas.rows_of_a_piece(x, W) == blas.rows_of_a_piece(x.T, u) == 96
    assert blas.rows_of_a_piece(x[:96], W) == 0                     # one piece is no piece
    assert blas.rows_of_a_piece(np.ones((400, 60)), np.ones((60, 40))) == 0
    assert blas.rows_of_a_piece(x, columns(W)) == 0
    assert blas.rows_of_a_piece(x[:, ::2], W[::2]) == 0
    assert blas.rows_of_a_piece(x.astype(complex), W.astype(complex)) == 0
    assert blas.rows_of_a_piece(x.astype(np.float32), W) == 0
    assert blas.rows_of_a_piece(np.ones((400, 0)), np.ones((0, 4))) == 0


def test_tall_matrices_that_do_not_fit_are_refused_as_matmul_does(small_is_fast):
    x, u = np.ones((302, 6)), np.ones((110, 4))  # three pieces and one, and 14 rows each
    for a, b in [(x.T, u), (x, np.ones((5, 4)))]:
        assert blas.rows_of_a_piece(a, b) == 0
        with pytest.raises(ValueError, match="matmul"):
            blas.multiply(a, b)
        with pytest.raises(ValueError, match="matmul"):
            backend.add_gemm(np.zeros((len(a), 4)), a, b)


def test_a_product_may_be_written_over_its_factors(small_is_fast):
    over_a, over_b = matrix((2424, 1), np.float64, 0).ravel(), matrix((1600, 1), np.float64, 1)
    x, W = over_a[:2400].reshape(400, 6), matrix((6, 4), np.float64, 2)
    expected = x @ W
    out = over_a[800:2400].reshape(400, 4)
    np.testing.assert_allclose(blas.multiply(x, W, out), expected, rtol=1e-12, atol=1e-12)
    x, W = matrix((400, 6), np.float64, 3), over_b[:24].reshape(6, 4)
    expected = x @ W
    out = over_b.reshape(400, 4)
    np.testing.assert_allclose(blas.multiply(x, W, out), expected, rtol=1e-12, atol=1e-12)


def test_a_product_in_pieces_is_one_product(small_is_fast, count_gemms):
    x, W, total = np.ones((400, 6)), np.ones((6, 4)), np.zeros((400, 4))
    assert count_gemms(lambda: backend.gemm(x, W)) == 1
    assert count_gemms(lambda: backend.add_gemm(total, x, W)) == 1
    assert (total == 6).all()


@pytest.mark.parametrize(("core", "threads"), [("", 1), ("Haswell", 1), ("SkylakeX", 2)])
def test_another_processor_or_more_threads_multiply_whole(monkeypatch, core, threads):
    monkeypatch.setattr(blas, "_core", lambda: core)
    monkeypatch.setattr(blas, "_threads", lambda: lambda: threads)
    assert blas.rows_of_a_piece(np.ones((10**4, 144)), np.ones((144, 16))) == 0
