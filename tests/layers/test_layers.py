"""Layers: the names they give, the values they start from, and what they say of a wrong input."""

import numpy as np
import pytest

import minihf as hf

SIGMAS = 6.0  # a statistic of so many standard errors happens once in 10^9 seeds; the seed is fixed
FAN_IN, FAN_OUT = 300, 200


@pytest.fixture
def autoencoder():
    return hf.Sequential(
        encoder=hf.Sequential(hf.Dense(6, 4), hf.Tanh(), hf.Dense(4, 2)),
        decoder=hf.Sequential(hf.Dense(2, 6, bias=False), hf.Sigmoid()),
    )


# Names and shapes


def test_names_are_dotted_paths_in_the_order_of_the_layers(autoencoder):
    shapes = {name: slot.shape for name, slot in autoencoder.init(0).layout.items()}
    assert list(shapes.items()) == [
        ("encoder.0.W", (6, 4)), ("encoder.0.b", (4,)),
        ("encoder.2.W", (4, 2)), ("encoder.2.b", (2,)),
        ("decoder.0.W", (2, 6)),
    ]  # fmt: skip


def test_a_seed_gives_the_same_numbers_in_any_dtype_and_on_any_backend(autoencoder, backend):
    hf.use(backend)
    single, double = autoencoder.init(3), autoencoder.init(3, dtype=np.float64)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    expected = autoencoder.parameters(np.random.default_rng(3))["encoder.0.W"]
    np.testing.assert_array_equal(hf.to_host(double["encoder.0.W"]), expected)
    np.testing.assert_array_equal(hf.to_host(single.vector), np.float32(hf.to_host(double.vector)))
    assert (hf.to_host(autoencoder.init(4).vector) != hf.to_host(single.vector)).any()


def test_layers_run_on_plain_arrays_and_on_traced_values_alike(autoencoder, backend):
    hf.use(backend)
    params, x = autoencoder.init(0), hf.asarray(np.ones((5, 6), np.float32))
    plain, traced = autoencoder(params, x), hf.linearize(autoencoder, params, x).output
    assert plain.shape == (5, 6)
    np.testing.assert_array_equal(hf.to_host(plain), hf.to_host(traced))


def test_residual_adds_the_body_to_the_shortcut(backend):
    hf.use(backend)
    x = hf.asarray(np.random.default_rng(0).standard_normal((5, 4)))
    plain = hf.Residual(hf.Dense(4, 4))
    params = plain.init(0, np.float64)
    expected = hf.to_host(hf.Dense(4, 4)(params.scope("body"), x) + x)
    np.testing.assert_array_equal(hf.to_host(plain(params, x)), expected)
    mapped = hf.Residual(hf.Dense(4, 2), hf.Dense(4, 2, bias=False))
    assert mapped.init(0).names == ("body.W", "body.b", "shortcut.W")
    assert mapped(mapped.init(0, np.float64), x).shape == (5, 2)


ACTIVATIONS = {
    hf.Tanh(): np.tanh,
    hf.Sigmoid(): lambda x: 1 / (1 + np.exp(-x)),
    hf.ReLU(): lambda x: np.maximum(x, 0),
    hf.Softplus(): lambda x: np.log(1 + np.exp(x)),
    hf.Identity(): lambda x: x,
    hf.Flatten(): lambda x: x.reshape(4, 6),
}


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_activations_are_the_textbook_functions_and_have_no_parameters(layer):
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    np.testing.assert_allclose(layer(None, x), ACTIVATIONS[layer](x), rtol=1e-14)
    assert layer.parameters(np.random.default_rng(0)) == {}


# Initial values


def variance_is(W, expected, kurtosis):
    """Tell whether the sample variance of W (mean zero) is within its standard error."""
    error = expected * np.sqrt((kurtosis - 1) / W.size)
    return abs(np.mean(W**2) - expected) <= SIGMAS * error


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_glorot_is_uniform_up_to_its_bound(gain, extra):
    rule = hf.Glorot(gain, count_bias=bool(extra))
    W = rule.weight(np.random.default_rng(0), FAN_IN, FAN_OUT)
    bound = gain * np.sqrt(6 / (FAN_IN + FAN_OUT + extra))
    assert 0.999 * bound < np.abs(W).max() <= bound  # 60000 draws come that close
    assert variance_is(W, bound**2 / 3, kurtosis=9 / 5)


def test_he_is_normal_with_variance_two_over_fan_in():
    W = hf.He().weight(np.random.default_rng(0), FAN_IN, FAN_OUT)
    assert variance_is(W, 2 / FAN_IN, kurtosis=3)
    assert np.abs(W).max() > 3.5 * np.sqrt(2 / FAN_IN)  # a normal has tails


def test_sparse_connects_fifteen_inputs_to_each_unit():
    W = hf.Sparse(scale=0.5).weight(np.random.default_rng(0), FAN_IN, FAN_OUT)
    assert (np.count_nonzero(W, axis=0) == 15).all()
    assert (np.count_nonzero(W, axis=1) > 0).mean() > 0.99  # (1 - 1/20)^200 of the rows stay empty
    assert variance_is(W[W != 0], 0.25, kurtosis=3)
    narrow = hf.Sparse().weight(np.random.default_rng(0), 4, 2)
    assert np.count_nonzero(narrow) == narrow.size


def test_biases_start_at_zero_unless_told_otherwise():
    for rule, value in [
        (hf.Glorot(), 0.0), (hf.He(), 0.0), (hf.Sparse(), 0.0),
        (hf.Glorot(bias_value=0.25), 0.25), (hf.Sparse(bias_value=0.5), 0.5),
    ]:  # fmt: skip
        params = hf.Dense(3, 2, init_with=rule).init(0)
        assert params["b"].tolist() == [value, value]


# What they say


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 7), r"Dense 'encoder.0': x has 7 features, W expects 6: x has shape \(5, 7\), W has "
                 r"shape \(6, 4\)"),
        ((6,), r"Dense 'encoder.0': x has shape \(6,\), expected a batch \(N, 6\)"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_reported_with_the_dotted_path(autoencoder, shape, message):
    with pytest.raises(ValueError, match=message):
        hf.linearize(autoencoder, autoencoder.init(0), np.ones(shape, np.float32))


def test_paths_that_do_not_meet_are_reported_with_both_shapes():
    net = hf.Sequential(block=hf.Residual(hf.Dense(4, 2)))
    with pytest.raises(ValueError, match=r"Residual 'block': the body gives shape \(5, 2\), the s"):
        net(net.init(0), np.ones((5, 4), np.float32))


def double(params, x):
    return 2 * x


@pytest.mark.parametrize(
    "intruder", [hf.Tanh, double, None, "tanh"], ids=["class", "function", "None", "name"]
)
def test_what_is_no_layer_is_refused_by_every_container(intruder):
    refused = {
        "Sequential: '1'": lambda: hf.Sequential(hf.Tanh(), intruder),
        "Sequential: 'code'": lambda: hf.Sequential(code=intruder),
        "Residual: 'body'": lambda: hf.Residual(intruder),
        "Residual: 'shortcut'": lambda: hf.Residual(hf.Tanh(), intruder or "none"),
    }
    for who, make in refused.items():
        with pytest.raises(TypeError, match=f"^{who} is .*, expected a layer such as hf.Tanh()"):
            make()


@pytest.mark.parametrize("sizes", [(0, 2), (3, -1), (3.0, 2), (True, 2)])
def test_sizes_are_whole_numbers_from_one(sizes):
    with pytest.raises(ValueError, match="_features must be a whole number from 1"):
        hf.Dense(*sizes)
    assert hf.Dense(np.int64(3), 2).init(0)["W"].shape == (3, 2)


@pytest.mark.parametrize("name", ["0", "a.b", ""])
def test_a_name_that_would_hide_another_layer_is_refused(name):
    with pytest.raises(ValueError, match="a layer cannot be called"):
        hf.Sequential(hf.Dense(2, 3), **{name: hf.Dense(3, 2)})


@pytest.mark.parametrize("thing", [hf.Tanh, [hf.Tanh()], "tanh"])
def test_what_is_no_layer_is_refused_by_its_place(thing):
    with pytest.raises(TypeError, match=r"Sequential: '1' is .*, expected a layer such as hf.Tanh"):
        hf.Sequential(hf.Dense(2, 3), thing)


def test_data_that_would_widen_the_weights_are_refused():
    net = hf.Sequential(code=hf.Dense(3, 2))
    with pytest.raises(ValueError, match=r"Dense 'code': x is float64, W is float32; convert"):
        net(net.init(0), np.ones((4, 3)))
    with pytest.raises(TypeError, match=r"Dense 'code': x is a list, expected one array \(N, 3\)"):
        net(net.init(0), [[1.0, 2.0, 3.0]])


def test_an_empty_batch_gives_an_empty_output():
    net = hf.Sequential(hf.Flatten(), hf.Dense(6, 2))
    assert net(net.init(0), np.zeros((0, 2, 3), np.float32)).shape == (0, 2)


def test_an_empty_sequential_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        hf.Sequential()
