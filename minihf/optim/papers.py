"""Published algorithms as compositions of the parts: what to read first in this folder.

Each function returns a `HessianFree` with the paper's constants as defaults. A constant marked "our
reading" is not verified against the paper's text.
"""

from __future__ import annotations

from typing import Any

from minihf.curvature import GGN
from minihf.optim.block_solvers import Cholesky, ConjugateGradients
from minihf.optim.curvatures import PositiveCurvature
from minihf.optim.damping import (
    ByAcceptance,
    Constant,
    ConvexMix,
    LevenbergMarquardt,
    StructuralDamping,
)
from minihf.optim.hessian_free import HessianFree
from minihf.optim.preconditioners import SquaredGradients
from minihf.optim.projections import MaxNorm
from minihf.optim.sampling import CycledChunks, Prefix
from minihf.optim.scaled_step import Scaled
from minihf.optim.schedules import Geometric
from minihf.optim.settings import settled
from minihf.optim.steps import BacktrackingArmijo, FixedStep, SumThenMean
from minihf.solvers import RelativeProgress, RelativeResidual, every_iterate

__all__ = [
    "chan_szeto1999",
    "chen2018",
    "kiros2013",
    "martens2010",
    "martens_sutskever2011",
    "wiesler2013",
    "zhang2017",
]


def zhang2017(
    blocks: Any = "layer",
    alpha: float = 0.1,
    lam: float = 0.0,
    max_iters: int = 30,
    curvature_fraction: float = 0.25,
    warm_start: float = 0.95,
) -> HessianFree:
    """Block-diagonal Hessian-free optimization.

    H. Zhang, C. Xiong, J. Bradbury & R. Socher, "Block-diagonal Hessian-free optimization for
    training neural networks", arXiv 1712.07296 (2017). The Gauss-Newton matrix is cut into
    diagonal blocks, CG runs on each independently, and the joined step is taken with a fixed length
    and a fixed damping. The paper's autoencoder has two blocks, ``{"encoder": "encoder.*",
    "decoder": "decoder.*"}``, alpha 0.1, lam 0, 30 iterations (our reading; LSTM: lam 0.01, 100
    iterations; CNN: lam 0.1). With ``blocks="network"`` it is the paper's HF baseline.

    With lam 0 nothing holds back a step along directions that the curvature batch knows nothing
    about: a small one makes the objective blow up. Raise lam, or the curvature fraction.

    Differs from the paper in: 1. where CG begins, which we recall nothing about: 0.95 times the
    block's last solution. 2. CG may stop early, by Martens' rule.
    """
    return HessianFree(
        blocks=blocks,
        curvature=GGN,
        solver=ConjugateGradients(max_iters, RelativeProgress(), warm_start),
        preconditioner=None,
        damping=Constant(lam),
        step_rule=FixedStep(alpha),
        sampling=Prefix(curvature_fraction),
        l2=0.0,
        rho_on="curvature",
    )


def martens2010(
    blocks: Any = "network",
    lam: float = 45.0,
    max_iters: int = 250,
    curvature_chunks: int = 4,
    warm_start: float = 0.95,
    l2: float = 2e-5,
) -> HessianFree:
    """Hessian-free optimization.

    J. Martens, "Deep learning via Hessian-free optimization", ICML 2010, and the author's code:
    damping by the reduction ratio (section 4.1, lam 45 at first), Gauss-Newton products (4.2) on
    chunks of the data that take turns (4.3), CG that stops on relative progress (4.4) and begins at
    0.95 times its last result (4.5), backtracking over its iterates and Armijo's line search (4.6),
    and a preconditioner of squared gradients to the 3/4 (4.7).

    Differs from the author's code in: 1. the squared gradients are averaged over the curvature
    chunk, not all data. 2. an update that the line search rejects raises lam, whatever its rho.
    """
    return HessianFree(
        blocks=blocks,
        curvature=GGN,                                                         # 4.2
        solver=ConjugateGradients(max_iters, RelativeProgress(), warm_start),  # 4.4, 4.5
        preconditioner=SquaredGradients(exponent=0.75),                        # 4.7
        damping=LevenbergMarquardt(lam, boost=3 / 2, drop=2 / 3),              # 4.1
        step_rule=BacktrackingArmijo(c=0.01, factor=0.8, max_tries=60),        # 4.6
        sampling=CycledChunks(curvature_chunks),                               # 4.3
        l2=l2,
        rho_on="curvature",                                                    # 4.1
    )


def martens_sutskever2011(
    blocks: Any = "network",
    lam: float = 0.1,
    mu: float = 1 / 30,
    max_iters: int = 250,
    curvature_chunks: int = 4,
    warm_start: float = 0.95,
    l2: float = 0.0,
) -> HessianFree:
    """Hessian-free optimization of recurrent networks, by structural damping.

    J. Martens & I. Sutskever, "Learning recurrent neural networks with Hessian-free optimization",
    ICML 2011: `martens2010` without its preconditioner, and with a damping matrix lam (I + mu G_S)
    that also holds back how far the hidden states move. With mu 0 it is plain HF. The constants are
    those of public ports; the chunks and the L2 coefficient are our choice.

    It takes a network that marks its hidden states, as `RNN` and `LSTM` do, and refuses others.

    Differs from the paper in: 1. the distance is half the squared one between hidden states; theirs
    is matched to the hidden units, so that R{h} enters before the nonlinearity and not after it
    (our reading). 2. what martens2010 differs in.
    """
    return HessianFree(
        blocks=blocks,
        curvature=GGN,
        solver=ConjugateGradients(max_iters, RelativeProgress(), warm_start),
        preconditioner=None,
        damping=LevenbergMarquardt(lam, boost=3 / 2, drop=2 / 3),
        step_rule=BacktrackingArmijo(c=0.01, factor=0.8, max_tries=60),
        sampling=CycledChunks(curvature_chunks),
        l2=l2,
        rho_on="curvature",
        structural=StructuralDamping(mu),                                      # lam mu G_S
    )


def wiesler2013(
    blocks: Any = "network",
    lam: float = 0.01,
    max_iters: int = 10,
    curvature_chunks: int = 10,
    warm_start: float = 0.95,
    l2: float = 0.0,
) -> HessianFree:
    """Hessian-free optimization of deep classifiers, by cross-entropy.

    S. Wiesler, J. Li & J. Xue, "Investigations on Hessian-free optimization for cross-entropy
    training of deep neural networks", Interspeech 2013. The algorithm is `martens2010`; what the
    paper asks is whether it suits `SoftmaxCrossEntropy`, where stochastic gradient descent improves
    fast and may then "falsely indicate convergence". Gradient and objective are on the whole batch,
    which is to be all data; the curvature is on a chunk of it, another one at every update.

    The constants are our choice, cheap and still steady among those that we tried on deep sigmoid
    networks: a tenth of the cases, and ten iterations. lam is small, for where gradients vanish so
    does the curvature, and a large lam would make steps that single precision does not see.

    Differs from the paper in: 1. that it is martens2010 is our reading, we know the abstract only.
    2. chunks take turns, and are a random sample if the cases are in random order.
    """
    return martens2010(blocks, lam, max_iters, curvature_chunks, warm_start, l2)


def kiros2013(
    updates_per_epoch: int = 60,
    blocks: Any = "network",
    lam: float = 0.1,
    max_iters: int = 5,
    curvature_fraction: float = 0.1,
    warm_start: float = 0.5,
    warm_start_growth: float = 1.01,
    step_decay: float = 0.998,
    drop: float = 0.99,
    l2: float = 2e-7,
) -> HessianFree:
    """Stochastic Hessian-free optimization, for networks with dropout.

    R. Kiros, "Training neural networks with stochastic Hessian-free optimization", ICLR 2013, arXiv
    1301.3641, and the author's code: `martens2010` on batches of 1,000 cases, of which a slice of
    100 is for the curvature. Everything gets gentler, since a batch is not the data: at most five
    CG iterations, a warm start that grows from 0.5 to 0.99, damping factors of 0.99 and its
    inverse, and steps that shrink from epoch to epoch. Incoming weights are bounded in norm, and
    where an update is brought back to the bound the objective may rise. The masks of dropout are
    drawn once for an update, and the slice has those of its cases. 60 updates are an epoch of
    MNIST.

    Differs from the author's code in: 1. the squared gradients are averaged over the slice. 2. L2
    is on biases, too. 3. the norms' bound is by each layer's fan-in, there by the first one's for
    all, and biases are free. 4. batches are drawn anew in each epoch, so that the slice need not
    move. 5. what martens2010 calls 2. 6. at most five is of iterations: with the
    warm start's there are six products.
    """
    updates_per_epoch = settled(
        "kiros2013", "updates_per_epoch", updates_per_epoch, "int", "1 or more"
    )
    drop = settled("kiros2013", "drop", drop, "float", "in (0, 1]")
    grown = Geometric(warm_start, warm_start_growth, 0.99, every=updates_per_epoch)
    shrunk = Geometric(1.0, step_decay, every=updates_per_epoch)
    return HessianFree(
        blocks=blocks,
        curvature=GGN,
        solver=ConjugateGradients(max_iters, RelativeProgress(), grown, record=every_iterate),
        preconditioner=SquaredGradients(exponent=0.75),
        damping=LevenbergMarquardt(lam, boost=1 / drop, drop=drop, low=1 / 4, high=3 / 4),
        step_rule=Scaled(BacktrackingArmijo(c=0.01, factor=0.8, max_tries=60), shrunk),
        sampling=Prefix(curvature_fraction),
        l2=l2,
        rho_on="gradient",
        projection=MaxNorm(),
    )


def chan_szeto1999(
    blocks: Any = "layer",
    lam: float = 1.0,
    update: str = "sequential",
    max_size: int = 2000,
) -> HessianFree:
    """Block-diagonal Levenberg-Marquardt, for recurrent networks of some thousand weights.

    L. W. Chan & C. C. Szeto, "Training recurrent network with block-diagonal approximated
    Levenberg-Marquardt algorithm", IJCNN 1999, and the companion paper at IJCNN 2000. Weights are
    grouped; for each group J_b comes from back-propagation through time, (J_b'J_b + mu I) d_b =
    -J_b'e is solved exactly, and a step is taken if the error falls. mu is divided by 10 then, and
    multiplied by 10 if not. Groups are ``"layer"``, or ``partial(k_units, k=4)``,
    ``partial(arbitrary, count=8)`` or ``correlated(G, params, 8)`` of
    `minihf.curvature.partitions`; with ``blocks="network"`` it is the classical algorithm. Updates
    are asynchronous (``"sequential"``), where each group has a mu of its own, or synchronous
    (``"simultaneous"``), where the groups' steps are tried as a sum and as a mean.

    Differs from the paper in: 1. everything but the groupings' names and the two kinds of update is
    our reading: we know the abstracts only. 2. J'H_L J stands for J'J, so that any loss will do;
    for `SquaredError` they are the same. 3. the objective is a mean over N cases: lam is mu / N.
    """
    return HessianFree(
        blocks=blocks,
        curvature=GGN,
        solver=Cholesky(max_size),
        preconditioner=None,
        damping=ByAcceptance(
            lam, boost=10, drop=1 / 10, minimum=1e-10, maximum=1e10,
            per_block=update == "sequential",
        ),
        step_rule=SumThenMean(),
        sampling=Prefix(1.0),
        l2=0.0,
        rho_on="gradient",
        update=update,
    )


def chen2018(
    blocks: Any = "param",
    mode: str = "abs",
    averaged: bool = True,
    a: float = 0.02,
    alpha: float = 0.1,
    max_iters: int = 50,
    tolerance: float = 0.1,
) -> HessianFree:
    """EA-CG on the block-diagonal positive-curvature Hessian, for fully connected networks.

    S.-W. Chen, C.-N. Chou & E. Y. Chang, "EA-CG: an approximate second-order method for training
    fully-connected neural networks", AAAI 2019 (arXiv 1802.06502, 2018). Each parameter's block of
    the Hessian is made positive wherever an activation bends it, by absolute values (mode "abs") or
    by clipping ("clip"), and mixed with the identity. Expectations stand for the cases, so that a
    product of CG does not depend on the batch; with ``averaged=False`` all cases are in it. Numbers
    of equations are those of `minihf.curvature.pch`. The paper's batches have 500 cases.

    It takes networks of dense layers and activations, one after another, and refuses others.

    Expectations see nothing of inputs whose mean is zero: along their weights E[h] E[h]' is next to
    nothing, and a = 0.02 alone holds a step back, which is then a gradient step of length alpha / a
    = 5. On 500 standard normal cases, products of two inputs as targets, a tanh network 4-8-2 went
    from 1.3 to 10^34 in 28 updates and gave up; with ``a=0.2`` it came to 0.58 in 50, with
    ``averaged=False`` to 0.54. Raise `a`, or take ``averaged=False``.

    Differs from the paper in: 1. how averages pass an activation in (3), E[p p'] o W H W', which we
    recall and could not verify (our reading). 2. curvature and gradient are of the same batch (our
    reading). 3. a step to where the objective is not finite is rejected.
    """
    return HessianFree(
        blocks=blocks,
        curvature=PositiveCurvature(mode, averaged),                           # (4), or (2)
        solver=ConjugateGradients(max_iters, RelativeResidual(tolerance), warm_start=0.0),
        preconditioner=None,
        damping=ConvexMix(a),                                                  # (1 - a) C + a I
        step_rule=FixedStep(alpha),
        sampling=Prefix(1.0),
        l2=0.0,
        rho_on="gradient",
    )
