"""Pooling against naive loops; where the maximum is not unique; what does not fit."""

from itertools import combinations

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.ops.pool import AvgPool2dOp, MaxPool2dOp
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

SAME = 1e-14  # the same few terms in another order

GEOMETRIES = {  # kernel, stride, image
    "side by side": ((2, 2), (2, 2), (4, 6)),
    "floor": ((2, 3), (2, 3), (5, 8)),
    "overlapping": ((3, 3), (2, 1), (7, 5)),
    "gaps": ((1, 2), (3, 4), (7, 9)),
    "one pixel": ((1, 1), (1, 1), (2, 3)),
    "whole image": ((3, 4), (1, 1), (3, 4)),
}
every_geometry = pytest.mark.parametrize(
    ("kernel", "stride", "image"), GEOMETRIES.values(), ids=GEOMETRIES
)


def windows(x, kernel, stride):
    """Yield (output pixel, window) for all windows of x (N, C, H, W) that do not stick out."""
    (KH, KW), (sh, sw) = kernel, stride
    for i in range((x.shape[2] - KH) // sh + 1):
        for j in range((x.shape[3] - KW) // sw + 1):
            yield (i, j), (..., slice(sh * i, sh * i + KH), slice(sw * j, sw * j + KW))


@every_geometry
@pytest.mark.parametrize(
    ("pool", "of_a_window"), [(ops.max_pool2d, np.max), (ops.avg_pool2d, np.mean)]
)
def test_pooling_is_the_naive_loop(pool, of_a_window, kernel, stride, image):
    x = np.random.default_rng(0).standard_normal((3, 2, *image))
    y = hf.to_host(pool(hf.asarray(x), kernel, stride))
    pixels = {at: of_a_window(x[window], axis=(2, 3)) for at, window in windows(x, kernel, stride)}
    assert y.shape[2:] == tuple(n + 1 for n in max(pixels))
    for (i, j), expected in pixels.items():
        assert relative_error(y[:, :, i, j], expected) <= SAME


def test_without_a_stride_windows_lie_side_by_side():
    x = hf.asarray(np.random.default_rng(0).standard_normal((2, 3, 6, 7)))
    for pool in (ops.max_pool2d, ops.avg_pool2d):
        assert relative_error(pool(x, (3, 2)), hf.to_host(pool(x, (3, 2), (3, 2)))) == 0.0


def test_the_global_average_is_that_of_one_window():
    x = hf.asarray(np.random.default_rng(0).standard_normal((2, 3, 5, 4)))
    expected = hf.to_host(ops.avg_pool2d(x, (5, 4))).reshape(2, 3)
    assert relative_error(ops.global_avg_pool2d(x), expected) <= SAME


@every_geometry
def test_among_equal_pixels_the_first_has_the_derivative(kernel, stride, image):
    x = np.random.default_rng(0).integers(3, size=(3, 2, *image)).astype(np.float64)
    op, rng = MaxPool2dOp(kernel, stride), np.random.default_rng(1)
    y, residuals = op.forward(hf.asarray(x))
    Rx, u = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
    Ry = hf.to_host(op.rop(residuals, hf.asarray(Rx)))
    (found,) = op.vjp(residuals, hf.asarray(u), (True,))
    c = np.zeros(x.shape)
    for (i, j), window in windows(x, kernel, stride):
        for case, channel in np.ndindex(3, 2):
            at = np.unravel_index(np.argmax(x[case, channel][window[1:]]), kernel)  # the first
            assert Ry[case, channel, i, j] == Rx[case, channel][window[1:]][at]
            c[case, channel][window[1:]][at] += u[case, channel, i, j]
    assert relative_error(found, c) <= SAME


@pytest.mark.parametrize(("kernel", "stride"), [((2, 3), (2, 3)), ((2, 2), (1, 1))])
@pytest.mark.parametrize("bad", [1, 2], ids=["one NaN", "two"])
def test_nan_shows_wherever_it_is_in_the_window_and_has_the_derivative(kernel, stride, bad):
    op, rng = MaxPool2dOp(kernel, stride), np.random.default_rng(0)
    for places in combinations(np.ndindex(2, 3), bad):
        x = rng.standard_normal((1, 1, 2, 3))
        for place in places:
            x[(0, 0, *place)] = np.nan
        y, residuals = op.forward(hf.asarray(x))
        Rx = rng.standard_normal(x.shape)
        Ry = hf.to_host(op.rop(residuals, hf.asarray(Rx)))
        (found,) = op.vjp(residuals, hf.asarray(np.ones(y.shape)), (True,))
        y, c = hf.to_host(y), np.zeros(x.shape)
        for (i, j), window in windows(x, kernel, stride):
            seen = x[window][0, 0]
            m = np.unravel_index(np.argmax(seen), kernel)         # NumPy's first NaN, or the first
            np.testing.assert_equal(y[0, 0, i, j], seen[m])
            assert Ry[0, 0, i, j] == Rx[window][0, 0][m]
            c[window][0, 0][m] += 1
        np.testing.assert_array_equal(hf.to_host(found), c)


def test_overlapping_windows_share_their_pixels():
    op = AvgPool2dOp((2, 2), (1, 1))
    y, residuals = op.forward(hf.asarray(np.zeros((1, 1, 3, 3))))
    (c,) = op.vjp(residuals, y + 4, (True,))
    assert hf.to_host(c)[0, 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


def test_results_are_never_views_of_what_was_given():
    x = hf.asarray(np.ones((1, 1, 2, 2)))
    for pool in (ops.max_pool2d, ops.avg_pool2d):
        y = pool(x, 1)
        y += 1
        assert hf.to_host(x).max() == 1


@pytest.mark.parametrize("pool", [ops.max_pool2d, ops.avg_pool2d])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "message"),
    [
        ((1, 2, 4, 4), 5, None, r"the kernel \(5, 5\) is larger than the image \(4, 4\): x has sh"),
        ((1, 2, 4, 4), (1, 5), 1, r"the kernel \(1, 5\) is larger than .* pooling does not pad"),
        ((2, 4, 4), 2, None, r"x has shape \(2, 4, 4\), expected images \(N, C, H, W\)"),
        ((1, 2, 4, 4), 2, 0, r"kernel \(2, 2\) and stride \(0, 0\) must be 1"),
        ((1, 2, 4, 4), 0, 1, r"kernel \(0, 0\) and stride \(1, 1\) must be 1 or more"),
    ],
)
def test_what_does_not_fit_is_refused(pool, shape, kernel, stride, message):
    with pytest.raises(ValueError, match="_pool2d: " + message):
        pool(hf.asarray(np.ones(shape)), kernel, stride)


def test_the_global_average_takes_images_only():
    with pytest.raises(ValueError, match=r"global_avg_pool2d: x has shape \(2, 3\), expected imag"):
        ops.global_avg_pool2d(hf.asarray(np.ones((2, 3))))
