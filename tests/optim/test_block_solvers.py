"""How a block is solved: what is handed to CG, and what the preconditioner gives alone."""

import numpy as np
import pytest

import minihf as hf
from minihf.optim import Cholesky, ConjugateGradients, Linear, PreconditionerOnly


def test_the_warm_start_is_the_decayed_previous_solution_of_the_block():
    b, previous = np.array([1.0, 2.0]), np.array([2.0, 4.0])
    half = ConjugateGradients(warm_start=0.5)(np.eye(2), b, previous, None)
    assert (half.n_iterations, half.n_products) == (0, 1)  # it began at the solution
    cold = ConjugateGradients(warm_start=0.0)(np.eye(2), b, previous, None)
    first = ConjugateGradients(warm_start=0.5)(np.eye(2), b, None, None)
    assert cold.n_products == first.n_products == 1


def test_a_solve_passes_its_settings_on():
    A, b, looks = np.diag(np.arange(1.0, 9.0)), np.ones(8), []
    solve = ConjugateGradients(
        6, lambda qs, rs: looks.append(len(qs) - 1), check_every=3, record=lambda i: i in (2, 3)
    )
    found = solve(A, b, None, None)
    assert found.n_products == 6
    assert looks == [3, 6]
    assert [i for i, _ in found.iterates] == [2, 3, 6]


def test_the_preconditioner_alone_makes_no_product_and_is_right_where_it_is_the_inverse(backend):
    rng = np.random.default_rng(0)
    B = rng.standard_normal((4, 4))
    A, b = B @ B.T + np.eye(4), rng.standard_normal(4)
    M = hf.asarray(np.linalg.inv(A))
    found = PreconditionerOnly()(None, hf.asarray(b), None, M)
    x = np.linalg.solve(A, b)
    np.testing.assert_allclose(hf.to_host(found.x), x, rtol=1e-10)
    assert found.quadratics[-1] == pytest.approx(0.5 * x @ A @ x - b @ x, rel=1e-10)
    assert (found.n_products, found.n_iterations) == (0, 1)
    assert found.iterates[-1][1] is found.x


@pytest.mark.parametrize(
    ("solver", "kept"),
    [
        (PreconditionerOnly(), False),
        (Cholesky(), False),
        (ConjugateGradients(3, warm_start=0.0), False),
        (ConjugateGradients(3, warm_start=0.5), True),
        (ConjugateGradients(3, warm_start=Linear(0.0, 0.9, updates=4)), True),
    ],
    ids=["preconditioner only", "cholesky", "cold", "warm", "on a schedule"],
)
@pytest.mark.parametrize("update", ["simultaneous", "sequential"])
def test_a_solution_is_kept_for_those_who_look_at_it(update, solver, kept, problem, run):
    _, state, _ = run(hf.HessianFree(solver=solver, update=update), problem(), 1)
    assert (state.solution is not None) == kept


def test_without_a_preconditioner_it_is_the_right_hand_side_itself():
    b = np.array([1.0, -2.0])
    found = PreconditionerOnly()(None, b, None, None)
    assert found.x is not b
    assert found.x.tolist() == b.tolist()


def test_a_preconditioner_that_gives_zero_is_not_taken_for_a_zero_gradient():
    found = PreconditionerOnly()(None, np.ones(2), None, np.zeros((2, 2)))
    assert (found.reason.name, found.x.tolist()) == ("NEGATIVE_CURVATURE", [0.0, 0.0])


@pytest.mark.parametrize(("entry", "reason"), [(0.0, "ZERO_RHS"), (np.nan, "NON_FINITE")])
def test_nothing_or_no_number_gives_zero_and_the_reason(entry, reason):
    found = PreconditionerOnly()(None, np.array([entry, 0.0]), None, np.eye(2))
    assert (found.reason.name, found.x.tolist()) == (reason, [0.0, 0.0])


def test_cg_says_how_many_products_it_may_make():
    assert ConjugateGradients(max_iters=7).products == 7
