"""The demo's parts: the network, the error it reports, and the fairness of the race."""

import numpy as np

import minihf as hf
from minihf.experiments.bench import interleaved_medians
from minihf.experiments.demo import METHODS, demo
from minihf.experiments.networks import autoencoder
from minihf.experiments.tasks.task import image_error


def test_the_autoencoder_is_mirrored_with_a_linear_code_and_output():
    net = autoencoder(6, 4, 2)
    shapes = {name: net.init(0)[name].shape for name in net.init(0).names if name.endswith("W")}
    assert shapes == {
        "encoder.0.W": (6, 4), "encoder.2.W": (4, 2), "decoder.0.W": (2, 4), "decoder.2.W": (4, 6),
    }  # fmt: skip
    for half in net.layers.values():
        assert [type(layer) for layer in half.layers.values()] == [hf.Dense, hf.Tanh, hf.Dense]


def test_the_error_is_the_squared_distance_summed_over_pixels():
    z, x = np.array([[1.0, 2.0], [0.0, 0.0]]), np.zeros((2, 2))
    assert float(image_error(z, x)) == 2.5


def test_all_methods_start_from_the_same_error():
    runs = demo(METHODS, seconds=0.01, seed=3, progress=False)
    assert len(runs) == len(METHODS)
    assert len({seeds[3].records[0]["train"] for seeds in runs.values()}) == 1


def test_medians_leave_out_the_first_round_and_take_turns():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    medians = interleaved_medians(functions, 3)
    assert "".join(calls) == "abababab"
    assert set(medians) == {"a", "b"}
