"""What the book's chapters on analysis say of their figures holds of the programs that draw them.

The chapters import examples 09 to 12; here the same functions are asked for the same numbers, and
their eigenvalues, energies and steps are found again from matrices that are written down.
"""

import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import minihf as hf
from minihf.solvers import martens_grid

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no examples/ beside the tests"),
]


@pytest.fixture(scope="module")
def example():
    """Import an example by its file's name."""
    sys.path.insert(0, str(EXAMPLES))
    yield import_module
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def trained(example):
    return example("trained_classifier").trained


# 09_block_structure ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def structure(example):
    return example("09_block_structure")


@pytest.fixture(scope="module")
def layered(trained):
    return trained((64, 12, 12, 10))


@pytest.fixture(scope="module")
def rows(structure, layered):
    return {(by, count): rest for by, count, *rest in structure.measured(layered)}


def test_one_block_is_newtons_step(rows):
    dropped, qualities = rows["network", 1]
    assert dropped == 0
    np.testing.assert_allclose(qualities[:, 0], 0, atol=1e-3)  # degrees; arccos near 1
    np.testing.assert_allclose(qualities[:, 1], 1, rtol=1e-9)


def test_more_blocks_drop_more_and_give_less(rows):
    finer = ("network", 1), ("layer", 3), ("param", 6), ("each by itself", 1066)
    for (less, coarse), (more, fine) in pairwise(rows[key] for key in finer):
        assert less < more
        assert (coarse[:, 0] < fine[:, 0]).all()
        assert (coarse[:, 1] > fine[:, 1]).all()


def test_blocks_by_chance_drop_three_times_the_energy_of_layers_for_as_good_a_step(rows):
    (dropped, layers), (by_chance, chance) = rows["layer", 3], rows["chance", 3]
    assert 2.5 < by_chance / dropped < 3.5
    assert abs(layers[:, 1] - chance[:, 1]).max() < 0.03
    assert layers[-1, 1] == pytest.approx(0.9, abs=0.02)


def test_34_units_are_well_ahead_of_chance(rows):
    assert (rows["units, 1 by 1", 34][1][1:, 1] > rows["chance", 34][1][1:, 1] + 0.15).all()


def test_the_share_of_the_fall_is_a_squared_cosine_in_the_norm_of_the_matrix(structure, layered):
    G, lam = layered.curvature().to_dense(), structure.LAMS[-1]
    kept = structure.cut(G, hf.Partition.of(layered.params, "layer"))
    F, D = (matrix + lam * np.eye(len(G)) for matrix in (G, kept))
    newton, d = np.linalg.solve(F, layered.g), np.linalg.solve(D, layered.g)
    degrees, share = structure.quality(G, kept, layered.g, lam)
    assert share == pytest.approx((newton @ F @ d) ** 2 / (newton @ F @ newton) / (d @ F @ d))
    best = (layered.g @ d) / (d @ F @ d)
    quadratic = best * (layered.g @ d) - 0.5 * best**2 * (d @ F @ d)
    assert share == pytest.approx(quadratic / (0.5 * layered.g @ newton))
    assert degrees > 40


def test_the_energy_that_is_dropped_is_that_of_block_energy(rows, layered):
    for by in ("layer", "param"):
        exact = hf.block_energy(layered.curvature(by))
        assert exact.off_diagonal == pytest.approx(rows[by, len(exact.names)][0])


# 10_spectrum ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spectra(example, trained):
    at = trained((64, 24, 16, 10), updates=10)
    return at, example("10_spectrum").spectra(at)


@pytest.mark.parametrize("name", ["layer 2", "layer 4"])
def test_both_ways_to_eigenvalues_agree_with_those_of_the_block_written_down(spectra, name):
    at, found = spectra
    top, _, spectrum = found[name]
    block = at.curvature("layer").block(name.removeprefix("layer "))
    values = np.linalg.eigvalsh(block.to_dense())
    np.testing.assert_allclose(np.sort(top), values[-len(top) :], rtol=1e-9)
    assert spectrum.highest == pytest.approx(values[-1], rel=1e-6)
    error = spectrum.standard_error(lambda t: t)
    assert abs(spectrum.mean(lambda t: t) - values.mean()) < 4 * error
    for at_value in (1e-4, 1e-3, 1e-2):
        assert spectrum.above(at_value) == pytest.approx(np.sum(values > at_value), rel=0.3)


def test_only_the_hessian_has_negative_eigenvalues(spectra):
    _, found = spectra
    assert found["H"][2].lowest < -0.1
    assert all(found[name][2].lowest > -1e-9 for name in found if name != "H")


def test_a_few_dozen_eigenvalues_are_large_and_the_others_near_zero(spectra):
    _, found = spectra
    of_G = found["G"][2]
    assert of_G.above(of_G.highest / 100) < 100 < of_G.size / 20


# 11_damping -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def damping(example):
    return example("11_damping")


@pytest.fixture(scope="module")
def damped(trained):
    return trained((64, 12, 10), updates=3)


@pytest.fixture(scope="module")
def sweep(damping, damped):
    return damping.sweep(damped)


def test_damped_steps_solve_the_damped_system(damping, damped, sweep):
    G = damped.curvature().to_dense()
    for lam, d in list(zip(damping.LAMS, sweep[0], strict=True))[::8]:
        residual = G @ d + lam * d + damped.g
        assert np.linalg.norm(residual) < 1e-8 * np.linalg.norm(damped.g)


def test_more_damping_makes_steps_shorter_nearer_to_the_gradient_and_more_modest(sweep):
    steps, promised, _, angles = sweep
    assert (np.diff(np.linalg.norm(steps, axis=1)) < 0).all()
    assert (np.diff(angles) < 0).all()
    assert (np.diff(promised) > 0).all()


def test_the_ratio_rises_through_the_band_and_the_best_damping_is_above_it(sweep):
    _, promised, came, _ = sweep
    rho = came / promised
    upper = np.argmax(rho > 0.75)
    assert (np.diff(rho[: upper + 1]) > 0).all()
    assert rho[np.argmin(came)] > 0.75
    assert rho[0] < -1
    assert rho[-1] == pytest.approx(1, abs=1e-3)


def test_steps_of_middling_length_are_not_in_the_plane_of_the_figure(damped, sweep):
    steps = sweep[0]
    plane, _ = np.linalg.qr(np.stack([steps[0], damped.g], axis=1))
    inside = np.linalg.norm(steps @ plane, axis=1) / np.linalg.norm(steps, axis=1)
    assert 0.6 < inside.min() < 0.8
    assert inside[0] == pytest.approx(1)
    assert inside[-1] == pytest.approx(1, abs=1e-3)
    d = steps[np.argmin(inside)]
    assert damped.objective(d) < damped.objective(plane @ (plane.T @ d))


def test_three_beginnings_lead_to_the_same_band_and_the_lowest_falls_first(damping, damped):
    runs = {lam: damping.followed(damped, lam) for lam in (1e-5, 1e-2, 10.0)}
    assert min(runs[1e-5]) < 1e-5
    ends = [lams[-1] for lams in runs.values()]
    assert max(ends) < 10 * min(ends)


# 12_cg_inside ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inside(example):
    return example("12_cg_inside")


@pytest.fixture(scope="module")
def solved(inside, trained):
    at = trained()
    found = inside.solves(at)
    return at, found, [at.objective(), *(at.objective(d) for _, d in found["none"].iterates)]


def test_quadratics_fall_and_iterates_grow(solved):
    _, found, _ = solved
    for result in found.values():
        assert (np.diff(result.quadratics) < 0).all()
    lengths = [np.linalg.norm(d) for _, d in found["none"].iterates]
    assert (np.diff(lengths[:60]) > 0).all()
    assert (np.diff(found["none"].residuals) > 0).any()


def test_martens_rule_leaves_a_small_part_of_the_fall_long_before_the_residual_is_small(
    inside, solved
):
    _, found, _ = solved
    best = min(result.quadratics[-1] for result in found.values())
    for result in found.values():
        stop = inside.first_stop(hf.RelativeProgress(), result)
        assert stop < inside.first_stop(hf.RelativeResidual(1e-3), result)
        assert 1 - result.quadratics[stop] / best < 0.005


def test_diagonals_are_of_no_use_and_kronecker_factors_are_ahead_from_the_first_iteration(solved):
    _, found, _ = solved
    plain = np.array(found["none"].quadratics)
    assert (np.array(found["Kronecker"].quadratics)[1:40] < plain[1:40]).all()
    for name in ("squared gradients", "Jacobi"):
        assert (np.array(found[name].quadratics)[20:60] > plain[20:60]).all()


def test_going_back_ends_at_a_hump_with_a_better_iterate_behind_it(inside, solved):
    _, found, values = solved
    stop = inside.first_stop(hf.RelativeProgress(), found["none"])
    kept, chosen = inside.backtracked(values, stop)
    assert kept[-1] == stop
    assert all(martens_grid(i) for i in kept[:-1])
    assert values[chosen] <= values[stop] < values[0]
    assert min(values[i] for i in kept) < values[chosen] - 0.05
