"""Independent pieces on several threads: in order, the same bits, and no more than asked for."""

import multiprocessing
import threading
import time
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import minihf as hf
from minihf.ops.conv import Conv2dOp
from minihf.optim.batches import gradient, objective
from minihf.parallel import each


@pytest.fixture
def two_workers():
    hf.use_workers(2)
    yield
    hf.use_workers(1)


@pytest.mark.parametrize("n", [2, "2", np.int64(2)])
def test_a_whole_number_is_taken_as_it_is(n):
    hf.use_workers(n)
    assert hf.workers() == 2
    hf.use_workers(1)


def blas_threads():
    return [library["num_threads"] for library in threadpool_info()]


@pytest.mark.usefixtures("two_workers")
def test_results_come_in_order_whoever_is_first():
    def slow_first(i):
        time.sleep(0.02 * (i == 0))
        return i, threading.current_thread().name

    found = each(slow_first, range(5))
    assert [i for i, _ in found] == list(range(5))
    assert len({name for _, name in found}) == 2


def test_one_worker_is_the_caller_itself():
    assert each(lambda _: threading.current_thread(), range(3)) == [threading.current_thread()] * 3


@pytest.mark.usefixtures("two_workers")
def test_inside_a_worker_there_is_one():
    assert hf.workers() == 2
    assert each(lambda _: hf.workers(), range(2)) == [1, 1]
    assert hf.workers() == 2


@pytest.mark.usefixtures("two_workers")
def test_workers_share_the_threads_of_the_blas_and_give_them_back():
    before = blas_threads()
    with threadpool_limits(2):
        assert all(set(seen) == {1} for seen in each(lambda _: blas_threads(), range(2)))
        assert set(blas_threads()) == {2}
    assert blas_threads() == before


@pytest.mark.usefixtures("two_workers")
def test_an_exception_is_raised_here_and_the_state_is_kept():
    def fails(i):
        raise ArithmeticError(f"piece {i}")

    before = blas_threads()
    with pytest.raises(ArithmeticError, match="piece 0"):
        each(fails, range(3))
    assert blas_threads() == before
    assert each(lambda i: i, range(3)) == [0, 1, 2]


@pytest.mark.usefixtures("two_workers")
@pytest.mark.parametrize("exception", [ArithmeticError, KeyboardInterrupt])
def test_after_an_exception_no_piece_goes_on(exception):
    begun, ended = [], []

    def fails_first(i):
        begun.append(i)
        if i == 0:
            raise exception
        time.sleep(0.1)
        ended.append(i)

    with pytest.raises(exception):
        each(fails_first, range(8))
    at_once = sorted(begun), [0, *sorted(ended)]
    assert at_once[0] == at_once[1]
    assert len(begun) < 8
    time.sleep(0.3)
    assert (sorted(begun), [0, *sorted(ended)]) == at_once


@pytest.mark.usefixtures("two_workers")
@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes do not fork here"
)
def test_a_child_made_by_fork_has_threads_of_its_own():
    each(abs, range(2))                                  # now this process has its own
    child = multiprocessing.get_context("fork").Process(target=each, args=(abs, range(2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)     # Python warns of threads and fork
        child.start()
    child.join(timeout=20)
    child.kill()
    child.join()
    assert child.exitcode == 0


@pytest.mark.usefixtures("two_workers")
def test_what_numpy_is_told_about_errors_holds_in_workers_too():
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("error")
        assert each(lambda x: float(np.float32(x) * np.float32(x)), [1e30, 1.0]) == [np.inf, 1.0]


@pytest.mark.parametrize("n", [0, -1, 1.5, "two", None, "1_0", "+2", " 2", "\u0662", True])
def test_a_number_that_is_none_is_refused(n):
    with pytest.raises(ValueError, match=r"use_workers: the number of workers is .*, expected a"):
        hf.use_workers(n)


def test_the_environment_may_say_it(monkeypatch):
    monkeypatch.setattr("minihf.parallel._workers", None)
    assert hf.workers() == 1
    monkeypatch.setenv("MINIHF_WORKERS", "3")
    assert hf.workers() == 3
    monkeypatch.setenv("MINIHF_WORKERS", "many")
    with pytest.raises(ValueError, match="MINIHF_WORKERS: the number of workers is 'many'"):
        hf.workers()


NET = hf.Sequential(hf.Dense(8, 7), hf.Tanh(), hf.Dense(7, 6), hf.Tanh(), hf.Dense(6, 3))
RNG = np.random.default_rng(0)
BATCH = (RNG.standard_normal((101, 8)), RNG.standard_normal((101, 3)))


@pytest.mark.usefixtures("two_workers")
def test_a_gradient_is_the_sum_over_two_halves():
    params, loss = NET.init(0, np.float64), hf.SquaredError()
    value, g = gradient(NET, loss, params, BATCH, l2=0.1)
    assert value == objective(NET, loss, params, BATCH, l2=0.1)
    x, y = BATCH
    parts = (x[:51], y[:51]), (x[51:], y[51:])
    halves = [gradient(NET, loss, params, part) for part in parts]
    expected = 0.1 * params.vector
    for share, (_, half) in zip((51 / 101, 50 / 101), halves, strict=True):
        expected = expected + share * half
    np.testing.assert_allclose(g, expected, rtol=1e-12)


class OneAfterTheOther:
    """Takes the place of the threads."""

    def submit(self, function, *args):
        result = function(*args)
        return SimpleNamespace(result=lambda: result)


@pytest.mark.usefixtures("two_workers")
@pytest.mark.parametrize("make", [hf.HessianFree, hf.papers.martens2010, hf.papers.zhang2017])
def test_in_parallel_or_one_after_the_other_the_bits_are_the_same(make, monkeypatch):
    opt = replace(make(), blocks="layer")

    def run():
        params = NET.init(0, np.float64)
        state = opt.init(params)
        for _ in range(3):
            params, state, _ = opt.step(NET, hf.SquaredError(), params, state, BATCH)
        return params.vector.tobytes()

    parallel = run()
    monkeypatch.setattr("minihf.parallel._pool", lambda n: OneAfterTheOther())
    assert run() == parallel


@pytest.mark.parametrize("N", [1, 2, 7])
@pytest.mark.parametrize(
    ("stride", "padding", "filters"), [(1, 1, 3), (2, 1, 3), (1, 0, 40)], ids=["1", "2", "columns"]
)
def test_the_four_rules_of_convolution_are_shared_out_by_cases(N, stride, padding, filters):
    rng = np.random.default_rng(0)
    op = Conv2dOp((stride, stride), (padding, padding))
    shapes = (N, 2, 6, 7), (filters, 2, 3, 3), (filters,)
    inputs = [rng.standard_normal(shape) for shape in shapes]

    def rules():
        y, residuals = op.forward(*inputs)
        u = np.cos(np.arange(y.size)).reshape(y.shape)
        both = op.rvjp(residuals, inputs, u, 2 * u, (True,) * 3)
        return [y, op.rop(residuals, *inputs), *op.vjp(residuals, u, (True,) * 3), *both]

    alone = rules()
    hf.use_workers(2)
    try:
        shared = rules()
    finally:
        hf.use_workers(1)
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)
