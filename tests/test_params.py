"""One flat vector and named views of it."""

import numpy as np
import pytest

import minihf as hf

pytestmark = pytest.mark.usefixtures("backend")

SHAPES = {"encoder.W": (3, 2), "encoder.b": (2,), "decoder.W": (2, 4), "scale": ()}
SIZE = 6 + 2 + 8 + 1


def draw(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


@pytest.fixture
def params():
    return hf.Params.from_dict(draw())


def host(x):
    return hf.to_host(x)


def test_named_arrays_come_back_as_they_went_in(params):
    assert params.names == tuple(SHAPES)
    assert (params.size, params.dtype, len(params)) == (SIZE, np.float64, len(SHAPES))
    assert list(params) == list(SHAPES)
    for name, array in draw().items():
        assert params[name].shape == SHAPES[name]
        np.testing.assert_array_equal(host(params[name]), array)
    flat = np.concatenate([array.reshape(-1) for array in draw().values()])
    np.testing.assert_array_equal(host(params.vector), flat)


def test_views_write_into_the_vector_and_the_vector_into_the_views(params):
    params["encoder.b"][:] = 5.0
    params["scale"] = 7.0
    assert host(params.vector)[6:8].tolist() == [5.0, 5.0]
    assert host(params.vector)[-1] == 7.0
    params.vector[0] = -1.0
    assert float(params["encoder.W"][0, 0]) == -1.0


def test_from_dict_copies_and_casts():
    arrays = draw()
    params = hf.Params.from_dict(arrays, dtype=np.float32)
    arrays["scale"][...] = 99.0
    assert params.dtype == np.float32
    assert float(params["scale"]) != 99.0


def test_with_vector_keeps_the_layout_and_the_vector_itself(params):
    vector = 1j * params.vector
    other = params.with_vector(vector)
    assert other.vector is vector
    assert other.names == params.names
    assert other["decoder.W"].dtype == np.complex128
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(17,\)"):
        params.with_vector(vector[:3])


def test_scopes_join_names_to_dotted_paths(params):
    scope = params.scope("encoder")
    np.testing.assert_array_equal(host(scope["b"]), host(params["encoder.b"]))
    assert scope.scope("0").path == "encoder.0"
    with pytest.raises(KeyError, match=r"no parameter 'encoder.c'; there are: encoder.W, encoder"):
        scope["c"]


def test_what_is_no_parameter_is_refused_by_name(params):
    with pytest.raises(KeyError, match=r"no parameter 'W'; there are: encoder.W"):
        params["W"]
    with pytest.raises(ValueError, match="got no arrays"):
        hf.Params.from_dict({})
    with pytest.raises(ValueError, match="must be floating numbers, got int64"):
        hf.Params.from_dict({"w": np.arange(3)})
