"""The engine: products restricted to blocks, nothing wasted, shared or left behind."""

import gc
import tracemalloc

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.testing import complex_step_jvp, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15
SAME = 1e-13  # the same sums in another order
N = 5


def branches(params, x):
    """Two branches over a shared stem, with a skip connection and a weight used three times."""
    stem = ops.tanh(x @ params["stem"])
    left = hf.tap("left", ops.tanh(stem @ params["left"]) @ params["shared"])
    right = ops.sigmoid(stem @ params["right"] + params["b"]) @ params["shared"]
    return (left * right + stem) @ params["shared"]


SHAPES = {"stem": (4, 3), "left": (3, 3), "right": (3, 3), "b": (3,), "shared": (3, 3)}
LOSS = hf.SquaredError()


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    return lambda *shape: hf.asarray(rng.standard_normal(shape))


@pytest.fixture
def params(draw):
    return hf.Params.from_dict({name: draw(*shape) for name, shape in SHAPES.items()})


@pytest.fixture
def x(draw):
    return draw(N, 4)


@pytest.fixture
def lin(params, x):
    return hf.linearize(branches, params, x)


def output_at(params, x):
    return lambda theta: branches(params.with_vector(theta), x)


# Products


def test_the_three_products_are_the_derivatives(params, x, lin, draw):
    v, u, y = draw(params.size), draw(N, 3), draw(N, 3)
    Jv = complex_step_jvp(output_at(params, x), [params.vector], [v])
    assert relative_error(lin.output, branches(params, x)) == 0.0
    assert relative_error(lin.jvp(v), Jv) <= EXACT
    assert float((u * Jv).sum()) == pytest.approx(float((lin.vjp(u) * v).sum()), rel=EXACT)

    def gradient(theta):
        at = hf.linearize(branches, params.with_vector(theta), x)
        return at.vjp(LOSS.grad(at.output, y))

    expected = complex_step_jvp(gradient, [params.vector], [v])
    assert relative_error(lin.hvp(v, LOSS, y), expected) <= EXACT


@pytest.mark.parametrize("spec", ["param", {"a": ["stem", "b"], "c": ["left", "right", "shared"]}])
def test_a_product_with_a_block_is_a_slice_of_the_full_one(params, lin, draw, spec):
    u, y, v = draw(N, 3), draw(N, 3), draw(params.size)
    check_blocks(hf.Partition.of(params, spec), lin, u, y, v)


def test_a_block_may_take_any_entries_of_any_weight(params, lin, draw):
    owner = np.random.default_rng(1).integers(3, size=params.size)
    partition = hf.Partition.from_indices(
        params, {str(i): np.flatnonzero(owner == i) for i in range(3)}
    )
    check_blocks(partition, lin, draw(N, 3), draw(N, 3), draw(params.size))


def check_blocks(partition, lin, u, y, v):
    total, full, Jv = 0, lin.vjp(u), lin.jvp(v)
    for block in partition.values():
        v_block = v[block.index]
        alone = 0 * v
        alone[block.index] = v_block
        assert relative_error(lin.jvp(v_block, block), lin.jvp(alone)) <= SAME
        assert relative_error(lin.vjp(u, block), full[block.index]) <= SAME
        hvp = lin.hvp(v_block, LOSS, y, block)
        assert relative_error(hvp, lin.hvp(alone, LOSS, y)[block.index]) <= SAME
        total = total + lin.jvp(v_block, block)
    assert relative_error(total, Jv) <= SAME


def test_an_unrelated_branch_costs_nothing(params, lin, draw, count_gemms):
    u, blocks = draw(N, 3), hf.Partition.of(params, "param")
    tangent = {name: draw(block.size) for name, block in blocks.items()}
    # left: its own product, times shared twice; b: through shared twice
    assert count_gemms(lambda: lin.jvp(tangent["left"], blocks["left"])) == 3
    assert count_gemms(lambda: lin.jvp(tangent["b"], blocks["b"])) == 2
    assert count_gemms(lambda: lin.vjp(u, blocks["left"])) == 3
    assert count_gemms(lambda: lin.vjp(u, blocks["b"])) == 2
    assert count_gemms(lambda: lin.jvp(draw(params.size))) == 11
    assert count_gemms(lambda: lin.vjp(u)) == 11


def test_parameters_without_influence_have_zero_products(x, draw):
    params = hf.Params.from_dict({"w": draw(4, 2), "idle": draw(3), "dead end": draw(4, 2)})

    def net(params, x):
        x @ params["dead end"]
        return x @ params["w"]

    lin = hf.linearize(net, params, x)
    idle = hf.Partition.of(params, "param")["idle"]
    assert not hf.to_host(lin.jvp(draw(3), idle)).any()
    assert hf.to_host(lin.vjp(draw(N, 2)))[8:].tolist() == [0.0] * 11
    constant = hf.linearize(lambda params, x: x, params, x)
    assert not hf.to_host(constant.jvp(draw(params.size))).any()
    assert not hf.to_host(constant.vjp(x)).any()


def test_several_inputs_come_as_a_tuple(draw):
    params = hf.Params.from_dict({"w": draw(3)})
    x = (draw(N, 3), draw(N, 3))
    lin = hf.linearize(lambda params, x: x[0] * params["w"] + x[1], params, x)
    assert relative_error(lin.jvp(params.vector), lin.output - x[1]) <= SAME


# Taps


def test_taps_give_their_value_and_r_value_and_take_a_cotangent(params, x, lin, draw):
    v, u, c = draw(params.size), draw(N, 3), draw(N, 3)

    def left(params, x):
        return ops.tanh(ops.tanh(x @ params["stem"]) @ params["left"]) @ params["shared"]

    alone = hf.linearize(left, params, x)
    Ry, R = lin.jvp(v, taps=True)
    assert relative_error(lin.taps["left"], alone.output) == 0.0
    assert relative_error(Ry, lin.jvp(v)) == 0.0
    assert relative_error(R["left"], alone.jvp(v)) <= SAME
    assert relative_error(lin.vjp(u, taps={"left": c}), lin.vjp(u) + alone.vjp(c)) <= SAME
    assert relative_error(lin.vjp(None, taps={"left": c}), alone.vjp(c)) <= SAME


def test_a_tap_on_the_output_adds_its_cotangent_to_the_output_s(params, x, draw):
    lin = hf.linearize(lambda p, x: hf.tap("y", branches(p, x)), params, x)
    u, c = draw(N, 3), draw(N, 3)
    assert relative_error(lin.vjp(u, taps={"y": c}), lin.vjp(u + c)) <= SAME


def test_taps_have_names_of_their_own_and_do_nothing_to_plain_arrays(params, x, lin):
    assert hf.tap("x", x) is x
    with pytest.raises(ValueError, match="tap 'h' is there twice"):
        hf.linearize(lambda p, x: hf.tap("h", hf.tap("h", p["b"])), params, x)
    with pytest.raises(KeyError, match="no tap 'right'; there are: left"):
        lin.vjp(lin.output, taps={"right": lin.output})


# Results are the caller's


def test_writing_into_a_result_changes_no_other(params, lin, draw):
    v, u, y = draw(params.size), draw(N, 3), draw(N, 3)
    inputs = [hf.to_host(a).copy() for a in (v, u, y)]

    def products():
        return [lin.jvp(v), lin.vjp(u), lin.hvp(v, LOSS, y), lin.jvp(v, taps=True)[1]["left"]]

    first = products()
    expected = [hf.to_host(result).copy() for result in first]
    for result in first:
        result[...] = 7.0
    for again, copy in zip([*products(), v, u, y], [*expected, *inputs], strict=True):
        np.testing.assert_array_equal(hf.to_host(again), copy)


@pytest.mark.parametrize(
    "net",
    [
        lambda p, x: p["b"],
        lambda p, x: ops.reshape(p["b"], (1, 3)),
        lambda p, x: hf.tap("h", p["b"] + 1.0),
        lambda p, x: hf.tap("h", ops.tanh(p["b"])) + 1.0,
    ],
    ids=["a parameter", "a view of one", "a tapped output", "an output that equals a tap"],
)
def test_even_a_trivial_network_returns_memory_of_its_own(net, params, x, draw):
    lin, v = hf.linearize(net, params, x), draw(params.size)
    before = hf.to_host(v).copy()
    Ry, R = lin.jvp(v, taps=True)
    kept = [hf.to_host(tapped).copy() for tapped in R.values()]
    Ry[...] = 7.0
    lin.vjp(Ry)[...] = 7.0
    np.testing.assert_array_equal(hf.to_host(v), before)
    assert hf.to_host(Ry).tolist() == np.full(Ry.shape, 7.0).tolist()
    assert [hf.to_host(tapped).tolist() for tapped in R.values()] == [k.tolist() for k in kept]


def test_writing_into_the_parameters_afterwards_changes_nothing(params, x, lin, draw):
    v, u = draw(params.size), draw(N, 3)
    before = [hf.to_host(result).copy() for result in (lin.jvp(v), lin.vjp(u), lin.params.vector)]
    params.vector[...] = 0.0
    for result, copy in zip((lin.jvp(v), lin.vjp(u), lin.params.vector), before, strict=True):
        np.testing.assert_array_equal(hf.to_host(result), copy)


def test_products_leave_nothing_behind_in_memory(params, lin, draw):
    v, u, y = draw(params.size), draw(N, 3), draw(N, 3)
    blocks = list(hf.Partition.of(params, "param").values())

    def products(times):
        for _ in range(times):
            lin.jvp(v, taps=True), lin.vjp(u), lin.hvp(v, LOSS, y)
            for block in blocks:
                lin.vjp(lin.jvp(v[block.index], block), block)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = products(2)  # routes are found once
        assert products(50) - before < 1000  # bytes; one small array kept a time would be 6000
    finally:
        tracemalloc.stop()


def test_a_linearization_is_gone_with_its_last_use(params, x):
    def tapped(params, x):
        return hf.tap("output", branches(params, x))

    gc.collect()
    lin = hf.linearize(tapped, params, x)
    assert set(lin.taps) >= {"output"}
    del lin
    assert gc.collect() == 0  # nothing was left in a cycle, to be found later


# Arguments that do not fit


def test_shapes_that_do_not_fit_are_refused(params, lin):
    n, block = params.size, hf.Partition.of(params, "param")["b"]
    v, u = params.vector, lin.output
    wrong = {
        r"jvp: got shape \(5, 3\), expected \(42,\), one number per p": lambda: lin.jvp(u),
        r"jvp: got shape \(42,\), expected \(3,\), .* of block 'b'": lambda: lin.jvp(v, block),
        r"hvp: got shape \(3,\), expected \(42,\)": lambda: lin.hvp(v[:3], LOSS, u),
        r"vjp: got shape \(42,\), expected \(5, 3\), the shape of the out": lambda: lin.vjp(v),
        r"vjp, tap 'left': got shape \(42,\)": lambda: lin.vjp(u, taps={"left": v}),
    }
    assert n == 42
    for message, act in wrong.items():
        with pytest.raises(ValueError, match=message):
            act()


def test_what_is_no_array_of_the_backend_is_refused(params, x, lin):
    for v in (np.zeros(42).tolist(), hf.to_host(lin.params.vector)):
        if type(v) is not type(params.vector):
            with pytest.raises(TypeError, match=r"bring it there with minihf\.asarray"):
                lin.jvp(v)
    with pytest.raises(TypeError, match=r"gave a tuple of shapes \(3,\) and \(5, 4\), exp"):
        hf.linearize(lambda p, x: (p["b"], x), params, x)


def test_the_output_and_the_taps_are_the_engines_own(params, x, backend):
    """They are residuals, too: whoever wrote into them would bend every later product."""
    if backend != "numpy":
        pytest.skip("only NumPy can refuse")
    lin = hf.linearize(lambda p, x: hf.tap("end", ops.tanh(x @ p["stem"])), params, x)
    for array in (lin.output, lin.taps["end"]):
        with pytest.raises(ValueError, match="read-only"):
            array *= 2


def test_a_block_of_another_network_is_refused(params, lin):
    other = hf.Params.from_dict({"stem": hf.asarray(np.ones((2, 2)))})
    block = hf.Partition.of(other)["network"]
    with pytest.raises(ValueError, match=r"parameter 'stem' of shape \(2, 2\), this network"):
        lin.jvp(hf.asarray(np.ones(4)), block)
    with pytest.raises(TypeError, match="block is 'stem', expected one of a partition"):
        lin.vjp(lin.output, "stem")


def test_the_parameters_of_a_linearization_are_its_own(lin, backend):
    if backend == "numpy":
        with pytest.raises(ValueError, match="read-only"):
            lin.params["stem"][:] = 0


def test_dead_ends_are_not_walked(params, x, draw, count_gemms):
    """A branch that does not lead to the output costs a product nothing."""

    def with_dead_end(params, x):
        hidden = x @ params["stem"]
        ops.tanh(hidden @ params["left"]) @ params["right"]
        return hidden

    lin = hf.linearize(with_dead_end, params, x)
    assert count_gemms(lambda: lin.jvp(draw(params.size))) == 1
    assert not lin.vjp(draw(N, 3), hf.Partition.of(params, "param")["left"]).any()


def test_many_partitions_of_the_same_parameters_share_their_routes(params, lin, draw):
    v = draw(params.size)
    for _ in range(5):
        for block in hf.Partition.of(params, "param").values():
            lin.jvp(v[block.index], block)
    assert len(lin.graph._stretches) == len(params)


def test_a_network_may_ask_which_parameters_there_are(params, x):
    def net(params, x):
        assert "b" in params
        assert "c" not in params
        assert params.names == tuple(SHAPES)
        return x @ params["stem"]

    hf.linearize(net, params, x)
