"""Convolution: its rules against naive loops, SciPy and the dense op; its cost, and its memory."""

import tracemalloc

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf import ops
from minihf.ops import windows
from minihf.ops.conv import Conv2dOp
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

SAME = 1e-13  # the same sums in another order
SINGLE = 5e-7  # 2^-24 per rounding, times the root of the few hundred terms of a sum
OTHER = 1e-3  # what is wrong is wrong by more

GEOMETRIES = {  # kernel, stride, padding, image
    "plain": ((2, 3), (1, 1), (0, 0), (4, 5)),
    "same size": ((3, 3), (1, 1), (1, 1), (5, 4)),
    "stride": ((3, 3), (2, 2), (1, 1), (6, 7)),
    "stride beyond the kernel": ((1, 2), (3, 4), (0, 1), (7, 9)),
    "padding beyond the kernel": ((2, 1), (1, 2), (4, 3), (3, 2)),
    "one window": ((3, 4), (2, 1), (0, 0), (3, 4)),
    "different axes": ((5, 1), (1, 3), (2, 0), (4, 8)),
}
every_geometry = pytest.mark.parametrize(
    ("kernel", "stride", "padding", "image"), GEOMETRIES.values(), ids=GEOMETRIES
)


class Problem:
    """An op with inputs, tangents and cotangents, all on the host: `N` cases, C to F channels."""

    def __init__(self, kernel, stride, padding, image, N=3, C=2, F=4, dtype=np.float64):
        rng = np.random.default_rng(0)
        self.op, self.stride, self.padding = Conv2dOp(stride, padding), stride, padding
        shapes = [(N, C, *image), (F, C, *kernel), (F,)]
        self.inputs = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
        self.tangents = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
        out = self.op.forward(*self.inputs)[0].shape
        self.u, self.Ru = (rng.standard_normal(out).astype(dtype) for _ in range(2))

    def all_rules(self):
        """Everything the op can compute, on the backend in use, brought down."""
        inputs, tangents = (list(map(hf.asarray, some)) for some in (self.inputs, self.tangents))
        u, Ru, needs = hf.asarray(self.u), hf.asarray(self.Ru), (True, True, True)
        y, residuals = self.op.forward(*inputs)
        results = [y, self.op.rop(residuals, *tangents), *self.op.vjp(residuals, u, needs)]
        results += [self.op.rop(residuals, None, *tangents[1:])]
        results += self.op.rvjp(residuals, tangents, u, Ru, needs)
        return [hf.to_host(result) for result in results]


def taps(x, W, stride, padding, y_shape):
    """Yield the indices of eq. (1) that lie inside of the image: output, filter and pixel."""
    for i, j, k, m in np.ndindex(*y_shape[2:], *W.shape[2:]):
        h, w = stride[0] * i + k - padding[0], stride[1] * j + m - padding[1]
        if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
            yield i, j, k, m, h, w


@every_geometry
def test_the_three_maps_are_the_naive_loops(kernel, stride, padding, image):
    problem = Problem(kernel, stride, padding, image)
    (x, W, b), u = problem.inputs, problem.u
    y, c, Wu = np.zeros(u.shape) + b[:, None, None], np.zeros(x.shape), np.zeros(W.shape)
    for i, j, k, m, h, w in taps(x, W, stride, padding, u.shape):
        y[:, :, i, j] += x[:, :, h, w] @ W[:, :, k, m].T                          # eq. (1)
        c[:, :, h, w] += u[:, :, i, j] @ W[:, :, k, m]                            # eq. (2)
        Wu[:, :, k, m] += u[:, :, i, j].T @ x[:, :, h, w]                         # eq. (3)
    found = problem.all_rules()
    for result, expected in zip([found[0], *found[2:5]], [y, c, Wu, u.sum((0, 2, 3))], strict=True):
        assert relative_error(result, expected) <= SAME


@every_geometry
def test_it_is_scipys_correlation_of_the_padded_image(kernel, stride, padding, image):
    problem = Problem(kernel, stride, padding, image)
    x, W, b = problem.inputs
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    expected = np.stack([
        [sum(map(lambda a, k: scipy.signal.correlate(a, k, "valid"), case, filters)) + bias
         for filters, bias in zip(W, b, strict=True)]
        for case in padded
    ])[:, :, :: stride[0], :: stride[1]]  # fmt: skip
    found = ops.conv2d(*map(hf.asarray, problem.inputs), stride, padding)
    assert relative_error(found, expected) <= SAME


def test_one_pixel_filters_are_a_dense_layer_for_each_pixel():
    x, W, b = Problem((1, 1), (1, 1), (0, 0), (4, 5)).inputs
    pixels = hf.asarray(x.transpose(0, 2, 3, 1).reshape(3, 20, 2).copy())
    dense = hf.to_host(ops.dense(pixels, hf.asarray(W[:, :, 0, 0].T.copy()), hf.asarray(b)))
    found = hf.to_host(ops.conv2d(*map(hf.asarray, (x, W, b))))
    assert relative_error(found.transpose(0, 2, 3, 1).reshape(3, 20, 4), dense) <= SAME


@given(order=st.permutations(range(3)))
def test_permuting_the_batch_permutes_the_results_and_leaves_the_sums(order):
    problem = Problem(*GEOMETRIES["stride"])
    expected, order = problem.all_rules(), list(order)
    problem.inputs[0], problem.tangents[0] = problem.inputs[0][order], problem.tangents[0][order]
    problem.u, problem.Ru = problem.u[order], problem.Ru[order]
    for found, before in zip(problem.all_rules(), expected, strict=True):
        per_case = found.ndim == 4 and len(found) == len(order)
        assert relative_error(found, before[order] if per_case else before) <= SAME


@every_geometry
@pytest.mark.parametrize("cases", [1, 2, 3])
def test_chunks_make_no_difference(monkeypatch, cases, kernel, stride, padding, image):
    problem = Problem(kernel, stride, padding, image, N=5, C=3, F=1)   # C KH KW > 2 F: none kept
    expected, columns, starts = problem.all_rules(), windows.Windows.columns, []

    def few_at_a_time(self, images, known=None, results=0, share=slice(None)):
        numbers = max(len(images) * images[0].shape[1] * self.size[0] * self.size[1], results)
        limit = cases * self.count[0] * self.count[1] * numbers * np.dtype(float).itemsize
        monkeypatch.setattr(windows, "CHUNK", limit)
        monkeypatch.setattr(windows, "CHUNK_ELSEWHERE", limit)
        for some, chunk in columns(self, images, known, results, share):
            starts.append(some.start)
            yield some, chunk

    monkeypatch.setattr(windows.Windows, "columns", few_at_a_time)
    for found, whole in zip(problem.all_rules(), expected, strict=True):
        assert relative_error(found, whole) <= SAME
    assert set(starts) == set(range(0, 5, cases))


@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_memory_beyond_the_results_is_a_few_chunks(backend, stride):
    if backend != "numpy":
        pytest.skip("tracemalloc sees NumPy's memory")
    problem = Problem((3, 3), stride, (1, 1), (28, 28), N=256, C=16, F=4, dtype=np.float32)
    _, residuals = problem.op.forward(*problem.inputs)
    all_columns = problem.u[0, 0].size * 256 * 9 * 16 * 4
    rules = {
        "rop": lambda: [problem.op.rop(residuals, *problem.tangents)],
        "vjp": lambda: problem.op.vjp(residuals, problem.u, (True, True, True)),
        "rvjp": lambda: problem.op.rvjp(
            residuals, problem.tangents, problem.u, problem.Ru, (True, True, True)
        ),
    }
    for name, rule in rules.items():
        rule()
        tracemalloc.start()
        results = rule()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        extra = peak - sum(result.nbytes for result in results)
        assert extra <= 3 * windows.CHUNK < all_columns / 4, name


def test_float32_stays_close_to_float64():
    shape = ((3, 3), (2, 2), (1, 1), (9, 9))
    single, double = (Problem(*shape, C=16, F=8, dtype=t) for t in (np.float32, np.float64))
    double.inputs, double.tangents = (
        [x.astype(np.float64) for x in some] for some in (single.inputs, single.tangents)
    )
    double.u, double.Ru = single.u.astype(np.float64), single.Ru.astype(np.float64)
    for one, other in zip(single.all_rules(), double.all_rules(), strict=True):
        assert one.dtype == np.float32
        assert 0 < relative_error(one, other) <= SINGLE


def test_mixed_dtypes_give_the_wider_one():
    problem = Problem(*GEOMETRIES["stride"], F=1)
    x, W, b = map(hf.asarray, problem.inputs)
    narrow = [hf.asarray(R.astype(np.float32)) for R in problem.tangents]
    wide = [hf.asarray(hf.to_host(R).astype(np.float64)) for R in narrow]
    for op_x, op_W in [(x, W), (x + 1j, W), (x, W + 1j)]:
        _, residuals = problem.op.forward(op_x, op_W, b)
        found, expected = (problem.op.rop(residuals, *tangents) for tangents in (narrow, wide))
        assert found.dtype == (op_x[0, 0, 0, 0] * op_W[0, 0, 0, 0]).dtype
        assert relative_error(found, hf.to_host(expected)) <= SAME


def test_a_zero_tangent_costs_no_product(count_gemms):
    problem = Problem(*GEOMETRIES["stride"])
    op, inputs, all_of = problem.op, [hf.asarray(x) for x in problem.inputs], (True, True, True)
    x, W, b = inputs
    y, residuals = op.forward(*inputs)
    count = {
        "forward": count_gemms(lambda: op.forward(*inputs)),
        "rop": count_gemms(lambda: op.rop(residuals, x, W, b)),             # both terms in one
        "rop, W": count_gemms(lambda: op.rop(residuals, None, W, None)),
        "rop, b": count_gemms(lambda: op.rop(residuals, None, None, b)),
        "vjp": count_gemms(lambda: op.vjp(residuals, y, all_of)),
        "vjp, W": count_gemms(lambda: op.vjp(residuals, y, (False, True, True))),
        "vjp, b": count_gemms(lambda: op.vjp(residuals, y, (False, False, True))),
        "rvjp": count_gemms(lambda: op.rvjp(residuals, (x, W, b), y, y, all_of)),
        "rvjp, W": count_gemms(lambda: op.rvjp(residuals, (None, W, b), y, None, all_of)),
        "rvjp, b": count_gemms(lambda: op.rvjp(residuals, (None, None, b), y, None, all_of)),
    }
    assert list(count.values()) == [1, 1, 1, 0, 2, 1, 0, 3, 1, 0], count
    assert op.vjp(residuals, y, (False, True, False))[0::2] == (None, None)
    assert op.rvjp(residuals, (x, W, b), y, y, (True, False, False))[1:] == (None, None)


@every_geometry
def test_factors_rebuild_the_gradient_of_each_case(kernel, stride, padding, image):
    problem = Problem(kernel, stride, padding, image)
    op, u = problem.op, hf.asarray(problem.u)
    x, W, b = map(hf.asarray, problem.inputs)
    _, residuals = op.forward(x, W, b)
    a, s = map(hf.to_host, op.factors(residuals, u))
    P = problem.u[0, 0].size
    assert (a.shape, s.shape) == ((3, P, 2 * kernel[0] * kernel[1]), (3, P, 4))
    for n in range(3):
        one = slice(n, n + 1)
        _, alone = op.forward(x[one], W, b)
        _, gradient, of_bias = op.vjp(alone, u[one], (False, True, True))
        (found,) = op.split(residuals, hf.asarray(a[n].T @ s[n]))
        assert relative_error(op.join(residuals, [found]), a[n].T @ s[n]) == 0
        assert relative_error(found, hf.to_host(gradient)) <= SAME
        assert relative_error(s[n].sum(axis=0), hf.to_host(of_bias)) <= SAME


def test_results_have_their_channels_last_in_memory(backend):
    if backend != "numpy":
        pytest.skip("a matter of NumPy's speed")
    problem = Problem(*GEOMETRIES["same size"])
    y, residuals = problem.op.forward(*problem.inputs)
    (c, _, _) = problem.op.vjp(residuals, problem.u, (True, True, True))
    for image in (y, problem.op.rop(residuals, *problem.tangents), c, ops.relu(y)):
        assert image.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("x_shape", "W_shape", "stride", "padding", "message"),
    [
        ((2, 3, 4, 4), (5, 2, 3, 3), 1, 0, "x has 3 channels, W expects 2: x has shape .2, 3, 4, "),
        ((2, 3, 4, 4), (5, 3, 7, 7), 1, 1, r"the kernel \(7, 7\) is larger than the padded image "
                                           r"\(6, 6\): x has shape \(2, 3, 4, 4\)"),
        ((2, 3, 4, 4), (5, 3, 5, 4), 1, 0, r"the kernel \(5, 4\) is larger than the padded image"),
        ((3, 4, 4), (5, 3, 3, 3), 1, 0, r"x has shape \(3, 4, 4\), .* expected images \(N, C, H, "),
        ((2, 3, 4, 4), (5, 3, 9), 1, 0, r"W has shape \(5, 3, 9\); expected .* filters \(F, C, K"),
        ((2, 3, 4, 4), (5, 3, 3, 3), 0, 0, r"stride \(0, 0\) must be 1 or more"),
        ((2, 3, 4, 4), (5, 3, 3, 3), 1, (1, -1), r"padding \(1, -1\) must be 0 or more"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(x_shape, W_shape, stride, padding, message):
    how = stride, padding
    with pytest.raises(ValueError, match="conv2d: .*" + message):
        ops.conv2d(hf.asarray(np.ones(x_shape)), hf.asarray(np.ones(W_shape)), None, *how)


def test_one_number_stands_for_both_axes():
    x, W = hf.asarray(np.ones((1, 1, 5, 6))), hf.asarray(np.ones((1, 1, 2, 2)))
    both = hf.to_host(ops.conv2d(x, W, stride=(2, 2), padding=(1, 1)))
    assert relative_error(ops.conv2d(x, W, stride=2, padding=1), both) == 0.0
    with pytest.raises(ValueError, match=r"or a pair; got \(1, 2, 3\)"):
        ops.conv2d(x, W, stride=(1, 2, 3))


def test_the_checks_see_a_flipped_kernel_and_a_lost_pixel():
    problem = Problem(*GEOMETRIES["stride"])
    x, W, b = problem.inputs
    y = problem.all_rules()[0]
    flipped = ops.conv2d(x, W[:, :, ::-1, ::-1], b, problem.stride, problem.padding)
    assert relative_error(flipped, y) > OTHER
    assert relative_error(ops.conv2d(x[:, :, :-1], W, b, 2, 1), y[:, :, :3]) > OTHER


def test_a_bias_or_a_batch_that_does_not_fit_is_refused():
    x, W = np.ones((1, 1, 3, 3)), np.ones((2, 1, 2, 2))
    with pytest.raises(ValueError, match=r"b has shape \(1,\), expected \(2,\), one per filter"):
        ops.conv2d(x, W, np.ones(1))
    with pytest.raises(ValueError, match="expected at least one case"):
        ops.conv2d(x[:0], W)
    with pytest.raises(ValueError, match="with N >= 1 and T >= 1"):
        ops.rnn(np.ones((0, 2, 1)), np.ones((1, 3)), np.ones((3, 3)), np.ones(3))
