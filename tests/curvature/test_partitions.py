"""Groups of weights: by units, by correlation, by chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.curvature.partitions import arbitrary, correlated, correlations, k_units

seeds = st.integers(0, 2**32 - 1)


def positions(partition):
    """Where each block lies in the flat vector."""
    n = sum(block.size for block in partition.values())
    return {name: np.arange(n)[block.index] for name, block in partition.items()}


def moves(net, x, params, block):
    """Which outputs of a layer change when a block's weights do."""
    moved = params.vector.copy()
    moved[positions(hf.Partition.of(params, block[0]))[block[1]]] += 0.5
    change = np.abs(net(params.with_vector(moved), x) - net(params, x))
    return set(np.flatnonzero(change.reshape(len(x), -1).max(axis=0) > 0))


@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
@pytest.mark.parametrize(
    ("net", "shape", "units"),
    [(hf.Dense(4, 5), (4,), 5), (hf.RNN(4, 5), (1, 4), 5), (hf.LSTM(4, 5), (1, 4), 5)],
    ids=["dense", "rnn", "lstm"],
)
def test_the_weights_of_a_block_move_its_units_and_no_others(net, shape, units, k):
    """In the first step: later ones see the moved hidden state."""
    params, x = net.init(0, np.float64), np.random.default_rng(0).standard_normal((3, *shape))
    partition = k_units(params, k)
    assert len(partition) == -(-units // k)
    for i, name in enumerate(partition):
        first, last = i * k, min(i * k + k, units)
        assert name == f"network[{first}:{last}]"
        assert moves(net, x, params, (partition, name)) == set(range(first, last))
        assert partition[name].size == params.size * (last - first) // units


def test_the_unit_of_a_convolution_is_a_filter():
    net = hf.Conv2d(2, 3, 3)
    params, x = net.init(0, np.float64), np.random.default_rng(0).standard_normal((1, 2, 3, 3))
    for i, name in enumerate(partition := k_units(params, 1)):
        assert moves(net, x, params, (partition, name)) == {i}


def test_as_many_units_as_there_are_make_layers():
    net = hf.Sequential(rnn=hf.RNN(2, 3), last=hf.LastStep(), dense=hf.Dense(3, 2))
    params = net.init(0)
    by_units = positions(k_units(params, 3))
    by_layer = positions(hf.Partition.of(params, "layer"))
    assert [p.tolist() for p in by_units.values()] == [p.tolist() for p in by_layer.values()]


@given(seed=seeds, n=st.integers(1, 30), data=st.data())
def test_arbitrary_groups_are_of_equal_size_and_those_of_the_seed(seed, n, data):
    count = data.draw(st.integers(1, n))
    params = hf.Params.from_dict({"w": np.zeros(n)})
    partition = arbitrary(params, count, seed)
    sizes = [block.size for block in partition.values()]
    assert len(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    again = positions(arbitrary(params, count, seed))
    assert all((again[name] == index).all() for name, index in positions(partition).items())


def test_another_seed_deals_otherwise():
    params = hf.Params.from_dict({"w": np.zeros(40)})
    one, other = (positions(arbitrary(params, 4, seed)) for seed in (0, 1))
    assert any((one[name] != other[name]).any() for name in one)


@given(seed=seeds, count=st.integers(1, 4), size=st.integers(1, 5))
def test_blocks_that_do_not_interact_are_found_again(seed, count, size):
    """Whatever the scale of the parameters, and in whatever order they stand."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(count), size))
    H = np.where(owner[:, None] == owner, 0.5, 0.0) + 0.5 * np.eye(count * size)
    scale = 10 ** rng.uniform(-3, 3, count * size)
    params = hf.Params.from_dict({"w": np.zeros(count * size)})
    found = positions(correlated(scale[:, None] * H * scale, params, count))
    assert {len(set(owner[index])) for index in found.values()} == {1}


@given(seed=seeds)
def test_a_group_grows_along_a_chain(seed):
    """Its members need not all interact with the first: each with its neighbours is enough."""
    place = np.random.default_rng(seed).permutation(10)        # two chains of five, shuffled
    link = np.abs(place[:, None] - place) == 1
    link &= place[:, None] // 5 == place // 5
    params = hf.Params.from_dict({"w": np.zeros(10)})
    found = positions(correlated(np.eye(10) + 0.4 * link, params, 2))
    assert {tuple(sorted(place[index])) for index in found.values()} == {
        (0, 1, 2, 3, 4),
        (5, 6, 7, 8, 9),
    }


def test_it_takes_an_operator_and_counts_the_correlations_of_it():
    net = hf.Sequential(hf.Dense(3, 2), hf.ReLU(), hf.Dense(2, 2))
    params = net.init(0, np.float64)
    params["0.b"][0] = -100                                    # a dead unit: no curvature there
    x = np.random.default_rng(0).standard_normal((9, 3))
    G = hf.GGN(hf.linearize(net, params, x), hf.SquaredError(), np.zeros((9, 2)))
    R = correlations(G)
    assert R.max() <= 1 + 1e-12
    assert sorted(set(np.diag(R).round(12))) == [0, 1]
    np.testing.assert_array_equal(R, correlations(G.to_dense()))
    one, other = (positions(correlated(matrix, params, 4)) for matrix in (G, G.to_dense()))
    assert [p.tolist() for p in one.values()] == [p.tolist() for p in other.values()]


def test_a_partition_may_be_a_function_of_the_parameters():
    params = hf.Dense(3, 2).init(0)
    made = hf.Partition.of(params, lambda p: k_units(p, 1))
    assert made.names == ("network[0:1]", "network[1:2]")


def test_what_does_not_fit_is_refused():
    params = hf.Params.from_dict({"w": np.zeros((2, 3, 4))})
    with pytest.raises(ValueError, match=r"parameter 'w' has shape \(2, 3, 4\); units are known"):
        k_units(params, 2)
    with pytest.raises(ValueError, match="k is 0, expected a whole number of 1 or more"):
        k_units(params, 0)
    with pytest.raises(ValueError, match="count is 25, expected a whole number from 1 to 24"):
        arbitrary(params, 25)
    with pytest.raises(ValueError, match=r"the matrix is \(3, 3\), expected \(24, 24\)"):
        correlated(np.eye(3), params, 2)
