"""The benchmark: what its tasks count, whom it believes, and what it prints and writes."""

import re
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

import minihf as hf
from minihf import cli
from minihf.experiments import bench, machine
from minihf.experiments.bench import PROBLEMS, Problem, gpu, rivals, systems
from minihf.experiments.bench.counts import alone, count_gemms, memory_of
from minihf.experiments.bench.growth import AXES, _exponent, growth, growth_page
from minihf.experiments.bench.measuring import OURS, measure
from minihf.experiments.bench.page import report
from minihf.experiments.bench.systems import PLANNED, PLANNING, PRODUCT, SOLVE, SWEEP, UPDATES

TINY = Problem(
    "tiny", "two dense layers", hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 10)),
    (5, 4), classifies=True,
)  # fmt: skip

TASKS = (PRODUCT, SOLVE, SWEEP, PLANNED, PLANNING, UPDATES)

PRODUCT_COSTS = {
    "autoencoder": (30, 39_551_104),
    "cnn": (15, 8_381_184),
    "lstm": (176, 51_076_864),
}
"""Matrix products of one product on four cases, and the bytes of their operands and results."""

BLOCK_COSTS = {
    "autoencoder": {
        "encoder.0": (16, 22_940_096), "encoder.2": (14, 16_611_008),
        "encoder.4": (12, 12_563_008), "encoder.6": (10, 11_539_008),
        "decoder.0": (8, 11_470_048), "decoder.2": (6, 11_401_088),
        "decoder.4": (4, 10_377_088), "decoder.6": (2, 6_329_088),
    },
    "cnn": {
        "0": (10, 4_703_680), "2": (8, 4_010_816), "4": (6, 2_870_080), "6": (4, 706_880),
        "9": (2, 7_488),
    },
    "lstm": {
        "lstm0": (170, 47_578_816), "lstm1": (114, 32_271_552), "lstm2": (58, 16_465_088),
        "dense": (2, 14_656),
    },
}  # fmt: skip
"""Likewise of a product with each layer's block."""


@pytest.fixture
def case():
    return TINY.case()


def cost(call):
    with count_gemms() as gemms:
        call()
    return gemms.count, 4 * gemms.numbers


# Counting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_no_product_costs_more_than_it_did(problem):
    case = problem.with_batch(4).case()
    G = hf.GGN(case.lin, case.loss, case.y)
    blocks = hf.GGN(case.lin, case.loss, case.y, case.layers)
    assert cost(lambda: G @ case.v) == PRODUCT_COSTS[problem.name]
    found = {
        name: cost(partial(blocks.block(name).__matmul__, case.v[block.index]))
        for name, block in case.layers.items()
    }
    assert found == BLOCK_COSTS[problem.name]


@pytest.mark.parametrize("name", systems.SWEEPS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_a_sweep_costs_no_more_than_its_blocks(problem, name):
    case = problem.with_batch(4).case()
    G = hf.GGN(case.lin, case.loss, case.y, case.layers)
    sweep = systems.SWEEPS[name](G)
    n_products, n_bytes = cost(lambda: [C @ case.v[block.index] for C, block in sweep])
    costs = BLOCK_COSTS[problem.name].values()
    assert n_products <= sum(products for products, _ in costs)
    assert n_bytes <= sum(size for _, size in costs)


def test_numbers_are_those_of_operands_and_results():
    with count_gemms() as gemms:
        hf.backend.gemm(np.ones((2, 3, 4)), np.ones((4, 5)))
    assert gemms.numbers == 2 * 3 * 4 + 4 * 5 + 2 * 3 * 5
    assert gemms.flops == 2 * (2 * 3) * 4 * 5
    (last,) = alone(gemms)()
    assert last.tolist() == [4.0] * (2 * 3 * 5)


def test_the_solve_makes_all_of_its_iterations(case):
    mine = systems.ours(case)
    of_product, of_solve = (cost(mine.tasks[task])[0] for task in (PRODUCT, SOLVE))
    assert of_solve == systems.ITERATIONS * of_product > 0


def test_the_updates_are_the_same_every_time(case):
    updates = systems.ours(case).tasks[UPDATES]
    (first,), (second,) = updates(), updates()
    assert np.array_equal(first, second)
    assert not np.array_equal(first, case.params.vector)


def test_memory_is_what_stays_and_what_was_needed_on_the_way():
    n = 1_000_000

    def call():
        scratch = np.ones(2 * n)
        return [np.ones(n), scratch[:1].copy()]

    memory = memory_of(call)
    assert memory.result == 8 * (n + 1)
    assert memory.result <= memory.kept < memory.result + 10_000
    assert 24 * n <= memory.peak < 24 * n + 10_000


# Rivals --------------------------------------------------------------------------------------


@dataclass
class Fake:
    """A rival that takes our own operator and does something to what comes out, by call."""

    name: str
    spoil: object
    missing: tuple = ()
    versions: tuple = ("fake 1.0",)

    def prepare(self, case):
        mine, calls = systems.ours(case), []

        def spoiled(task):
            def run():
                calls.append(task)
                return self.spoil(mine.tasks[task](), len(calls))

            return run

        return systems.System(
            {task: spoiled(task) for task in (PRODUCT, SOLVE, SWEEP)}, mine.flat, mine.wait
        )


def refuse(parts, calls):
    raise NotImplementedError("no rule\nfor this")


def only_once(parts, calls):
    return [part * calls for part in parts]


def no_last_block(parts, calls):
    return [*parts[:-1], 0 * parts[-1]] if len(parts) > 1 else parts


def test_a_rival_that_is_right_is_timed_in_everything_that_it_can_do():
    found = measure(TINY, [Fake("right", lambda parts, calls: parts)], 1)
    assert found.refused == {}
    assert found.differences == {"right": 0.0}
    for task in (PRODUCT, SOLVE, SWEEP):
        assert found.seconds[task]["right"] > 0
    assert "right" not in found.seconds[UPDATES]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda parts, calls: [1.01 * part for part in parts], "its products are wrong"),
        (only_once, "its products are wrong"),
        (no_last_block, "its products are wrong"),
        (lambda parts, calls: [np.nan * part for part in parts], "its products are wrong"),
        (refuse, "NotImplementedError: no rule"),
    ],
)
def test_a_rival_that_is_wrong_is_not_timed_and_the_reason_is_told(spoil, reason):
    found = measure(TINY, [Fake("wrong", spoil)], 1)
    assert found.refused == {"wrong": reason}
    assert all("wrong" not in seconds for seconds in found.seconds.values())
    text = "\n".join(report(found))
    assert f"wrong: {reason}." in text
    assert re.search(r"one product .*\| +– \|", text)


@pytest.mark.slow
@pytest.mark.parametrize("rival", rivals.RIVALS, ids=lambda rival: rival.name)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
@pytest.mark.filterwarnings("ignore")                               # theirs
def test_the_rivals_do_what_we_do(problem, rival):
    if rival.missing:
        pytest.skip(f"not installed: {', '.join(rival.missing)}")
    few = (3, 4, 28) if problem.name == "lstm" else (3, *problem.shape[1:])
    case = replace(problem, shape=few).case()
    mine, system = systems.ours(case), rival.prepare(case)
    for task, tolerance in ((PRODUCT, 1e-5), (SWEEP, 1e-5), (PRODUCT, 1e-5), (SOLVE, 1e-2)):
        expected = mine.flat(mine.tasks[task]())
        found = system.flat(system.tasks[task]())
        assert np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)


# What is printed and written -----------------------------------------------------------------


def run_bench(monkeypatch, *words, threads=1):
    for name, value in machine.thread_settings(threads).items():
        monkeypatch.setenv(name, value)                             # so that it is not started anew
    monkeypatch.setattr(bench, "PROBLEMS", (TINY,))
    return cli.main(["bench", "--threads", str(threads), "--rounds", "1", *words])


def test_a_table_has_every_task_with_its_count_and_its_floor(monkeypatch, capsys):
    monkeypatch.setattr(bench, "RIVALS", (Fake("right", lambda parts, calls: parts),))
    assert run_bench(monkeypatch, "--problems", "tiny") == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if len(row) == 5}
    assert set(cells) == {"ms", *TASKS, "difference"}
    for task in TASKS:
        floor, mine, ratio = map(float, cells[task][:3])
        assert min(floor, mine, ratio) >= 0
    counts = {row[0].strip(): row[1].strip() for row in rows if len(row) == 4}
    assert (counts[PRODUCT], counts[SWEEP]) == ("6", "6")           # 4 L - 2 and L (L + 1)


def test_the_page_has_the_command_and_what_was_printed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench, "RIVALS", ())
    out = tmp_path / "page.md"
    assert run_bench(monkeypatch, "--problems", "tiny", "--out", str(out)) == 0
    printed, written = capsys.readouterr().out, out.read_text()
    assert printed in written
    assert f"minihf bench --problems tiny --threads 1 --rounds 1 --out {out}\n" in written
    assert "1 threads by OPENBLAS_NUM_THREADS" in written
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_what_is_not_installed_is_named_with_the_way_to_get_it(monkeypatch, capsys):
    absent = rivals.Rival("absent", "nowhere", "nothing", ("no-such-package",))
    monkeypatch.setattr(bench, "RIVALS", (absent,))
    monkeypatch.setitem(rivals.INSTALL, "no-such-package", "python -m pip install it")
    assert run_bench(monkeypatch, "--problems", "tiny") == 0
    printed = capsys.readouterr().out
    assert "left out: absent (`python -m pip install it`)" in printed
    assert "### two dense layers, batch 5" in printed


def test_other_threads_are_another_process(monkeypatch):
    called = []

    class Done:
        returncode = 7

    def process(command, env, check):
        called.append((command, env))
        return Done

    monkeypatch.setattr("minihf.cli.bench.subprocess.run", process)
    for name in machine.thread_settings(1):
        monkeypatch.setenv(name, "1")
    assert cli.main(["bench", "--threads", "3", "--problems", "lstm,cnn", "--gpu"]) == 7
    ((command, env),) = called
    assert " ".join(command[3:]) == "bench --problems lstm,cnn --threads 3 --rounds 15 --gpu"
    assert {env[name] for name in machine.thread_settings(1)} == {"3"}


# On a device ---------------------------------------------------------------------------------


def test_without_a_gpu_it_says_why_and_does_nothing(monkeypatch):
    def no_gpu(name):
        raise RuntimeError("backend 'cupy' cannot be used: no driver")

    monkeypatch.setattr(gpu, "use", no_gpu)
    assert list(gpu.bench_gpu()) == ["skipped: backend 'cupy' cannot be used: no driver"]


@pytest.mark.parametrize("problem", [TINY, *PROBLEMS[1:]], ids=lambda problem: problem.name)
@pytest.mark.parametrize("name", ["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def test_every_task_runs_on_a_device(name, problem):
    try:
        hf.use(name)
    except RuntimeError as fault:
        pytest.skip(str(fault))
    lines = list(gpu.rooflines(1, [problem.with_batch(4)], size=16))
    assert re.match(rf"- {name}: .*16 x 16: \S+ TFLOP/s", lines[0])
    for task in TASKS:
        assert re.search(rf"^\| {re.escape(task)} ", "\n".join(lines), flags=re.MULTILINE)
    assert OURS in lines[-1]


# Growth ---------------------------------------------------------------------------------------


def exponents(axis):
    """Return the last column of a table, by the first."""
    lines = "\n".join(growth(1, [axis])).splitlines()
    rows = [line.split("|") for line in lines if "flops" in line]
    return {row[1].strip(): float(row[-2]) for row in rows}


@pytest.mark.parametrize(
    ("name", "due"),
    [("cases", 1), ("width", 2), ("layers", 1), ("time steps", 1), ("layers, a block each", 2)],
)
def test_costs_grow_as_they_should(name, due):
    axis = next(axis for axis in AXES if axis.name == name)
    found = exponents(axis)
    assert abs(found["walked: 10^6 flops"] - due) < 0.25
    if "planned: 10^6 flops" in found:
        assert abs(found["planned: 10^6 flops"] - 1) < 0.25


def test_what_grows_from_or_to_nothing_has_no_exponent():
    assert _exponent([1.0, 2.0, 8.0]) == 2.0
    assert all(np.isnan(_exponent(values)) for values in ([1.0, 0.0], [0.0, 1.0], [0.0, 0.0]))


def test_the_growth_page_has_its_command_and_tables():
    page = growth_page(["| a table |"], "minihf bench --growth")
    assert "minihf bench --growth" in page
    assert "| a table |" in page
    assert "{" not in page.replace("{doc}", "")


def test_growth_is_drawn(tmp_path):
    axis = replace(AXES[-1], sizes=(1, 2))
    list(growth(1, [axis], tmp_path / "growth.svg"))
    drawn = (tmp_path / "growth.svg").read_text()
    assert axis.name in drawn
    assert "planned, ms" in drawn
