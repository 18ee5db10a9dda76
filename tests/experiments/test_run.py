"""The papers' networks, the tasks made of them, and a run from the command line."""

import numpy as np
import pytest

import minihf as hf
from minihf import cli
from minihf.experiments import networks, tasks
from minihf.experiments.tasks import TASKS

BUILT = {
    "autoencoder": (networks.autoencoder(12, 8, 3), networks.AUTOENCODER_BLOCKS),
    "lstm": (networks.lstm_classifier(2, 4), networks.LSTM3_BLOCKS),
    "resnet": (networks.resnet(3, widths=(2, 3, 4)), networks.RESNET_BLOCKS),
}


@pytest.mark.parametrize("name", BUILT)
def test_the_papers_blocks_cover_the_papers_networks(name):
    net, blocks = BUILT[name]
    assert hf.Partition.of(net.init(0), blocks).names == tuple(blocks)


def test_the_resnet_is_what_it_says():
    net = networks.resnet(3)
    params = net.init(0)
    x = np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32)
    assert net(params, x).shape == (2, 10)
    shapes = {name: params[name].shape for name in params.names if name.endswith(".W")}
    assert shapes["stem.W"] == (16, 3, 3, 3)
    assert shapes["group1.body.0.W"] == (32, 16, 3, 3)
    assert shapes["group1.shortcut.W"] == (32, 16, 1, 1)
    assert "group0.shortcut.W" not in shapes
    assert shapes["dense.W"] == (64, 10)


def test_pooling_and_rows_keep_every_pixel_in_its_place():
    x = np.arange(2 * 784, dtype=np.float32).reshape(2, 784)
    image = x[1].reshape(28, 28)
    assert tasks.rows(x)[1, 3, 5] == image[3, 5]
    assert tasks.pooled_pixels(x).shape == (2, 49, 1)
    assert tasks.pooled_pixels(x)[1, 7 * 2 + 3, 0] == image[8:12, 12:16].mean()


@pytest.mark.slow
@pytest.mark.parametrize("method", cli.METHODS)
def test_a_run_leaves_its_log_and_figure(method, tmp_path, capsys, monkeypatch):
    """Every method, on a tenth of the data, so that an update takes no time."""
    load = tasks.data.load

    def tenth(name):
        d = load(name)
        return tasks.replace(d, x_train=d.x_train[:500], y_train=d.y_train[:500])

    monkeypatch.setattr(tasks.data, "load", tenth)
    words = ["run", "lstm-mnist-rows", "--method", method, "--seconds", "0.01", "--quiet"]
    assert cli.main([*words, "--seed", "3", "--out", str(tmp_path / "new" / "runs")]) == 0
    stem = tmp_path / "new" / "runs" / f"lstm-mnist-rows-{method}-3"
    history = hf.History.read(stem.with_suffix(".jsonl"))
    assert 0 <= history.last["test"] <= 1
    assert history.last["updates"] >= 1
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "parameters, MNIST" in printed
    assert printed.splitlines()[-1] == f"log and figure: {stem}.jsonl, .png"


@pytest.mark.slow
def test_the_resnet_takes_images_from_a_file(tmp_path, capsys):
    rng = np.random.default_rng(0)
    images = {f"x_{part}": rng.integers(0, 256, (20, 3, 8, 8), np.uint8) for part in PARTS}
    labels = {f"y_{part}": rng.integers(0, 10, 20) for part in PARTS}
    np.savez(tmp_path / "images.npz", **images, **labels)
    words = ["run", "resnet-cifar10", "--data", str(tmp_path / "images.npz"), "--seconds", "0.01"]
    assert cli.main([*words, "--quiet", "--out", str(tmp_path)]) == 0
    assert "images.npz: 20 training and 20 test images, as given" in capsys.readouterr().out


PARTS = ("train", "test")


def test_data_for_a_task_that_takes_none_are_refused(tmp_path, capsys):
    for task in ("lstm-mnist7", "temporal-order"):
        words = ["run", task, "--data", "x.npz", "--out", str(tmp_path)]
        assert cli.main(words) == 1
        assert "takes no --data" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "lstm-mnist8"], "did you mean 'lstm-mnist7'?"),
        (["run", "lstm-mnist7", "--method", "sgd2"], "invalid choice: 'sgd2'"),
        (["run"], "required: TASK"),
    ],
)
def test_a_wrong_task_or_method_is_exit_code_two(words, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_every_task_has_every_method_and_help_names_them(capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    text = capsys.readouterr().out
    for name, task in TASKS.items():
        assert name in text
        assert set(task.methods) >= set(cli.METHODS)
        assert all(method in text for method in task.methods)


def test_a_method_that_a_task_has_not_is_refused_with_those_it_has(tmp_path, capsys):
    words = ["run", "lstm-mnist7", "--method", "chan_szeto1999", "--out", str(tmp_path)]
    assert cli.main(words) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "minihf: task 'lstm-mnist7' has no method 'chan_szeto1999'; it has adam, martens2010, "
        "zhang2017, minihf"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", ["temporal-order", "temporal-order-lstm"])
def test_every_method_runs_on_temporal_order(task, tmp_path):
    for method in TASKS[task].methods:
        words = ["run", task, "--method", method, "--seconds", "0.01", "--quiet"]
        assert cli.main([*words, "--out", str(tmp_path)]) == 0
        history = hf.History.read(tmp_path / f"{task}-{method}-0.jsonl")
        assert history.last["objective"] < 2
