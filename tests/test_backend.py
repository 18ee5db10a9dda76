"""The seam: which array library is in use, why, and what passes through it."""

import sys
import types

import numpy as np
import pytest

import minihf as hf
from minihf import backend as seam
from minihf.testing import StrictArray, strict


@pytest.fixture(autouse=True)
def nothing_chosen_yet(monkeypatch):
    monkeypatch.delenv("MINIHF_BACKEND", raising=False)
    monkeypatch.setattr(seam, "_device", None)
    monkeypatch.setattr(seam, "_namespaces", dict(seam._namespaces))


@pytest.fixture
def fake_cupy(monkeypatch):
    """Put a module named cupy in place, with the given probe functions."""

    def install(**functions):
        module = types.ModuleType("cupy")
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, "cupy", module)
        return module

    return install


def no_driver(*args):
    raise RuntimeError("cudaErrorInsufficientDriver: too old\nand a long story")


# Choosing


def test_use_says_what_was_chosen_and_device_repeats_it():
    assert hf.use("numpy").backend == "numpy"
    assert str(hf.device()) == "numpy: asked for"


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown backend 'torch'.*auto, cupy, numpy, strict"):
        hf.use("torch")


def test_a_registered_array_type_is_used_by_name():
    hf.use("strict")
    assert isinstance(hf.asarray([1.0, 2.0]), StrictArray)
    assert isinstance(hf.Params.from_dict({"w": np.ones(2)}).vector, StrictArray)


def test_the_environment_decides_when_nobody_does(monkeypatch):
    monkeypatch.setenv("MINIHF_BACKEND", "strict")
    assert hf.device().backend == "strict"
    hf.use("numpy")
    assert hf.device().backend == "numpy"


def test_without_cupy_auto_falls_back_in_silence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # import cupy now raises
    assert hf.use().backend == "numpy"
    assert "CuPy is not installed" in hf.device().reason
    with pytest.raises(RuntimeError, match=r"'cupy' cannot be used: CuPy is not installed"):
        hf.use("cupy")


def test_cupy_that_cannot_compute_falls_back_with_one_line(fake_cupy):
    fake_cupy(arange=no_driver)
    with pytest.warns(RuntimeWarning, match="computes with NumPy: .*RuntimeError: cuda") as caught:
        chosen = hf.use("auto")
    assert chosen.backend == "numpy"
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert chosen.reason in str(caught[0].message)


def test_cupy_that_cannot_compute_is_an_error_when_asked_for(fake_cupy):
    fake_cupy(arange=no_driver)
    with pytest.raises(RuntimeError, match="cannot compute: RuntimeError: cudaErrorIns") as caught:
        hf.use("cupy")
    assert "\n" not in str(caught.value)


def test_cupy_that_breaks_on_import_is_not_taken_for_missing(tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("raise ImportError('\\n====\\nlibcudart.so not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with pytest.warns(RuntimeWarning, match="ImportError: libcudart.so not found"):
        assert hf.use("auto").backend == "numpy"


def test_cupy_that_computes_wrongly_is_not_trusted(fake_cupy):
    fake_cupy(arange=np.arange, matmul=lambda a, b: 0 * (a @ b), ndarray=np.ndarray)
    with pytest.warns(RuntimeWarning, match=r"computes wrongly: a probe gave 0.0, not 83"):
        assert hf.use("auto").backend == "numpy"


def test_auto_takes_cupy_when_its_probe_comes_out_right(fake_cupy):
    fake_cupy(arange=strict.arange, matmul=strict.matmul, ndarray=StrictArray)
    assert hf.use("auto").backend == "cupy"
    assert "probe computed" in hf.device().reason


@pytest.mark.parametrize(("setting", "said"), [(None, False), ("0", False), ("1", True)])
@pytest.mark.parametrize("name", ["auto", "cupy"])
def test_tf32_is_off_unless_cupy_is_told_and_then_it_is_said(
    setting, said, name, monkeypatch, fake_cupy
):
    fake_cupy(arange=strict.arange, matmul=strict.matmul, ndarray=StrictArray)
    monkeypatch.delenv("CUPY_TF32", raising=False)
    if setting is not None:
        monkeypatch.setenv("CUPY_TF32", setting)
    assert ("float32 products in TF32 (CUPY_TF32)" in hf.use(name).reason) == said


def test_a_test_run_says_on_what_it_computes(pytestconfig, fake_cupy):
    def header():
        lines = pytestconfig.hook.pytest_report_header(config=pytestconfig, start_path=None)
        return next(line for line in map(str, lines) if line.startswith("arrays: numpy, strict"))

    fake_cupy(arange=no_driver)
    assert "no GPU code is run: CuPy is installed but cannot compute: RuntimeError" in header()
    fake_cupy(arange=strict.arange, matmul=strict.matmul, ndarray=StrictArray)
    assert header().endswith(", cupy")


# Moving


def test_arrays_go_up_by_asarray_and_come_down_by_to_host(backend):
    hf.use(backend)
    host = np.arange(6.0).reshape(2, 3)
    there = hf.asarray(host, dtype=np.float32)
    assert seam.array_module(2.0, there).__name__ == backend
    assert there.dtype == np.float32
    assert hf.asarray(there) is there
    np.testing.assert_array_equal(hf.to_host(there), host)


def test_asarray_moves_an_array_over_from_another_backend():
    hf.use("numpy")
    moved = hf.asarray(strict.asarray([1.0, 2.0]))
    assert isinstance(moved, np.ndarray)


# Matrix products


def test_gemm_writes_where_it_is_told_and_is_observed(backend):
    hf.use(backend)
    a, b = hf.asarray(np.ones((2, 3))), hf.asarray(np.ones((3, 4)))
    out, seen = hf.asarray(np.zeros((2, 4))), []
    with seam.observe_gemms(lambda *shapes: seen.append(shapes)):
        assert seam.gemm(a, b, out=out) is out
    seam.gemm(a, b)
    assert seen == [((2, 3), (3, 4))]
    np.testing.assert_array_equal(hf.to_host(out), np.full((2, 4), 3.0))


def test_adding_into_a_sum_keeps_its_memory_unless_the_term_needs_more():
    total = np.ones(2, np.float32)
    assert seam.add_into(total, np.ones(2, np.float32)) is total
    assert seam.add_into(total, np.ones(2)).dtype == np.float64
    assert seam.add_into(None, total) is total
