"""Convolution and pooling layers: names, messages, and the curvature of tiny CNNs."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.testing import jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15
SAME = 1e-12  # terms that cancel in exact arithmetic leave their rounding
MARGIN = 1e-4  # how far every kink must be

LOSS = hf.SoftmaxCrossEntropy()
seeds = st.integers(0, 2**32 - 1)

SMOOTH = hf.Sequential(
    hf.Conv2d(1, 2, 3, padding=1), hf.Tanh(), hf.AvgPool2d(3, 2),
    hf.Conv2d(2, 2, (2, 3), stride=2, padding=(0, 1)), hf.Softplus(), hf.Flatten(), hf.Dense(2, 3),
)  # fmt: skip
KINKED = hf.Sequential(
    hf.Conv2d(1, 3, 3, padding=1, init_with=hf.He()), hf.ReLU(), hf.MaxPool2d(2),
    body=hf.Sequential(hf.Conv2d(3, 2, 2, init_with=hf.He()), hf.ReLU(), hf.MaxPool2d(2, 1)),
    pool=hf.GlobalAvgPool2d(), out=hf.Dense(2, 3),
)  # fmt: skip


def problem(net, image, seed, N=4, dtype=np.float64):
    rng = np.random.default_rng(seed)
    params = net.init(seed, dtype)
    x = hf.asarray(rng.standard_normal((N, 1, *image)), dtype=dtype)
    return params, x, hf.asarray(rng.integers(3, size=N))


# Names, values, shapes


def test_parameters_have_their_names_shapes_and_fans():
    class Told(hf.Glorot):
        def weight(self, rng, fan_in, fan_out):
            fans.append((fan_in, fan_out))
            return np.arange(float(fan_in * fan_out)).reshape(fan_in, fan_out)

    fans = []
    params = hf.Conv2d(3, 4, (2, 5), init_with=Told()).init(0, np.float64)
    assert {name: slot.shape for name, slot in params.layout.items()} == {
        "W": (4, 3, 2, 5), "b": (4,),
    }  # fmt: skip
    assert fans == [(30, 4)]
    assert hf.to_host(params["W"])[1].ravel().tolist() == list(range(1, 120, 4))  # column 1: unit 1
    assert hf.Conv2d(3, 4, 2, bias=False).init(0).names == ("W",)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (hf.Conv2d(2, 3, 3), (5, 3, 4, 6)),
        (hf.Conv2d(2, 3, (3, 1), stride=(2, 3), padding=(1, 0)), (5, 3, 3, 3)),
        (hf.MaxPool2d(2), (5, 2, 3, 4)),
        (hf.MaxPool2d((3, 2), 1), (5, 2, 4, 7)),
        (hf.AvgPool2d(4, stride=2), (5, 2, 2, 3)),
        (hf.GlobalAvgPool2d(), (5, 2)),
    ],
    ids=repr,
)
def test_plain_and_traced_values_give_the_same(layer, shape):
    x = hf.asarray(np.random.default_rng(0).standard_normal((5, 2, 6, 8)).astype(np.float32))
    net = hf.Sequential(hf.Conv2d(2, 2, 1), layer)
    params = net.init(0)
    plain, lin = net(params, x), hf.linearize(net, params, x)
    assert plain.shape == shape
    assert plain.dtype == lin.vjp(lin.output).dtype == np.float32
    np.testing.assert_array_equal(hf.to_host(plain), hf.to_host(lin.output))


def test_flatten_is_in_c_order_whatever_the_memory_is():
    x = hf.asarray(np.random.default_rng(0).standard_normal((2, 1, 4, 3)))
    layer = hf.Conv2d(1, 3, 2)
    params = layer.init(0, np.float64)
    flat = hf.to_host(hf.Sequential(hf.Flatten())(params, layer(params, x)))
    np.testing.assert_array_equal(flat, hf.to_host(layer(params, x)).reshape(2, -1, order="C"))


# Curvature


@given(seed=seeds)
def test_hessian_and_gauss_newton_products_equal_the_dense_matrices(seed):
    params, x, y = problem(SMOOTH, (5, 4), seed)
    lin = hf.linearize(SMOOTH, params, x)

    def output(theta):
        return SMOOTH(params.with_vector(theta), x)

    def gradient(theta):
        lin = hf.linearize(SMOOTH, params.with_vector(theta), x)
        return lin.vjp(LOSS.grad(lin.output, y))

    J = jacobian(output, params.vector)
    H_L = jacobian(lambda z: LOSS.grad(z.reshape(4, 3), y), lin.output.reshape(-1))
    dense = jacobian(gradient, params.vector)
    assert relative_error(hf.GGN(lin, LOSS, y).to_dense(), J.T @ H_L @ J) <= EXACT
    H = hf.to_host(hf.Hessian(lin, LOSS, y).to_dense())
    assert relative_error(H, dense) <= EXACT
    assert relative_error(H, H.T) <= SAME


@pytest.mark.parametrize("kind", [hf.GGN, hf.Hessian])
def test_layer_blocks_are_the_full_matrix_with_the_rest_set_to_zero(kind):
    params, x, y = problem(SMOOTH, (5, 4), 0)
    lin = hf.linearize(SMOOTH, params, x)
    full, blocks = hf.to_host(kind(lin, LOSS, y).to_dense()), kind(lin, LOSS, y, "layer")
    masked = np.zeros_like(full)
    for block in blocks.partition.values():
        masked[block.index, block.index] = full[block.index, block.index]
    assert tuple(blocks.partition.names) == ("0", "3", "6")
    assert relative_error(blocks.to_dense(), masked) <= SAME


@given(seed=seeds)
def test_with_relu_and_max_pool_each_layers_hessian_block_is_its_gauss_newton_block(seed):
    params, x, y = problem(KINKED, (6, 6), seed, N=40)
    fine = np.flatnonzero(distance_to_kinks(params, x) > MARGIN)[:6]
    x, y = hf.asarray(hf.to_host(x)[fine]), hf.asarray(hf.to_host(y)[fine])
    lin = hf.linearize(KINKED, params, x)
    G, H = (kind(lin, LOSS, y, "layer") for kind in (hf.GGN, hf.Hessian))
    for name in G.partition:
        g, h = (hf.to_host(C.block(name).to_dense()) for C in (G, H))
        assert np.linalg.norm(h - g) <= SAME * max(1.0, np.linalg.norm(g))


def test_with_relu_and_max_pool_the_full_matrices_differ():
    params, x, y = problem(KINKED, (6, 6), 0)
    lin = hf.linearize(KINKED, params, x)
    G, H = (hf.to_host(kind(lin, LOSS, y).to_dense()) for kind in (hf.GGN, hf.Hessian))
    assert relative_error(H, G) > 0.01


def distance_to_kinks(params, x):
    """Return how near each case is to a ReLU's zero, or to a draw between the largest pixels.

    A draw of zeros is none: behind a ReLU that is off, nothing moves.
    """
    nearest, h = np.full(len(x), np.inf), x
    layers = [("0", KINKED.layers["0"]), ("1", hf.ReLU()), ("2", hf.MaxPool2d(2))]
    layers += [(f"body.{i}", layer) for i, layer in KINKED.layers["body"].layers.items()]
    for path, layer in layers:
        values = hf.to_host(h)
        if isinstance(layer, hf.ReLU):
            nearest = np.minimum(nearest, np.abs(values).min(axis=(1, 2, 3)))
        if isinstance(layer, hf.MaxPool2d):
            kernel, stride = layer.kernel_size, layer.stride or layer.kernel_size
            seen = np.lib.stride_tricks.sliding_window_view(values, (kernel, kernel), (2, 3))
            seen = np.sort(seen[:, :, ::stride, ::stride].reshape(*values.shape[:2], -1, kernel**2))
            gap = np.where(seen[..., -1] > 0, seen[..., -1] - seen[..., -2], np.inf)
            nearest = np.minimum(nearest, gap.min(axis=(1, 2)))
        scope = params.scope(path)
        h = layer(scope, h)
    return nearest


def test_martens2010_has_per_case_gradients_of_every_layer():
    params, x, y = problem(KINKED, (6, 6), 0, N=12)
    opt = hf.papers.martens2010(curvature_chunks=1, max_iters=5)
    state = opt.init(params)
    first = float(LOSS.value(KINKED(params, x), y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            params, state, _ = opt.step(KINKED, LOSS, params, state, (x, y))
    assert float(LOSS.value(KINKED(params, x), y)) < first


# What they say


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 2, 6, 6), r"Conv2d '0': x has 2 channels, W expects 1: x has shape \(4, 2, 6, 6\), W "
                       r"has shape \(3, 1, 3, 3\)"),
        ((0, 1, 6, 6), r"Conv2d '0': x has shape \(0, 1, 6, 6\), expected at least one case"),
        ((4, 6, 6), r"Conv2d '0': x has shape \(4, 6, 6\), .* expected images \(N, C, H, W\)"),
        ((4, 1, 1, 6), r"MaxPool2d '2': the kernel \(2, 2\) is larger than the image \(1, 6\)"),
        ((4, 1, 2, 2), r"Conv2d 'body.0': the kernel \(2, 2\) is larger than the padded image "
                       r"\(1, 1\): x has shape \(4, 3, 1, 1\), W has shape \(2, 3, 2, 2\)"),
    ],
)  # fmt: skip
def test_images_that_do_not_fit_are_reported_with_the_dotted_path(shape, message):
    x = hf.asarray(np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=message):
        hf.linearize(KINKED, KINKED.init(0), x)


def test_more_of_what_they_say():
    params, wide = KINKED.init(0), hf.asarray(np.ones((4, 1, 6, 6)))
    with pytest.raises(ValueError, match=r"Conv2d '0': x is float64, W is float32; convert the da"):
        KINKED(params, wide)
    net = hf.Sequential(end=hf.GlobalAvgPool2d())
    with pytest.raises(ValueError, match=r"GlobalAvgPool2d 'end': x has shape \(4, 6\), expected"):
        hf.linearize(net, params, wide[:, 0, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hf.Conv2d(0, 2, 3), "in_channels must be a whole number from 1, got 0"),
        (lambda: hf.Conv2d(1, 2.0, 3), "out_channels must be a whole number from 1, got 2.0"),
        (lambda: hf.Conv2d(1, 2, (3, 3, 3)), r"kernel_size must be 1 or more, one int or a pair"),
        (lambda: hf.Conv2d(1, 2, True), "kernel_size must be 1 or more, .* got True"),
        (lambda: hf.Conv2d(1, 2, 3, stride=0), "stride must be 1 or more, .* got 0"),
        (lambda: hf.Conv2d(1, 2, 3, padding=-1), "padding must be 0 or more, .* got -1"),
        (lambda: hf.Conv2d(1, 2, 3, padding="same"), "padding must be 0 or more, .* got 'same'"),
        (lambda: hf.MaxPool2d(0), "MaxPool2d: kernel_size must be 1 or more, .* got 0"),
        (lambda: hf.AvgPool2d(2, (1, 0)), r"AvgPool2d: stride must be 1 or more, .* got \(1, 0\)"),
    ],
)
def test_sizes_that_are_none_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
