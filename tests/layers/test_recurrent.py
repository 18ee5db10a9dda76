"""Recurrent layers: names and first values, lengths as truncation, curvature of small networks."""

import warnings
from itertools import pairwise

import numpy as np
import pytest

import minihf as hf
from minihf.optim.preconditioners import mean_squared_gradients
from minihf.testing import complex_step_jvp, jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

SAME = 1e-12  # the same sums in another order
EXACT = 1e-10  # the complex step is good to 1e-15; a matrix of such columns, a little less
N, T, D, H, M = 5, 6, 3, 2, 4
LENGTHS = np.array([6, 1, 3, 6, 2])
BOTH = pytest.mark.parametrize("kind", [hf.RNN, hf.LSTM])


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def classifier(kind):
    """Two recurrent layers, so that one has a tangent and a cotangent for its input."""
    return hf.Sequential(
        first=kind(D, H), second=kind(H, H), last=hf.LastStep(), out=hf.Dense(H, M)
    )


@pytest.fixture
def labels():
    return hf.asarray(np.random.default_rng(1).integers(0, M, N))


# Parameters and values


@pytest.mark.parametrize(("kind", "gates"), [(hf.RNN, 1), (hf.LSTM, 4)])
def test_parameters_and_their_shapes(kind, gates):
    params, G = hf.Sequential(cell=kind(D, H)).init(0), gates * H
    shapes = [(name, slot.shape) for name, slot in params.layout.items()]
    assert shapes == [("cell.Wx", (D, G)), ("cell.Wh", (H, G)), ("cell.b", (G,))]


def test_the_forget_gate_starts_open():
    for rule in (hf.Glorot(), hf.Sparse(bias_value=0.5)):
        b = hf.LSTM(D, H, init_with=rule).parameters(np.random.default_rng(0))["b"]
        other = rule.bias(np.random.default_rng(0), 1)[0]
        assert b.tolist() == np.repeat([other, 1, other, other], H).tolist()


def test_each_gate_is_drawn_with_its_own_fan_out():
    Wx = hf.LSTM(30, 40).parameters(np.random.default_rng(0))["Wx"]
    bound = np.sqrt(6 / (30 + 40))
    for gate in np.split(Wx, 4, axis=1):
        assert 0.99 * bound < np.abs(gate).max() <= bound


@BOTH
def test_one_step_is_one_cell(kind):
    layer = kind(D, H)
    params, x = layer.init(0, np.float64), draw(N, 1, D)
    a = x[:, 0] @ hf.to_host(params["Wx"]) + hf.to_host(params["b"])
    if kind is hf.RNN:
        expected = np.tanh(a)
    else:
        i, _, g, o = np.split(a, 4, axis=1)
        expected = np.tanh(np.tanh(g) / (1 + np.exp(-i))) / (1 + np.exp(-o))
    assert relative_error(layer(params, hf.asarray(x)), expected[:, None]) <= SAME


@BOTH
def test_the_hidden_sequence_is_tapped_under_its_path(kind):
    net, x = classifier(kind), hf.asarray(draw(N, T, D))
    params = net.init(0, np.float64)
    lin = hf.linearize(net, params, x)
    assert list(lin.taps) == ["first.hidden", "second.hidden"]
    np.testing.assert_array_equal(
        hf.to_host(lin.taps["first.hidden"]), hf.to_host(kind(D, H)(params.scope("first"), x))
    )
    assert list(hf.linearize(kind(D, H), kind(D, H).init(0, np.float64), x).taps) == ["hidden"]


@BOTH
def test_flatten_gives_the_steps_one_after_another(kind):
    layer, x = kind(D, H), hf.asarray(draw(N, T, D))
    net = hf.Sequential(cell=layer, flat=hf.Flatten())
    params = net.init(0, np.float64)
    h = hf.to_host(layer(params.scope("cell"), x))
    expected = np.concatenate([h[:, t] for t in range(T)], axis=1)
    np.testing.assert_array_equal(hf.to_host(net(params, x)), expected)
    cotangent = draw(N, T * H)
    alone = hf.linearize(lambda p, x: layer(p.scope("cell"), x), params, x)
    pulled = alone.vjp(hf.asarray(cotangent.reshape(N, T, H)))
    flat = hf.linearize(net, params, x).vjp(hf.asarray(cotangent))
    assert relative_error(flat, pulled) <= SAME


# Lengths


@BOTH
def test_lengths_are_truncation(kind, labels):
    """Each case, cut at its length and run by itself, gives its part of everything."""
    net, loss = classifier(kind), hf.SoftmaxCrossEntropy()
    params, x = net.init(0, np.float64), hf.asarray(draw(N, T, D))
    v = hf.asarray(draw(params.size, seed=2))
    lin = hf.linearize(net, params, (x, hf.asarray(LENGTHS)))
    found = (lin.vjp(loss.grad(lin.output, labels)), hf.GGN(lin, loss, labels) @ v,
             lin.hvp(v, loss, labels))  # fmt: skip
    sums = [0, 0, 0]
    for n, length in enumerate(LENGTHS):
        one, y = hf.linearize(net, params, x[n : n + 1, :length]), labels[n : n + 1]
        assert relative_error(lin.output[n : n + 1], one.output) <= SAME
        parts = (one.vjp(loss.grad(one.output, y)), hf.GGN(one, loss, y) @ v, one.hvp(v, loss, y))
        sums = [total + part / N for total, part in zip(sums, parts, strict=True)]
    for ours, expected in zip(found, sums, strict=True):
        assert relative_error(ours, expected) <= SAME


@BOTH
def test_what_stands_in_the_padding_changes_no_bit(kind, labels):
    net, loss, x = classifier(kind), hf.SoftmaxCrossEntropy(), draw(N, T, D)
    params, other = net.init(0, np.float64), x.copy()
    other[np.arange(T) >= LENGTHS[:, None]] = 1e6
    v = hf.asarray(draw(params.size, seed=2))
    results = []
    for sequence in (x, other):
        lin = hf.linearize(net, params, (hf.asarray(sequence), hf.asarray(LENGTHS)))
        hidden = hf.to_host(lin.taps["second.hidden"])
        assert not hidden[np.arange(T) >= LENGTHS[:, None]].any()
        Gv, Hv = hf.GGN(lin, loss, labels) @ v, lin.hvp(v, loss, labels)
        results.append([lin.output, Gv, Hv, hidden])
    for one, same in zip(*results, strict=True):
        np.testing.assert_array_equal(hf.to_host(one), hf.to_host(same))


@BOTH
def test_full_lengths_are_no_lengths(kind):
    net, x = classifier(kind), hf.asarray(draw(N, T, D))
    params = net.init(0, np.float64)
    full = hf.asarray(np.full(N, T))
    assert relative_error(net(params, (x, full)), net(params, x)) == 0.0


@BOTH
def test_a_masked_loss_at_every_step_is_truncation(kind):
    net, loss = hf.Sequential(kind(D, H), hf.Dense(H, M)), hf.SoftmaxCrossEntropy()
    params, x = net.init(0, np.float64), hf.asarray(draw(N, T, D))
    v = hf.asarray(draw(params.size, seed=2))
    targets = np.random.default_rng(3).integers(0, M, (N, T))
    mask = np.arange(T) < LENGTHS[:, None]
    y = (hf.asarray(np.where(mask, targets, -1)), hf.asarray(mask))
    lin = hf.linearize(net, params, x)
    sums = [0, 0, 0]
    for n, length in enumerate(LENGTHS):
        one = hf.linearize(net, params, x[n : n + 1, :length])
        cut = hf.asarray(targets[n : n + 1, :length])
        parts = (loss.value(one.output, cut), hf.GGN(one, loss, cut) @ v, one.hvp(v, loss, cut))
        sums = [total + part / N for total, part in zip(sums, parts, strict=True)]
    found = (loss.value(lin.output, y), hf.GGN(lin, loss, y) @ v, lin.hvp(v, loss, y))
    for ours, expected in zip(found, sums, strict=True):
        assert relative_error(ours, expected) <= SAME


# Curvature


@BOTH
def test_curvature_is_that_of_the_dense_oracle(kind, labels):
    net, loss = classifier(kind), hf.SoftmaxCrossEntropy()
    params, x = net.init(0, np.float64), (hf.asarray(draw(N, T, D)), hf.asarray(LENGTHS))
    lin = hf.linearize(net, params, x)
    J = jacobian(lambda vector: net(params.with_vector(vector), x).reshape(-1), params.vector)
    H_L = jacobian(
        lambda z: loss.grad(z.reshape(N, M), labels).reshape(-1), lin.output.reshape(-1)
    )

    def gradient(vector):
        moved = hf.linearize(net, params.with_vector(vector), x)
        return moved.vjp(loss.grad(moved.output, labels))

    exact = jacobian(gradient, params.vector)
    G, hessian = J.T @ H_L @ J, hf.Hessian(lin, loss, labels).to_dense()
    hessian = hf.to_host(hessian)
    assert relative_error(hf.GGN(lin, loss, labels).to_dense(), G) <= EXACT
    assert relative_error(hessian, exact) <= EXACT
    assert relative_error(hessian, hessian.T) <= EXACT
    for spec in ("layer", "param"):
        partition = hf.Partition.of(params, spec)
        blocks = hf.GGN(lin, loss, labels, partition), hf.Hessian(lin, loss, labels, partition)
        for name, block in partition.items():
            e = hf.asarray(draw(block.size, seed=4))
            for curvature, whole in zip(blocks, (G, exact), strict=True):
                expected = whole[block.index, block.index] @ hf.to_host(e)
                assert relative_error(curvature.block(name) @ e, expected) <= EXACT, name


@BOTH
def test_the_derivative_with_lengths_is_the_complex_step(kind):
    net, x = classifier(kind), (hf.asarray(draw(N, T, D)), hf.asarray(LENGTHS))
    params = net.init(0, np.float64)
    v = hf.asarray(draw(params.size, seed=2))
    expected = complex_step_jvp(lambda w: net(params.with_vector(w), x), [params.vector], [v])
    assert relative_error(hf.linearize(net, params, x).jvp(v), expected) <= EXACT


@BOTH
def test_squared_gradients_are_those_of_each_case(kind, labels):
    net, loss = classifier(kind), hf.SoftmaxCrossEntropy()
    params, x = net.init(0, np.float64), hf.asarray(draw(N, T, D))
    lengths = hf.asarray(LENGTHS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mean_squared_gradients(hf.linearize(net, params, (x, lengths)), loss, labels)
    total = 0
    for n in range(N):
        one = hf.linearize(net, params, (x[n : n + 1], lengths[n : n + 1]))
        total = total + one.vjp(loss.grad(one.output, labels[n : n + 1])) ** 2 / N
    assert relative_error(found.vector, total) <= SAME


@BOTH
def test_martens_trains_it_without_a_warning(kind, labels):
    net, loss = classifier(kind), hf.SoftmaxCrossEntropy()
    batch = ((hf.asarray(draw(N, T, D)), hf.asarray(LENGTHS)), labels)
    params, opt = net.init(0, np.float64), hf.papers.martens2010()
    state = opt.init(params, seed=0)
    values = [float(loss.value(net(params, batch[0]), labels))]
    for _ in range(4):
        params, state, _ = opt.step(net, loss, params, state, batch)
        values.append(float(loss.value(net(params, batch[0]), labels)))
    assert all(new < old for old, new in pairwise(values))


# What they say


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((N, D), r"LSTM 'rnn.0': x has shape \(5, 3\), expected a batch of sequences \(N, T, 3\)"),
        ((N, 0, D), r"LSTM 'rnn.0': x has shape \(5, 0, 3\), .* \(N, T, 3\) with N >= 1 and T"),
        ((0, T, D), r"LSTM 'rnn.0': x has shape \(0, 6, 3\), .* with N >= 1 and T >= 1"),
        ((N, T, D + 1), r"LSTM 'rnn.0': x has 4 features, Wx expects 3: x has shape \(5, 6, 4\), "
                        r"Wx has shape \(3, 8\)"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_reported_with_the_dotted_path(shape, message):
    net = hf.Sequential(rnn=hf.Sequential(hf.LSTM(D, H), hf.LastStep()))
    with pytest.raises(ValueError, match=message):
        hf.linearize(net, net.init(0), hf.asarray(np.ones(shape, np.float32)))


@BOTH
def test_a_sequence_of_another_width_is_reported_with_or_without_lengths(kind):
    net, x = hf.Sequential(cell=kind(D + 1, H)), hf.asarray(np.ones((N, T, D), np.float32))
    gates = 4 if kind is hf.LSTM else 1
    message = (
        rf"{kind.__name__} 'cell': x has 3 features, Wx expects 4: x has shape \(5, 6, 3\), "
        rf"Wx has shape \(4, {gates * H}\)"
    )
    for given in (x, (x, hf.asarray(LENGTHS))):
        with pytest.raises(ValueError, match=message):
            hf.linearize(net, net.init(0), given)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (np.full(N, T + 1), r"lengths run from 7 to 7, expected 1 to T = 6 for x of shape \(5, 6"),
        (np.arange(N), r"lengths run from 0 to 4, expected 1 to T = 6"),
        (np.full(N + 1, T), r"int64 of shape \(6,\), expected integers of shape \(5,\) for x"),
        (np.full(N, 2.0), r"lengths are float64 of shape \(5,\), expected integers"),
    ],
)
def test_wrong_lengths_are_reported_with_the_dotted_path(lengths, message):
    last = hf.Sequential(cell=hf.LastStep(), out=hf.Dense(D, 2))
    for net in (hf.Sequential(cell=hf.RNN(D, H)), last):
        x = (hf.asarray(np.ones((N, T, D), np.float32)), hf.asarray(lengths))
        with pytest.raises(ValueError, match=f"(RNN|LastStep) 'cell': .*{message}"):
            net(net.init(0), x)


def test_lengths_as_a_list_and_last_steps_of_a_matrix_are_refused():
    net = hf.Sequential(cell=hf.RNN(D, H))
    x = hf.asarray(np.ones((N, T, D), np.float32))
    with pytest.raises(ValueError, match=r"RNN 'cell': lengths are list of shape \(5,\), exp"):
        net(net.init(0), (x, [T] * N))
    with pytest.raises(ValueError, match=r"RNN 'cell': x is a tuple of 3, expected \(sequence, le"):
        net(net.init(0), (x, x, x))
    for given in ([1.0], ([1.0], hf.asarray(LENGTHS))):
        with pytest.raises(TypeError, match=r"RNN 'cell': the sequence is a list, expected one"):
            net(net.init(0), given)
    net = hf.Sequential(dense=hf.Dense(D, D), last=hf.LastStep())
    with pytest.raises(ValueError, match=r"LastStep 'last': x has shape \(5, 3\), .* \(N, T, H\)"):
        net(net.init(0), x[:, 0])


# Lengths that nobody takes

TAKE_NONE = {
    "Dense 'then.0'": hf.Dense(H, M),
    "Conv2d 'then.0'": hf.Conv2d(1, 2, 3),
    "MaxPool2d 'then.0'": hf.MaxPool2d(2),
    "AvgPool2d 'then.0'": hf.AvgPool2d(2),
    "GlobalAvgPool2d 'then.0'": hf.GlobalAvgPool2d(),
    "Tanh 'then.0'": hf.Tanh(),
    "Sigmoid 'then.0'": hf.Sigmoid(),
    "ReLU 'then.0'": hf.ReLU(),
    "Softplus 'then.0'": hf.Softplus(),
    "Flatten 'then.0'": hf.Flatten(),
    "Dropout 'then.0'": hf.Dropout(0.5, (T, H)),
    "MaskingNoise 'then.0'": hf.MaskingNoise(0.5, (T, H)),
    "GaussianNoise 'then.0'": hf.GaussianNoise(0.5, (T, H)),
    "Residual 'then.0': what the body gives": hf.Residual(hf.LSTM(H, H)),
    "Residual 'then.0': what the shortcut gives": hf.Residual(
        hf.Sequential(hf.LSTM(H, H), hf.LastStep())
    ),
    "Dense 'then.0.body'": hf.Residual(hf.Dense(H, H)),
}


@pytest.fixture
def padded():
    return (hf.asarray(draw(N, T, D).astype(np.float32)), hf.asarray(LENGTHS))


@BOTH
@pytest.mark.parametrize("who", TAKE_NONE)
def test_lengths_that_meet_a_layer_which_takes_none_are_refused_by_its_path(who, kind, padded):
    net = hf.Sequential(cell=kind(D, H), then=hf.Sequential(TAKE_NONE[who]))
    giver = r"\w+ '[\w.]+'" if "Residual" in who else f"{kind.__name__} 'cell'"
    message = (
        rf"^{who}.* is a tuple of shapes \(5, 6, 2\) and \(5,\) from {giver}, expected one array "
        r".*; only RNN, LSTM and LastStep take lengths: put LastStep\(\) before it"
    )
    for run in (net, lambda params, x: hf.linearize(net, params, x)):
        with pytest.raises(TypeError, match=message):
            run(net.init(0), padded)


def test_a_pair_that_meets_such_a_layer_first_is_refused_alike(padded):
    net = hf.Sequential(first=hf.Dense(D, H), then=hf.LSTM(H, H))
    message = (
        r"^Dense 'first': x is a tuple of shapes \(5, 6, 3\) and \(5,\), expected one array "
        r"\(N, 3\); only RNN, LSTM and LastStep take lengths"
    )
    with pytest.raises(TypeError, match=message):
        hf.linearize(net, net.init(0), padded)


def test_noise_refuses_lengths_while_training_as_well(padded):
    net = hf.Sequential(cell=hf.LSTM(D, H), drop=hf.Dropout(0.5, (T, H)))
    noise = net.draw(np.random.default_rng(0), N)
    with pytest.raises(TypeError, match=r"^Dropout 'drop': x is a tuple"):
        hf.linearize(net, net.init(0), padded, noise)


@BOTH
def test_lengths_at_the_end_are_refused_by_the_layer_that_gave_them(kind, padded):
    net = hf.Sequential(enc=hf.Sequential(kind(D, H)), code=hf.Identity())
    params = net.init(0)
    gave = rf"a tuple of shapes \(5, 6, 2\) and \(5,\) from {kind.__name__} 'enc.0'"
    with pytest.raises(TypeError, match=rf"^the network gave {gave}, .* ends with LastStep\(\)"):
        hf.linearize(net, params, padded)
    y = hf.asarray(np.zeros((N, T, H), np.float32))
    with pytest.raises(TypeError, match=f"^SquaredError: the output is {gave}, expected one arr"):
        hf.SquaredError().value(net(params, padded), y)
    with pytest.raises(AttributeError, match=f"no 'mean' in {gave}: a sequence with its lengths"):
        net(params, padded).mean()


@BOTH
def test_data_that_would_widen_are_refused(kind):
    net = hf.Sequential(cell=kind(D, H))
    with pytest.raises(ValueError, match=r"'cell': x is float64, Wx is float32; convert the data"):
        net(net.init(0), hf.asarray(np.ones((N, T, D))))


@BOTH
@pytest.mark.parametrize("sizes", [(0, 2), (3, -1), (3.0, 2), (True, 2)])
def test_sizes_below_one_are_refused(kind, sizes):
    with pytest.raises(ValueError, match=f"{kind.__name__}: .*_size must be a whole number from 1"):
        kind(*sizes)
