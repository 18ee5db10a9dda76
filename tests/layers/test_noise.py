"""Noise layers: what they draw, what they do with it, and that evaluation knows nothing of it."""

import numpy as np
import pytest

import minihf as hf

SIGMAS = 6.0          # a statistic of so many standard errors happens once in 10^9 seeds
MANY = 40_000
COMPLEX_STEP = 1e-30
ROUNDING = 1e-12      # relative, float64

LAYERS = [hf.Dropout(0.4, 3), hf.MaskingNoise(0.4, 3), hf.GaussianNoise(0.7, 3)]
by_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)


def network(layer, dtype=np.float64):
    net = hf.Sequential(
        encoder=hf.Sequential(hf.Dense(4, 3), layer, hf.Tanh()),
        decoder=hf.Residual(hf.Sequential(layer, hf.Dense(3, 3)), hf.Sequential(layer)),
    )
    x = hf.asarray(np.random.default_rng(1).standard_normal((5, 4)), dtype)
    return net, net.init(0, dtype), x


def draw(net, seed=0, n=5, dtype=np.float64):
    return net.draw(np.random.default_rng(seed), n, dtype)


# What is drawn


@by_layer
def test_noise_has_the_dotted_names_of_its_layers_and_the_cases_first(layer):
    noise = draw(network(layer)[0], n=7)
    own = "noise" if isinstance(layer, hf.GaussianNoise) else "mask"
    paths = ["encoder.1", "decoder.body.0", "decoder.shortcut.0"]
    assert list(noise) == [f"{path}.{own}" for path in paths]
    assert {array.shape for array in noise.values()} == {(7, 3)}
    first, second, third = noise.values()
    assert (first != second).any()
    assert (second != third).any()


@by_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_seed_gives_the_same_numbers_in_any_dtype_and_on_any_backend(layer, dtype, backend):
    mine = draw(network(layer)[0], seed=3, dtype=dtype)
    hf.use("numpy")
    host = draw(network(layer)[0], seed=3)
    hf.use(backend)
    for name, array in mine.items():
        assert array.dtype == dtype
        assert hf.backend.array_module(array) is hf.backend.array_module(hf.asarray(1.0))
        np.testing.assert_array_equal(hf.to_host(array), host[name].astype(dtype))


@pytest.mark.parametrize("p", [0.0, 0.2, 0.75])
def test_dropout_keeps_the_mean_and_masking_noise_the_kept_entries(p):
    dropped, masked = (draw(kind(p, 1), n=MANY)["mask"] for kind in (hf.Dropout, hf.MaskingNoise))
    assert set(np.unique(dropped)) <= {0.0, 1 / (1 - p)}
    assert set(np.unique(masked)) <= {0.0, 1.0}
    error = np.sqrt(p / (1 - p) / MANY)
    assert abs(dropped.mean() - 1) <= SIGMAS * error
    assert abs(masked.mean() - (1 - p)) <= SIGMAS * (1 - p) * error


def test_gaussian_noise_has_mean_zero_and_its_scale():
    noise = draw(hf.GaussianNoise(0.3, 2), n=MANY)["noise"]
    assert abs(noise.mean()) <= SIGMAS * 0.3 / np.sqrt(noise.size)
    assert abs(noise.std() / 0.3 - 1) <= SIGMAS / np.sqrt(2 * noise.size)


def test_an_axis_of_one_shares_its_draw():
    layer = hf.Dropout(0.5, (1, 6))  # the same units at every step
    noise = draw(layer, n=2)
    y = layer(hf.Params.from_dict({"w": np.ones(1)}).with_noise(noise), np.ones((2, 9, 6)))
    np.testing.assert_array_equal(y, np.broadcast_to(noise["mask"], (2, 9, 6)))


def test_a_network_without_noise_layers_draws_nothing():
    rng = np.random.default_rng(0)
    assert hf.Sequential(hf.Dense(2, 2), hf.Residual(hf.Tanh())).draw(rng, 3) == {}
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


# What is done with it


@by_layer
def test_without_noise_nothing_happens(layer, backend):
    net, params, x = network(layer)
    bare = network(hf.Identity())[0]
    for given in (params, params.with_noise(None)):
        np.testing.assert_array_equal(hf.to_host(net(given, x)), hf.to_host(bare(params, x)))
    lin = hf.linearize(net, params, x)
    np.testing.assert_array_equal(hf.to_host(lin.output), hf.to_host(bare(params, x)))
    assert layer(params, x) is x


@by_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_noise_goes_to_its_own_layer(layer, dtype, backend):
    net, params, x = network(layer, dtype)
    noise = draw(net, dtype=dtype)
    use = np.add if isinstance(layer, hf.GaussianNoise) else np.multiply
    p, (one, two, three) = (
        {name: hf.to_host(params[name]) for name in params},
        map(hf.to_host, noise.values()),
    )
    h = np.tanh(use(hf.to_host(x) @ p["encoder.0.W"] + p["encoder.0.b"], one))
    y = use(h, two) @ p["decoder.body.1.W"] + p["decoder.body.1.b"] + use(h, three)
    plain = net(params.with_noise(noise), x)
    traced = hf.linearize(net, params, x, noise).output
    assert plain.dtype == traced.dtype == dtype
    np.testing.assert_array_equal(hf.to_host(plain), hf.to_host(traced))
    np.testing.assert_allclose(hf.to_host(plain), y, rtol=1e-5 if dtype == np.float32 else 1e-12)


@by_layer
def test_derivatives_are_those_of_the_network_with_this_noise(layer):
    net, params, x = network(layer)
    noise, y = draw(net), np.random.default_rng(2).standard_normal((5, 3))
    lin, loss = hf.linearize(net, params, x, noise), hf.SquaredError()
    v = np.random.default_rng(3).standard_normal(params.size)
    bent = params.with_vector(params.vector + 1j * COMPLEX_STEP * v)
    there = hf.linearize(net, bent, x, noise)
    for product, stepped in (
        (lin.jvp(v), there.output),
        (lin.hvp(v, loss, y), there.vjp(loss.grad(there.output, y))),
    ):
        np.testing.assert_allclose(product, stepped.imag / COMPLEX_STEP, rtol=0, atol=ROUNDING * 10)
    u = np.random.default_rng(4).standard_normal((5, 3))
    assert np.vdot(u, lin.jvp(v)) == pytest.approx(np.vdot(lin.vjp(u), v), rel=ROUNDING)


# What is refused


@pytest.mark.parametrize("kind", [hf.Dropout, hf.MaskingNoise])
@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, np.nan])
def test_a_probability_out_of_range_is_refused(kind, p):
    with pytest.raises(ValueError, match=rf"{kind.__name__}: p must be in \[0, 1\), got {p}"):
        kind(p, 3)


@pytest.mark.parametrize("scale", [-1.0, np.inf, np.nan])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ValueError, match=f"GaussianNoise: scale must be 0 or more, got {scale}"):
        hf.GaussianNoise(scale, 3)


@pytest.mark.parametrize("features", [0, -1, 2.0, (), (3, 0), [3]])
@pytest.mark.parametrize("kind", [hf.Dropout, hf.MaskingNoise, hf.GaussianNoise])
def test_features_that_are_no_shape_are_refused(kind, features):
    with pytest.raises(ValueError, match=f"{kind.__name__}: features must be a positive whole"):
        kind(0.5, features)


@by_layer
def test_noise_for_other_cases_or_another_shape_is_refused(layer):
    net, params, x = network(layer)
    kind = type(layer).__name__
    for n in (1, 4):
        with pytest.raises(ValueError, match=rf"{kind} 'encoder.1': x has .*net.draw\(rng, 5\)"):
            hf.linearize(net, params, x, draw(net, n=n))
    for features in (2, (3, 1)):
        wide = type(layer)(0.5, features)
        with pytest.raises(ValueError, match=r"x has shape \(5, 3\), .*features=\(3,\)"):
            wide(params.with_noise(draw(wide)), np.ones((5, 3)))


@by_layer
def test_noise_of_another_network_is_refused(layer):
    net, params, x = network(layer)
    with pytest.raises(KeyError, match=r"no noise 'encoder\.1\..*'; there is: none; draw it"):
        net(params.with_noise({}), x)
