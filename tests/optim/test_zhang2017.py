"""Block-diagonal Hessian-free optimization on small copies of the paper's three networks.

What holds for any network and any blocks stands in `test_hessian_free`: one block is classical HF
bit for bit, two networks without a connection are two blocks, and G <= B blkdiag(G) with what
follows.
"""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf.experiments import networks
from minihf.optim import ConjugateGradients, Constant, FixedStep, Prefix
from minihf.testing import jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10         # relative: the complex step is good to 1e-15
ROUNDING = 1e-12      # of a quadratic along CG, relative to what it has fallen

NETWORKS = {
    "autoencoder": (
        networks.autoencoder(6, 5, 3), networks.AUTOENCODER_BLOCKS, (6,), hf.SquaredError()
    ),
    "lstm": (
        networks.lstm_classifier(2, 3, classes=4), networks.LSTM3_BLOCKS, (5, 2),
        hf.SoftmaxCrossEntropy(),
    ),
    "resnet": (
        networks.resnet(1, widths=(2, 2, 3), classes=3), networks.RESNET_BLOCKS, (1, 4, 4),
        hf.SoftmaxCrossEntropy(),
    ),
}  # fmt: skip


def small(name, N=4):
    net, blocks, shape, loss = NETWORKS[name]
    rng = np.random.default_rng(0)
    x = hf.asarray(rng.standard_normal((N, *shape)))
    y = x if name == "autoencoder" else hf.asarray(rng.integers(0, 3, N))
    params = net.init(0, np.float64)
    return SimpleNamespace(net=net, blocks=blocks, loss=loss, params=params, batch=(x, y))


def test_it_is_what_the_paper_says():
    opt = hf.papers.zhang2017()
    assert opt.solver == ConjugateGradients(30, hf.RelativeProgress(), warm_start=0.95)
    assert (opt.damping, opt.step_rule) == (Constant(0.0), FixedStep(0.1))
    assert (opt.blocks, opt.curvature, opt.preconditioner) == ("layer", hf.GGN, None)
    assert (opt.sampling, opt.l2, opt.update) == (Prefix(0.25), 0.0, "simultaneous")


@pytest.mark.parametrize("name", NETWORKS)
def test_block_products_are_the_diagonal_blocks_of_the_dense_matrix(name):
    p = small(name, N=2)
    x, y = p.batch
    lin = hf.linearize(p.net, p.params, x)
    J = jacobian(lambda theta: p.net(p.params.with_vector(theta), x), p.params.vector)
    H_L = jacobian(lambda z: p.loss.grad(z.reshape(lin.output.shape), y), lin.output.reshape(-1))
    G = hf.GGN(lin, p.loss, y, p.blocks)
    assert G.partition.names == tuple(p.blocks)
    for name, block in G.partition.items():
        J_b = J[:, block.index]
        assert relative_error(G.block(name).to_dense(), J_b.T @ H_L @ J_b) <= EXACT


@pytest.mark.parametrize("name", NETWORKS)
def test_every_blocks_quadratic_falls_all_along_cg(name, run):
    """From zero at the first update, and from the warm start later on."""
    p, paths = small(name, N=8), []

    def solver(A, b, previous, M):
        result = plain.solver(A, b, previous, M)
        paths.append(result.quadratics)
        return result

    plain = hf.papers.zhang2017(p.blocks, lam=0.1)
    _, _, reports = run(dataclasses.replace(plain, solver=solver), p, 3)
    assert len(paths) == 3 * len(p.blocks)
    for path in paths:
        assert len(path) > 2
        assert np.diff(path).max() <= ROUNDING * abs(path[-1])
        assert path[-1] < path[0]
    ends = [block.predicted for report in reports for block in report.blocks.values()]
    assert ends == [path[-1] for path in paths]
    assert max(ends) < 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_block_is_solved_as_if_the_others_were_not_there(name, run):
    """Its solution is that of a partition whose other block is all the rest."""
    p = small(name)
    _, state, _ = run(hf.papers.zhang2017(p.blocks, lam=0.1), p, 1)
    whole = hf.Partition.of(p.params, p.blocks)
    for chosen, block in whole.items():
        rest = [glob for other, globs in p.blocks.items() if other != chosen
                for glob in ([globs] if isinstance(globs, str) else globs)]
        opt = hf.papers.zhang2017({"it": p.blocks[chosen], "rest": rest}, lam=0.1)
        _, alone, _ = run(opt, p, 1)
        mine, theirs = (s.solution[block.index].tobytes() for s in (alone, state))
        assert mine == theirs
