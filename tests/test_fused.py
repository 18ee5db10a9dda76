"""Elementwise chains: NumPy's lines, C's expression and a kernel's launch are one thing."""

import ctypes
import importlib
import inspect
import pkgutil
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf import backend as seam
from minihf.fused import CHOOSE, Fused, fused
from minihf.testing import StrictArray, counted, strict

ROUNDING = 8 * np.finfo(np.float64).eps      # a compiler may contract a b + c
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def chains():
    """Find every fused chain of the library."""
    found = {}
    for module in pkgutil.walk_packages(hf.__path__, "minihf."):
        if module.name.split(".")[1] in ("cli", "experiments", "testing"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Fused):
                found[f"{module.name.removeprefix('minihf.')}.{name}"] = value
    return found


CHAINS = chains()
every_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)


def arguments_of(chain, dtype=np.float64, shape=(5, 4)):
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(shape).astype(dtype)
        for name in inspect.signature(chain.function).parameters
    }


def outputs_of(chain, arguments, returned):
    if chain.outputs[0] in arguments:
        return [arguments[name] for name in chain.outputs]
    return list(returned) if isinstance(returned, tuple) else [returned]


def by_numpy(chain, **options):
    arguments = arguments_of(chain, **options)
    with np.errstate(all="ignore"):
        returned = chain.function(*arguments.values())
    return outputs_of(chain, arguments, returned)


def assert_close(found, expected, rounding):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=rounding, atol=rounding)


def test_products_and_solves_are_made_of_fused_chains():
    modules = {name.split(".")[-2] for name in CHAINS}
    assert modules >= {"elementwise", "lstm", "rnn", "losses", "cg"}


# The expression is the function -----------------------------------------------------------------


@every_chain
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_stand_in_evaluates_the_expression_in_one_launch(chain, dtype):
    arguments = {name: strict.asarray(x) for name, x in arguments_of(chain, dtype).items()}
    with counted() as counts:
        returned = chain(*arguments.values())
    assert (*counts.crossings, counts.launches) == (0, 0, 0, 1)
    found = [strict.asnumpy(x) for x in outputs_of(chain, arguments, returned)]
    assert_close(found, by_numpy(chain, dtype=dtype), 8 * np.finfo(dtype).eps)


@every_chain
@pytest.mark.skipif(COMPILER is None, reason="no C compiler is found")
def test_the_expression_is_c_and_computes_what_numpy_computes(chain, tmp_path):
    read, written = chain.inputs, chain.outputs
    pointers = [f"const double *in_{x}" for x in read] + [f"double *out_{x}" for x in written]
    source = "\n".join([
        "#include <math.h>", CHOOSE, f"void chain(long count, {', '.join(pointers)}) {{",
        "for (long entry = 0; entry < count; entry++) {",
        *(f"const double {x} = in_{x}[entry];" for x in read),
        *(f"double {x} = out_{x}[entry];" for x in written),
        f"{chain.expression};",
        *(f"out_{x}[entry] = {x};" for x in written),
        "} }",
    ])  # fmt: skip
    (tmp_path / "chain.c").write_text(source)
    build = [COMPILER, "-O1", "-Werror", "-shared", "-fPIC", "-o", "chain.so", "chain.c", "-lm"]
    subprocess.run(build, cwd=tmp_path, check=True)
    arguments = arguments_of(chain)
    new = {name: np.zeros((5, 4)) for name in written}
    memory = [np.ascontiguousarray(arguments.get(x, new.get(x))) for x in (*read, *written)]
    addresses = [x.ctypes.data_as(ctypes.c_void_p) for x in memory]
    ctypes.CDLL(str(tmp_path / "chain.so")).chain(ctypes.c_long(20), *addresses)
    assert_close(memory[len(read) :], by_numpy(chain), ROUNDING)


@every_chain
def test_a_chain_writes_nothing_but_its_outputs_and_its_workspace(chain):
    arguments = arguments_of(chain)
    before = {name: x.copy() for name, x in arguments.items()}
    with np.errstate(all="ignore"):
        chain(*arguments.values())
    for name in chain.inputs:
        np.testing.assert_array_equal(arguments[name], before[name])


# The seam ---------------------------------------------------------------------------------------


def test_on_numpy_the_function_is_called_with_what_is_given():
    calls = []
    chain = fused(lambda x, out, work: calls.append((x, out, work)), "out = 2 * x")
    given = np.ones(2), np.ones(2), None
    chain(*given)
    assert all(one is other for one, other in zip(calls[0], given, strict=True))


@pytest.mark.parametrize("dtypes", [(complex, complex), (np.float32, np.float64), (int, int)])
def test_what_is_not_of_one_real_floating_dtype_takes_the_numpy_lines(dtypes):
    hf.use("strict")
    x, y = (hf.asarray(np.arange(1, 4).astype(dtype)) for dtype in dtypes)
    chain = fused(lambda x, y: x * y + y, "z = x * y - 1000 * y")       # wrong, so that it shows
    z = chain(x, y)
    assert z.dtype == np.result_type(*dtypes)
    np.testing.assert_allclose(hf.to_host(z), [2, 6, 12])


def test_numbers_and_broadcasting_are_welcome():
    hf.use("strict")
    chain = fused(lambda x, mean, c: c * (x - mean), "d = c * (x - mean)")
    x, mean = hf.asarray(np.ones((2, 3))), hf.asarray(np.full((2, 1), 0.5))
    np.testing.assert_array_equal(hf.to_host(chain(x, mean, 4.0)), np.full((2, 3), 2.0))


def test_a_name_that_is_no_parameter_is_a_new_array_and_several_are_a_tuple():
    hf.use("strict")
    x = hf.asarray(np.array([1.0, -1.0]))
    both = fused(lambda x: (2 * x, 4 * x * x), "twice = 2 * x; square = twice * twice")
    twice, square = both(x)
    assert isinstance(twice, StrictArray)
    assert (hf.to_host(twice).tolist(), hf.to_host(square).tolist()) == ([2, -2], [4, 4])


def test_outputs_are_parameters_or_none_of_them_is():
    with pytest.raises(ValueError, match="all outputs are parameters, or none is: y = x; z = y"):
        fused(lambda x, y: None, "y = x; z = y")


@pytest.mark.parametrize("expression", ["y=2*x", "x += 1", "2 * x", ""])
def test_an_expression_that_assigns_nothing_is_refused(expression):
    with pytest.raises(ValueError, match=r"assigns nothing, expected 'name = expr") as refusal:
        fused(lambda x: None, expression)
    assert repr(expression) in str(refusal.value)


def test_the_kernel_is_made_at_the_first_call_and_once(monkeypatch):
    made, called = [], []

    def ElementwiseKernel(*parameters, **options):
        made.append((*parameters, options))
        return lambda *arrays: called.append(arrays)

    class Device(np.ndarray):
        pass

    namespace = SimpleNamespace(__name__="device", ElementwiseKernel=ElementwiseKernel)
    monkeypatch.setattr(seam, "_namespaces", {Device: namespace, **seam._namespaces})
    chain = fused(lambda x, y, out, work: None, "out = x + exp(y)")
    assert not made
    x = np.ones(2).view(Device)
    for _ in range(2):
        chain(x, x, x, None)
    ((inputs, outputs, operation, name, options),) = made
    assert (inputs, outputs, operation) == ("T x, T y", "T out", "out = x + exp(y)")
    assert name == "minihf_lambda"
    assert options == {"preamble": CHOOSE}
    assert [len(arrays) for arrays in called] == [3, 3]                  # without the workspace
