"""The papers' networks, the tasks made of them, and a run from the command line."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import minihf as hf
from minihf import cli
from minihf.experiments import networks
from minihf.experiments.conditions import conditions_of, described
from minihf.experiments.experiment import Experiment
from minihf.experiments.methods import METHODS
from minihf.experiments.run_folder import LOG, read_plan
from minihf.experiments.tasks import TASKS, task
from minihf.experiments.tasks.lstm_mnist import pooled_pixels
from minihf.experiments.variants import variant

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


def test_the_dropout_classifier_is_what_it_says():
    net = networks.dropout_classifier(20, 30, 40, 3, corruption=0.2)
    params = net.init(0)
    assert [params[name].shape for name in params.names[::2]] == [(20, 30), (30, 40), (40, 3)]
    assert np.abs(params["hidden1.W"]).max() <= np.sqrt(6 / (30 + 40 + 1))
    assert {name: set(params[name].tolist()) for name in params.names[1::2]} == {
        "hidden0.b": {np.float32(0.1)}, "hidden1.b": {np.float32(0.1)}, "dense.b": {0.0},
    }  # fmt: skip
    masks = net.draw(np.random.default_rng(0), 500)
    assert {name: set(mask.ravel().tolist()) for name, mask in masks.items()} == {
        "corruption.mask": {0.0, 1.25}, "dropout.mask": {0.0, 2.0},
    }  # fmt: skip
    assert masks["corruption.mask"].shape == (500, 20)
    assert masks["dropout.mask"].shape == (500, 40)


def test_the_schedules_of_kiros2013_can_be_set_for_another_epoch():
    word = "kiros2013:solver.warm_start.every=60:step_rule.factor.every=60"
    found = variant(TASKS["dropout-mnist"].methods, word)
    assert found.opt == hf.papers.kiros2013(updates_per_epoch=60)


def test_pooling_keeps_every_pixel_in_its_place():
    x = np.arange(2 * 784, dtype=np.float32).reshape(2, 784)
    image = x[1].reshape(28, 28)
    assert pooled_pixels(x).shape == (2, 49, 1)
    assert pooled_pixels(x)[1, 7 * 2 + 3, 0] == image[8:12, 12:16].mean()


@pytest.mark.parametrize("name", [name for name in TASKS if name != "autoencoder-curves"])
def test_the_data_of_a_task_fit_its_network(name):
    task = TASKS[name]
    found = task.load(None)
    net = task.network(found)
    z = net(net.init(0), found.x_test[:3])
    assert np.isfinite(task.loss.value(z, found.y_test[:3]))
    assert task.metric(z, found.y_test[:3]) >= 0


@pytest.fixture
def tenth(monkeypatch):
    """A tenth of the embedded data, so that an update takes no time."""
    load = task.data.load

    def some(name):
        d = load(name)
        x, y = d.x_train[:500], None if d.y_train is None else d.y_train[:500]
        return replace(d, x_train=x, y_train=y)

    monkeypatch.setattr(task.data, "load", some)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"chan_szeto1999", "chen2018"}))
def test_a_run_leaves_its_log_and_figure(method, tmp_path, capsys, tenth):
    words = ["run", "lstm-mnist-rows", "--method", method, "--seconds", "0.01", "--quiet"]
    out = tmp_path / "new" / "run"
    assert cli.main([*words, "--seed", "3", "--out", str(out)]) == 0
    history = hf.History.read(out / "log.jsonl")
    assert 0 <= history.last["test"] <= 1
    assert history.last["updates"] >= 1
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "parameters, MNIST" in printed
    assert printed.splitlines()[-1] == f"run.json, log.jsonl, checkpoints and figure.png: {out}"


@pytest.mark.slow
def test_the_resnet_takes_images_from_a_file(tmp_path, capsys):
    rng = np.random.default_rng(0)
    images = {f"x_{part}": rng.integers(0, 256, (20, 3, 8, 8), np.uint8) for part in PARTS}
    labels = {f"y_{part}": rng.integers(0, 10, 20) for part in PARTS}
    np.savez(tmp_path / "images.npz", **images, **labels)
    words = ["run", "resnet-cifar10", "--data", str(tmp_path / "images.npz"), "--seconds", "0.01"]
    assert cli.main([*words, "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert "images.npz: 20 training and 20 test images, as given" in capsys.readouterr().out


PARTS = ("train", "test")


def write_images(path, labels, x_test=(20, 28, 28)):
    rng = np.random.default_rng(0)
    y_train, y_test = (np.arange(20) % 10 for _ in PARTS)
    y_test[0] = labels
    np.savez(
        path, x_train=rng.integers(0, 256, (20, 28, 28), np.uint8), y_train=y_train,
        x_test=rng.integers(0, 256, x_test, np.uint8), y_test=y_test[: x_test[0]],
    )  # fmt: skip
    return str(path)


def test_images_without_channels_are_taken(tmp_path):
    data = write_images(tmp_path / "images.npz", 0)
    for name in ("deep-sigmoid", "lstm-mnist7", "autoencoder-mnist"):
        assert TASKS[name].load(Path(data)).x_train.shape[0] == 20
    assert TASKS["resnet-cifar10"].load(Path(data)).x_train.shape == (20, 1, 28, 28)


@pytest.mark.parametrize("name", ["deep-sigmoid", "resnet-cifar10"])
def test_labels_without_an_output_of_the_network_are_refused(name, tmp_path, capsys):
    words = ["run", name, "--data", write_images(tmp_path / "images.npz", 99)]
    assert cli.main([*words, "--out", str(tmp_path / "runs")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("images.npz': y_test has a label 99; expected 0 to 9")
    assert not (tmp_path / "runs").exists()


def test_an_empty_part_is_refused(tmp_path, capsys):
    data = write_images(tmp_path / "images.npz", 0, x_test=(0, 28, 28))
    assert cli.main(["run", "deep-sigmoid", "--data", data, "--out", str(tmp_path / "runs")]) == 1
    assert "images.npz': x_test is empty, (0, 1, 28, 28)" in capsys.readouterr().err


# What a run leaves --------------------------------------------------------------------------

FILES = ["best.npz", "figure.png", "latest.npz", "log.jsonl", "portrait.npz", "run.json"]
RUN = ["run", "classifier-digits", "--method", "sgd", "--quiet"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_replaces_nothing_and_numbers_what_it_leaves(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for updates in (1, 2, 1):
        assert cli.main([*RUN, "--updates", str(updates)]) == 0
    stem = "classifier-digits-sgd-0"
    ends = {path.name: hf.History.read(path / LOG).ended for path in Path("runs").iterdir()}
    assert ends == {stem: "1 updates", f"{stem}-2": "2 updates", f"{stem}-3": "1 updates"}
    for name in ends:
        assert names(Path("runs") / name) == FILES
        assert (Path("runs") / name / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"/runs/{stem}-3")


def test_a_run_says_what_it_was(tmp_path):
    out = tmp_path / "my run"
    words = ["run", "classifier-digits", "--method", "sgd:lr=0.5", "--seed", "7", "--quiet"]
    assert cli.main([*words, "--updates", "2", "--out", str(out)]) == 0
    planned = read_plan(out)
    now = datetime.now(UTC)
    assert timedelta(0) <= now - datetime.fromisoformat(planned.pop("started")) < timedelta(hours=1)
    assert planned.pop("conditions") == conditions_of(
        Experiment.of(TASKS["classifier-digits"]), "classifier-digits", {"updates": 2}
    )
    assert planned == {
        "format": 1,
        "task": "classifier-digits",
        "method": "sgd:lr=0.5",
        "label": "SGD, lr=0.5",
        "first_order": True,
        "settings": described(variant(METHODS, "sgd:lr=0.5")),
        "seed": 7,
        "budget": {"updates": 2},
        "scale": "laptop",
        "cases": None,
        "metric_name": "error rate",
        "summary": TASKS["classifier-digits"].summary,
        "data_path": None,
        "command": f"minihf run classifier-digits --method sgd:lr=0.5 --seed 7 --quiet --updates 2 "
        f"--out '{out}'",
    }


def test_a_scale_says_how_much_is_trained(tmp_path):
    out = tmp_path / "run"
    words = ["run", "classifier-digits", "--method", "sgd", "--quiet", "--out", str(out)]
    assert cli.main([*words, "--scale", "smoke"]) == 0
    planned, history = read_plan(out), hf.History.read(out / LOG)
    assert (planned["scale"], planned["cases"], planned["budget"]) == ("smoke", 200, {"updates": 2})
    assert planned["conditions"]["data"].endswith("; the first 200 of each of them")
    assert history.ended == "2 updates"
    assert cli.main([*words, "--resume", "--updates", "3"]) == 0
    assert hf.History.read(out / LOG).last["data_passes"] == 3 * 128 / 200


def test_a_run_of_another_scale_is_not_gone_on_with(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["run", "classifier-digits", "--method", "sgd", "--quiet", "--out", str(out)]
    assert cli.main([*words, "--scale", "smoke"]) == 0
    assert cli.main([*words, "--resume", "--scale", "paper"]) == 1
    assert "has a run of scale 'smoke', not 'paper'" in capsys.readouterr().err


def test_what_is_said_goes_before_what_the_scale_says(tmp_path):
    out = tmp_path / "run"
    words = ["run", "classifier-digits", "--method", "sgd", "--quiet", "--out", str(out)]
    assert cli.main([*words, "--scale", "smoke", "--updates", "1"]) == 0
    assert hf.History.read(out / LOG).ended == "1 updates"


def test_a_log_is_there_from_the_first_look_on(tmp_path, monkeypatch):
    step, seen = hf.SGD.step, []

    def note(self, *arguments):
        seen.append(len(hf.History.read(tmp_path / "run" / LOG)))
        return step(self, *arguments)

    monkeypatch.setattr(hf.SGD, "step", note)
    assert cli.main([*RUN, "--updates", "3", "--out", str(tmp_path / "run")]) == 0
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("file", "expected"),
    [("run.json", "run' has a run, which stays as it is"), ("x", "run' is not empty; a run wants")],
)
def test_a_folder_in_which_something_lies_is_refused(file, expected, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / file).touch()
    assert cli.main([*RUN, "--updates", "1", "--out", str(tmp_path / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert names(tmp_path / "run") == [file]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    assert cli.main([*RUN, "--updates", "1", "--out", str(tmp_path / "run")]) == 0


def test_a_run_that_is_stopped_at_once_leaves_its_own_folder_and_the_others_alone(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*RUN, "--updates", "1"]) == 0
    first = Path("runs/classifier-digits-sgd-0")
    before = {path.name: path.read_bytes() for path in first.iterdir()}

    def stop(self, net, loss, params, state, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(hf.SGD, "step", stop)
    assert cli.main([*RUN, "--updates", "1"]) == 1
    assert capsys.readouterr().err == "minihf: interrupted\n"
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before
    assert names(Path("runs/classifier-digits-sgd-0-2")) == ["log.jsonl", "run.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no run: there is no run.json"),
        ("{", "is not JSON"),
        ("[]", "is of format 'none'; this minihf reads 1"),
        ('{"format": 2}', "is of format 2; this minihf reads 1"),
        ('{"format": 1}', "is of no run: 'task' is 'missing', expected str"),
        ('{"format": 1, "task": 3}', "is of no run: 'task' is 3, expected str"),
    ],
)
def test_what_is_no_record_of_a_run_is_one_line(text, message, tmp_path):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        read_plan(tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_run_that_ends_above_its_start_says_so(tmp_path, capsys):
    words = ["--method", "sgd:lr=1000", "--updates", "3", "--out", str(tmp_path / "run")]
    assert cli.main(["run", "autoencoder-curves", "--quiet", *words]) == 0
    assert re.search(
        r"sgd:lr=1000, seed 0: .*diverged: ended above where it began \(\S+ to \S+\)\.",
        capsys.readouterr().out,
    )


def test_an_out_that_is_no_folder_is_refused_before_anything(tmp_path, capsys):
    (tmp_path / "file").touch()
    for command in ("run", "race"):
        words = [command, "classifier-digits", "--out", str(tmp_path / "file")]
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.endswith("--out: '" + str(tmp_path / "file") + "' is a file; expected a folder")


def test_a_long_method_has_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    word = "sgd:lr=0.01" + "0" * 300
    words = ["run", "classifier-digits", "--method", word, "--updates", "1", "--quiet"]
    assert cli.main(words) == 0
    (folder,) = Path("runs").iterdir()
    assert names(folder) == FILES


def test_data_for_a_task_that_takes_none_are_refused(tmp_path, capsys):
    for name in ("classifier-digits", "temporal-order"):
        words = ["run", name, "--data", "x.npz", "--out", str(tmp_path)]
        assert cli.main(words) == 1
        assert "takes no --data" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "lstm-mnist8"], "did you mean 'lstm-mnist7'?"),
        (["run", "lstm-mnist7", "--method", "sgd2"], "did you mean 'sgd'?"),
        (["run"], "required: TASK"),
    ],
)
def test_a_wrong_task_or_method_is_exit_code_two(words, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_a_run_is_looked_at_on_five_hundred_cases_and_at_the_end_on_all():
    digits = Experiment.of(TASKS["classifier-digits"])
    history = digits.train(METHODS["adam"], {"updates": 9}, seed=0, progress=False)
    assert history.column("updates") == list(range(10))
    train = digits.data.x_train, digits.data.y_train
    seen, _ = digits.task.looks.along_the_way(train, None)
    assert len(seen[0]) == 500
    of_seen, of_all = (
        np.mean(digits.net(history.params, x).argmax(axis=-1) != y) for x, y in (seen, train)
    )
    assert history.last["train"] == pytest.approx(of_seen)
    assert history.final("train") == pytest.approx(of_all)


def test_a_run_keeps_what_its_numbers_depend_on():
    kept = conditions_of(Experiment.of(TASKS["classifier-digits"]), "digits", {"updates": 1})
    assert {"looked_at", "python", "system", "processor", "threads", "numpy"} <= kept.keys()
    assert kept["looked_at"] == "500 cases, all at the end"
    assert all(isinstance(value, str) and value for value in kept.values())


def test_how_data_were_found_is_said_once():
    digits = Experiment.of(TASKS["classifier-digits"])
    assert digits.facts.endswith(" (the package)")
    given = replace(digits, data=replace(digits.data, source="x.npz, as given", where="given"))
    assert given.facts.endswith("x.npz, as given")


def test_a_method_that_averages_is_looked_at_where_the_mean_is():
    digits = Experiment.of(TASKS["classifier-digits"])
    averaging = replace(METHODS["sgd"], averaging=0.5)
    history = digits.train(averaging, {"updates": 8}, seed=0, looks=0, progress=False)
    assert not (history.mean.vector == history.params.vector).all()


def test_help_names_every_task_and_method(capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in (*TASKS, *METHODS))


@pytest.mark.parametrize(
    ("task", "method", "reason", "alternative"),
    [
        ("autoencoder-mnist", "chan_szeto1999", "'encoder.0' has 785,000",
         "chan_szeto1999:solver=ConjugateGradients"),
        ("resnet-cifar10", "chen2018", "its op Conv2dOp of 'stem.W'", "hf.papers.zhang2017"),
        ("lstm-mnist7", "chen2018", "its op LSTMOp of 'lstm0.Wx'", "hf.papers.zhang2017"),
        ("classifier-digits", "martens_sutskever2011", "no hidden states", "hf.papers.martens2010"),
    ],
)
def test_a_method_that_cannot_treat_a_network_is_refused_and_leaves_nothing(
    task, method, reason, alternative, tmp_path, capsys
):
    out = tmp_path / "new"
    assert cli.main(["run", task, "--method", method, "--out", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert alternative in line
    assert not out.exists()


def test_images_of_another_size_are_refused(tmp_path, capsys):
    images = {f"x_{part}": np.zeros((2, 3, 8, 8), np.uint8) for part in PARTS}
    np.savez(tmp_path / "images.npz", **images, **{f"y_{p}": np.zeros(2, int) for p in PARTS})
    words = ["run", "deep-sigmoid", "--data", str(tmp_path / "images.npz")]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 1
    assert "(3, 8, 8) channels, rows and columns; this task wants (1, 28, 28)" in (
        capsys.readouterr().err
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kiros2013", "zhang2017", "sgd"])
def test_methods_of_dropout_mnist_run_and_learn(method, tmp_path, tenth):
    words = ["run", "dropout-mnist", "--method", method, "--updates", "1", "--quiet"]
    assert cli.main([*words, "--out", str(tmp_path)]) == 0
    history = hf.History.read(tmp_path / LOG)
    assert history.last["train"] < history.records[0]["train"] < 0.95
    assert history.last["rejected"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["temporal-order", "temporal-order-lstm"])
def test_every_method_runs_on_temporal_order(name, tmp_path):
    for method in METHODS.keys() - {"chen2018"}:
        words = ["run", name, "--method", method, "--seconds", "0.01", "--quiet"]
        assert cli.main([*words, "--out", str(tmp_path / method)]) == 0
        history = hf.History.read(tmp_path / method / LOG)
        assert history.last["objective"] < 2
