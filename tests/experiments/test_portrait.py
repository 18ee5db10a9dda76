"""What a trained network shows: images, confusions, spectra; and the file that keeps them."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest

import minihf as hf
from minihf.backend import to_host
from minihf.experiments.experiment import Experiment
from minihf.experiments.methods import METHODS, Method
from minihf.experiments.networks import autoencoder
from minihf.experiments.portrait import (
    CASES,
    lanczos_density,
    portrait_of,
    read_portrait,
    write_portrait,
)
from minihf.experiments.tasks import TASKS
from minihf.optim import SGD


@pytest.fixture(scope="module")
def digits():
    return Experiment.of(TASKS["classifier-digits"])


@pytest.fixture(scope="module")
def trained(digits):
    return digits.train(METHODS["adam"], {"updates": 30}, seed=0, progress=False)


def images_task(loss, net):
    return Experiment.of(
        replace(TASKS["autoencoder-mnist"], network=lambda data: net, loss=loss)
    )


def test_a_confusion_matrix_counts_the_test_set_rows_the_label(digits, trained):
    counts = portrait_of(digits, trained)["confusion"]
    data = digits.data
    answers = to_host(digits.net(trained.params, hf.asarray(data.x_test))).argmax(axis=1)
    assert counts.dtype == np.int64
    for label, row in enumerate(counts):
        np.testing.assert_array_equal(
            row, np.bincount(answers[data.y_test == label], minlength=10)
        )


def test_an_autoencoder_shows_ten_images_above_what_it_makes_of_them():
    net = autoencoder(784, 16, 4)
    experiment = images_task(hf.SquaredError(), net)
    history = experiment.train(METHODS["adam"], {"updates": 5}, seed=0, progress=False)
    portrait = portrait_of(experiment, history)
    assert list(portrait) == ["images"]
    originals, output = portrait["images"]
    x = experiment.data.x_test[:10]
    np.testing.assert_array_equal(originals, x.reshape(10, 28, 28))
    np.testing.assert_array_equal(output, net(history.params, x).reshape(10, 28, 28))
    assert output.dtype == np.float32


def test_logits_of_an_autoencoder_are_shown_as_grey_levels():
    experiment = images_task(hf.SigmoidCrossEntropy(), autoencoder(784, 16, 4))
    history = experiment.train(METHODS["adam"], {"updates": 5}, seed=0, progress=False)
    _, output = portrait_of(experiment, history)["images"]
    assert 0 < output.min() < output.max() < 1


def test_averaged_parameters_are_the_ones_that_are_shown(digits):
    averaged = Method("averaged", METHODS["adam"].opt, batch_size=128, averaging=1.0)
    history = digits.train(averaged, {"updates": 30}, seed=0, progress=False)
    counts = portrait_of(digits, history)["confusion"]
    shown = np.trace(counts) / counts.sum()
    assert shown == pytest.approx(1 - history.last["test"])
    of_the_last = np.trace(portrait_of(digits, replace(history, mean=None))["confusion"])
    assert of_the_last != np.trace(counts)


def test_a_run_that_blew_up_has_a_portrait(digits):
    wild = Method("wild", SGD(lr=1e30), batch_size=128)
    history = digits.train(wild, {"updates": 3}, seed=0, progress=False)
    history = replace(history, mean=history.params.with_vector(history.params.vector * np.nan))
    portrait = portrait_of(digits, history, lanczos_density)
    assert list(portrait) == ["confusion"]
    assert portrait["confusion"].sum() == len(digits.data.x_test)


def test_sequences_with_labels_have_a_confusion_matrix_and_no_images():
    experiment = Experiment.of(TASKS["temporal-order"])
    history = experiment.train(METHODS["sgd"], {"updates": 1}, seed=0, looks=0, progress=False)
    portrait = portrait_of(experiment, history)
    assert {name: array.shape for name, array in portrait.items()} == {"confusion": (4, 4)}


def test_a_density_is_asked_for_each_block_of_the_task(digits, trained):
    def row_sums(block):
        ones = np.ones(block.shape[0], dtype=np.float32)
        return np.stack([ones, block @ ones])

    portrait = portrait_of(digits, trained, density=row_sums)
    assert list(portrait) == ["confusion", "spectrum/hidden", "spectrum/dense"]
    x, y = digits.data.x_train[:CASES], digits.data.y_train[:CASES]
    lin = hf.linearize(digits.net, trained.params, x)
    block = hf.GGN(lin, hf.SoftmaxCrossEntropy(), y, partition="layer").block("dense")
    np.testing.assert_array_equal(portrait["spectrum/dense"], row_sums(block))


def test_a_lanczos_density_reaches_the_largest_eigenvalue(digits, trained):
    x, y = digits.data.x_train[:250], digits.data.y_train[:250]
    lin = hf.linearize(digits.net, trained.params, x)
    block = hf.GGN(lin, hf.SoftmaxCrossEntropy(), y, partition="param").block("dense.b")
    at, density = lanczos_density(block)
    largest = np.linalg.eigvalsh(block.to_dense())[-1]
    assert at[0] == pytest.approx(0, abs=1e-6)
    assert at[-1] == pytest.approx(1.05 * largest, rel=1e-4)
    peak = at[at > 0.9 * largest][density[at > 0.9 * largest].argmax()]
    assert peak == pytest.approx(largest, rel=0.02)


def test_a_history_from_a_file_has_no_portrait(digits):
    with pytest.raises(ValueError, match="without parameters has no portrait"):
        portrait_of(digits, hf.History([{"updates": 0}]))


# Files --------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path):
    portrait = {
        "images": np.random.default_rng(0).random((2, 10, 4, 3), dtype=np.float32),
        "confusion": np.arange(9).reshape(3, 3),
        "spectrum/lstm0": np.ones((2, 5)),
    }
    write_portrait(tmp_path / "portrait.npz", portrait)
    found = read_portrait(tmp_path / "portrait.npz")
    assert list(found) == list(portrait)
    for name, array in portrait.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["portrait.npz"]


def test_what_is_unknown_is_left_out(tmp_path):
    np.savez(tmp_path / "portrait.npz", confusion=np.eye(2, dtype=int), mood=np.ones(3))
    assert list(read_portrait(tmp_path / "portrait.npz")) == ["confusion"]


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('run')",))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"confusion": np.array([Trap()])}, "Object arrays cannot be loaded"),
        ({"confusion": np.ones((2, 2))}, "'confusion' is float64 of shape (2, 2), expected counts"),
        ({"confusion": np.ones((2, 3), dtype=int)}, "expected counts, as many rows"),
        ({"confusion": -np.eye(2, dtype=int)}, "expected counts"),
        ({"images": np.ones((3, 10, 4, 4))}, "'images' is float64 of shape (3, 10, 4, 4)"),
        ({"images": np.ones((2, 0, 4, 4))}, "expected real numbers (2, N, H, W)"),
        ({"spectrum/a": np.ones(5)}, "expected real numbers (2, K)"),
    ],
)
def test_what_is_no_portrait_is_refused_and_nothing_in_it_is_run(arrays, said, tmp_path):
    np.savez(tmp_path / "portrait.npz", **arrays)
    with pytest.raises(ValueError, match=r"portrait\.npz'") as refusal:
        read_portrait(tmp_path / "portrait.npz")
    assert said in str(refusal.value)


def test_an_array_that_is_in_no_archive_is_refused(tmp_path):
    with (tmp_path / "portrait.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ValueError, match="is no portrait of a run"):
        read_portrait(tmp_path / "portrait.npz")


def test_text_in_an_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "portrait.npz", "w") as file:
        file.writestr("confusion", "no array")
    with pytest.raises(ValueError, match="expected counts"):
        read_portrait(tmp_path / "portrait.npz")


@pytest.mark.parametrize("cut", [0, 5, 200])
def test_a_torn_file_is_refused(cut, tmp_path):
    path = tmp_path / "portrait.npz"
    write_portrait(path, {"confusion": np.arange(100).reshape(10, 10)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="is no portrait of a run"):
        read_portrait(path)
