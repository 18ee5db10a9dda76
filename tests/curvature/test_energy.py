"""Energies between blocks against the dense matrix, exactly and within a standard error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.curvature import BlockEnergy, Shifted

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-12  # the same squares in another order

seeds = st.integers(0, 2**32 - 1)
NET = hf.Sequential(hf.Dense(2, 3), hf.Tanh(), hf.Dense(3, 2), hf.Tanh(), hf.Dense(2, 2))


def scattered(params):
    indices = {str(i): np.arange(i, params.size, 3) for i in range(3)}
    return hf.Partition.from_indices(params, indices)


def curvature(partition, seed=0, kind=hf.GGN, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x = hf.asarray(rng.standard_normal((7, 2)), dtype=dtype)
    y = hf.asarray(rng.standard_normal((7, 2)), dtype=dtype)
    lin = hf.linearize(NET, NET.init(seed, dtype), x)
    return kind(lin, hf.SquaredError(), y, partition)


def dense_table(C):
    whole = hf.to_host(type(C)(C.lin, C.loss, C.y).to_dense())
    n, indices = len(whole), [block.index for block in C.partition.values()]
    at = [np.arange(n)[i if isinstance(i, slice) else hf.to_host(i)] for i in indices]
    return np.array([[np.sum(whole[np.ix_(a, b)] ** 2) for b in at] for a in at])


@given(
    seed=seeds,
    partition=st.sampled_from(["network", "layer", "param", scattered]),
    kind=st.sampled_from([hf.GGN, hf.Hessian]),
)
def test_without_a_generator_it_is_exact(seed, partition, kind):
    C = curvature(partition, seed, kind)
    found, table = hf.block_energy(C), dense_table(C)
    np.testing.assert_allclose(found.table, table, rtol=0, atol=EXACT * table.max())
    share = 1 - np.trace(table) / table.sum()
    assert found.off_diagonal == pytest.approx(share, abs=EXACT)
    assert (found.standard_error, found.n_products) == (0.0, C.shape[0])
    assert found.names == C.partition.names


@pytest.mark.parametrize("partition", ["layer", scattered])
def test_signs_are_right_within_the_standard_error(partition):
    C = curvature(partition)
    exact = hf.block_energy(C).off_diagonal
    errors = []
    for seed in range(20):
        found = hf.block_energy(C, np.random.default_rng(seed), probes=12)
        errors.append((found.off_diagonal - exact) / found.standard_error)
        assert found.n_products == 12 * len(C.partition)
    assert 0.6 < np.std(errors) < 1.6
    assert abs(np.mean(errors)) < 0.8


def test_every_entry_of_the_table_is_right_in_the_mean():
    C = curvature("layer")
    found, table = hf.block_energy(C, np.random.default_rng(0), probes=400), dense_table(C)
    np.testing.assert_allclose(found.table, table, rtol=0.25, atol=0)
    np.testing.assert_array_equal(found.table, found.table.T)


def test_one_block_has_nothing_off_its_diagonal():
    found = hf.block_energy(curvature("network"), np.random.default_rng(0), probes=3)
    assert (found.off_diagonal, found.standard_error) == (0.0, 0.0)


def test_parts_that_share_nothing_have_no_energy_between_them():
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({name: rng.standard_normal((2, 1)) for name in ("u", "v")})
    x = hf.asarray(rng.standard_normal((5, 2)))

    def side_by_side(params, x):
        half = hf.ops.tanh(hf.ops.dense(x, params["u"])), hf.ops.dense(x, params["v"])
        return hf.ops.concatenate(half, axis=1)

    C = hf.GGN(hf.linearize(side_by_side, params, x), hf.SquaredError(), x, "param")
    assert hf.block_energy(C, rng, probes=2).off_diagonal == pytest.approx(0, abs=EXACT)
    assert hf.block_energy(C).table.min() >= 0


def test_a_matrix_of_zeros_has_no_share():
    nothing = BlockEnergy(("a", "b"), np.zeros((3, 2, 2)), 6, exact=False)
    assert (nothing.off_diagonal, nothing.standard_error) == (0.0, 0.0)


def test_a_share_that_is_all_but_nothing_is_not_lost_in_rounding():
    table = np.diag([1 / 3, 1 / 7, 1 / 11])
    table[0, 1] = table[1, 0] = 1e-20
    found = BlockEnergy(("a", "b", "c"), table[None], 3, exact=True)
    assert found.off_diagonal == pytest.approx(2e-20 / np.trace(table), rel=EXACT, abs=0)
    nothing = BlockEnergy(("a", "b", "c"), np.diag([1 / 3, 1 / 7, 1 / 11])[None], 3, exact=True)
    assert nothing.off_diagonal == 0


def test_one_probe_tells_no_standard_error():
    found = hf.block_energy(curvature("layer"), np.random.default_rng(0), probes=1)
    assert math.isnan(found.standard_error)
    assert 0 < found.off_diagonal < 1


def test_single_precision_is_near_double():
    C = curvature("layer", dtype=np.float32)
    found, table = hf.block_energy(C), dense_table(curvature("layer"))
    np.testing.assert_allclose(found.table, table, rtol=1e-4, atol=0)


def test_in_single_precision_no_square_underflows():
    x = hf.asarray(np.random.default_rng(0).standard_normal((7, 2)) * 1e-13, dtype=np.float32)
    net, y = hf.Dense(2, 2), hf.asarray(np.zeros((7, 2)), dtype=np.float32)
    table = hf.block_energy(
        hf.GGN(hf.linearize(net, net.init(0), x), hf.SquaredError(), y, "param")
    ).table
    assert 1e-53 < table.min() < 1e-50


@pytest.mark.parametrize("rng", [None, np.random.default_rng(0)])
def test_a_product_that_is_not_finite_is_an_error(rng):
    C = curvature("layer")
    broken = C.lin.params.with_vector(C.lin.params.vector * math.nan)
    C = hf.GGN(hf.linearize(NET, broken, C.y), C.loss, C.y, "layer")
    with pytest.raises(FloatingPointError, match="product 1 with the matrix is not finite"):
        hf.block_energy(C, rng)


def test_what_has_no_partition_is_refused():
    C = curvature("layer")
    for it in (C.block("0"), Shifted(C, 1.0), np.eye(23)):
        with pytest.raises(ValueError, match=f"C is a {type(it).__name__}, expected .* partition"):
            hf.block_energy(it)


def test_what_does_not_fit_is_refused():
    C = curvature("layer")
    with pytest.raises(ValueError, match=r"rng is 0, expected a generator: np.random.default_rng"):
        hf.block_energy(C, 0)
    assert hf.block_energy(C, np.random.default_rng(0), probes=np.int64(2)).n_products == 6
    with pytest.raises(ValueError, match="probes is 0, expected 1 or more"):
        hf.block_energy(C, np.random.default_rng(0), probes=0)
    with pytest.raises(ValueError, match=r"23 parameters are as many products; pass limit=23"):
        hf.block_energy(C, limit=22)
    assert hf.block_energy(C, limit=23).n_products == 23
