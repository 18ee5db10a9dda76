"""The ways the flat vector falls into blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf

pytestmark = pytest.mark.usefixtures("backend")

SHAPES = {"encoder.W": (3, 2), "encoder.b": (2,), "decoder.W": (2, 4), "scale": ()}
SIZE = 6 + 2 + 8 + 1

seeds = st.integers(0, 2**32 - 1)


def draw(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


@pytest.fixture
def params():
    return hf.Params.from_dict(draw())


def host(x):
    return hf.to_host(x)


@pytest.mark.parametrize(
    ("spec", "sizes"),
    [
        ("network", {"network": 17}),
        ("layer", {"encoder": 8, "decoder": 8, "network": 1}),
        ("param", {"encoder.W": 6, "encoder.b": 2, "decoder.W": 8, "scale": 1}),
        ({"b": ["decoder.*", "scale"], "a": "encoder.*"}, {"a": 8, "b": 9}),
        ({"weights": "*.W", "rest": ["*.b", "scale"]}, {"weights": 14, "rest": 3}),
    ],
)
def test_partitions_by_name_list_their_blocks_in_parameter_order(params, spec, sizes):
    partition = hf.Partition.of(params, spec)
    assert {name: block.size for name, block in partition.items()} == sizes
    assert partition.names == tuple(sizes)
    assert hf.Partition.of(params, partition) is partition


def test_a_block_is_a_slice_when_contiguous_and_sorted_positions_when_not(params):
    partition = hf.Partition.from_indices(params, {"b": [4, 1, 9], "a": [0, *range(10, 17)],
                                                   "c": [2, 3], "d": [5, 6, 7, 8]})  # fmt: skip
    assert partition["c"].index == slice(2, 4)
    assert partition["d"].index == slice(5, 9)
    assert host(partition["b"].index).tolist() == [1, 4, 9]
    assert partition.names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("layers", "unknown partition 'layers'; choose 'network', 'layer', 'param'"),
        (7, "got int"),
        ({"a": "encoder.*"}, "exactly once; missing: decoder.W, scale"),
        ({"a": "*", "b": "encoder.b"}, "exactly once; doubled: encoder.b"),
        ({"a": "*", "b": "encoder.w"}, "block 'b': 'encoder.w' matches no parameter"),
    ],
)
def test_a_partition_by_name_that_does_not_fit_says_what_is_wrong(params, spec, message):
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        hf.Partition.of(params, spec)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ({"a": range(16)}, "missing: scale"),
        ({"a": range(17), "b": [3, 6]}, "doubled: encoder.W, encoder.b"),
        ({"a": [0, 0, *range(1, 17)]}, "doubled: encoder.W"),
        ({"a": range(18)}, "positions run from 0 to 17, the vector has 0 to 16"),
        ({"a": range(17), "b": []}, "block 'b' needs a non-empty array of integer"),
        ({"a": np.linspace(0, 16, 17)}, "block 'a' needs a non-empty array of integer"),
    ],
)
def test_positions_that_do_not_fit_name_the_parameters(params, indices, message):
    indices = {name: np.asarray(list(where)) for name, where in indices.items()}
    with pytest.raises(ValueError, match=message):
        hf.Partition.from_indices(params, indices)


def test_a_partition_of_other_parameters_and_an_unknown_block_are_refused(params):
    other = hf.Params.from_dict({"w": np.ones(3)})
    with pytest.raises(ValueError, match=r"was made for other parameters: .*, not w; make one"):
        hf.Partition.of(other, hf.Partition.of(params, "layer"))
    with pytest.raises(KeyError, match="no block 'x'; there are: network"):
        hf.Partition.of(params)["x"]


# Whatever the partition


@given(seed=seeds, n_blocks=st.integers(1, 5))
def test_blocks_put_together_are_the_vector_and_gather_transposes_spread(seed, n_blocks):
    rng = np.random.default_rng(seed)
    params = hf.Params.from_dict(draw(seed))
    owner = rng.permutation(np.arange(SIZE) % n_blocks)
    indices = {str(i): rng.permutation(np.flatnonzero(owner == i)) for i in range(n_blocks)}
    partition = hf.Partition.from_indices(params, indices)
    v = hf.asarray(rng.standard_normal(SIZE))

    together = hf.asarray(np.full(SIZE, np.nan))
    spread = dict.fromkeys(SHAPES, 0)
    for block in partition.values():
        v_block = v[block.index]
        together[block.index] = v_block
        assert v_block.shape == (block.size,)
        for piece in block.pieces:
            array = piece.spread(v_block)
            spread[piece.name] = spread[piece.name] + host(array)
            w = hf.asarray(rng.standard_normal(piece.shape))
            assert array.shape == piece.shape
            # the same few products in another order
            np.testing.assert_allclose(
                np.vdot(host(w), host(array)),
                np.vdot(host(piece.gather(w)), host(v_block[piece.within])),
                rtol=0, atol=1e-13,
            )  # fmt: skip
    np.testing.assert_array_equal(host(together), host(v))
    for name in SHAPES:
        np.testing.assert_array_equal(spread[name], host(params.with_vector(v)[name]))
