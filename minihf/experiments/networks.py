"""The papers' networks, with the blocks that the papers cut them into.

Each builder is one expression; each ``..._BLOCKS`` is a partition by name. Called by the tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from minihf.layers import (
    LSTM,
    RNN,
    Conv2d,
    Dense,
    Dropout,
    GlobalAvgPool2d,
    Glorot,
    He,
    LastStep,
    Layer,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Sparse,
    Tanh,
)
from minihf.layers.initialisers import Initialiser

__all__ = [
    "AUTOENCODER_BLOCKS",
    "LSTM3_BLOCKS",
    "RESNET_BLOCKS",
    "autoencoder",
    "dropout_classifier",
    "logistic_autoencoder",
    "lstm_classifier",
    "resnet",
    "rnn_classifier",
    "sigmoid_classifier",
]

AUTOENCODER_BLOCKS = {"encoder": "encoder.*", "decoder": "decoder.*"}
LSTM3_BLOCKS = {"lstm0": "lstm0.*", "lstm1": "lstm1.*", "top": ["lstm2.*", "dense.*"]}
RESNET_BLOCKS = {
    "bottom": ["stem.*", "group0.*"],
    "middle": "group1.*",
    "top": ["group2.*", "dense.*"],
}


def autoencoder(*widths: int) -> Sequential:
    """Return an autoencoder: `widths` down to the code, mirrored; tanh, linear code and output.

    Martens 2010 and Zhang et al. 2017 train 784-1000-500-250-30.

    Examples
    --------
    >>> autoencoder(784, 200, 30).init(0).names[-2:]
    ('decoder.2.W', 'decoder.2.b')
    """
    return Sequential(encoder=_stack(widths, Tanh), decoder=_stack(widths[::-1], Tanh))


def logistic_autoencoder(*widths: int) -> Sequential:
    """Return an autoencoder of sigmoid units, with a linear code; its outputs are logits.

    Martens 2010 trains 784-400-200-100-50-25-6 on CURVES, from sparse initial weights.

    Examples
    --------
    >>> params = logistic_autoencoder(784, 400, 200, 100, 50, 25, 6).init(0)
    >>> params.size, int((params["encoder.0.W"] != 0).sum(axis=0).max())
    (842340, 15)
    """
    return Sequential(
        encoder=_stack(widths, Sigmoid, Sparse), decoder=_stack(widths[::-1], Sigmoid, Sparse)
    )


def sigmoid_classifier(*widths: int) -> Sequential:
    """Return dense layers of these widths with sigmoids between them, a linear one on top.

    Chen et al., arXiv 1802.06502, train 784-512-128-32-10 on MNIST.

    Examples
    --------
    >>> sigmoid_classifier(784, 512, 128, 32, 10).init(0).size
    472042
    """
    return _stack(widths, Sigmoid)


def dropout_classifier(*widths: int, corruption: float, dropout: float = 0.5) -> Sequential:
    """Return dense layers with ReLUs between them, noise at the input and before the last layer.

    Kiros 2013 trains 784-1200-1200-10 on MNIST, half of the inputs set to zero; the initial weights
    are the author's. In evaluation the author scales the weights down; here what is kept of an
    input is scaled up in training.

    Examples
    --------
    >>> import numpy as np
    >>> net = dropout_classifier(784, 1200, 1200, 10, corruption=0.5)
    >>> net.init(0).names[-1], sorted(net.draw(np.random.default_rng(0), 1))
    ('dense.b', ['corruption.mask', 'dropout.mask'])
    """
    *hidden, last = widths
    layers: dict[str, Layer] = {"corruption": Dropout(corruption, widths[0])}
    for i, sizes in enumerate(pairwise(hidden)):
        rule = Glorot(count_bias=True, bias_value=0.1)
        layers |= {f"hidden{i}": Dense(*sizes, init_with=rule), f"relu{i}": ReLU()}
    layers |= {"dropout": Dropout(dropout, hidden[-1])}
    return Sequential(**layers, dense=Dense(hidden[-1], last, init_with=Glorot(count_bias=True)))


def _stack(
    widths: Sequence[int], activation: type[Layer], rule: type[Initialiser] = Glorot
) -> Sequential:
    layers: list[Layer] = []
    for sizes in pairwise(widths):
        layers += [Dense(*sizes, init_with=rule()), activation()]
    return Sequential(*layers[:-1])


def lstm_classifier(
    input_size: int, hidden_size: int, layers: int = 3, classes: int = 10
) -> Sequential:
    """Return LSTM layers on a sequence (N, T, D), and a dense layer on the last hidden state.

    Zhang et al. 2017, section 5: three layers; hidden size 10 is our reading.

    Examples
    --------
    >>> lstm_classifier(1, 10).init(0).names[-2:]
    ('dense.W', 'dense.b')
    """
    sizes = [input_size] + [hidden_size] * layers
    lstms = {f"lstm{i}": LSTM(*pair) for i, pair in enumerate(pairwise(sizes))}
    return Sequential(**lstms, last=LastStep(), dense=Dense(hidden_size, classes))


def rnn_classifier(input_size: int, hidden_size: int, classes: int) -> Sequential:
    """Return a tanh recurrent layer on a sequence (N, T, D), and a dense one on its last state.

    Examples
    --------
    >>> rnn_classifier(6, 20, 4).init(0).size
    624
    """
    return Sequential(
        rnn=RNN(input_size, hidden_size), last=LastStep(), dense=Dense(hidden_size, classes)
    )


def resnet(
    in_channels: int, widths: Sequence[int] = (16, 32, 64), classes: int = 10
) -> Sequential:
    """Return a small residual network on images (N, C, H, W), without batch normalisation.

    A 3x3 convolution; a group of one residual block for each width, all but the first halving the
    image; global average pooling; a dense layer. Zhang et al. 2017 say "ResNet-based"; the rest is
    our reading.

    Examples
    --------
    >>> resnet(3).init(0).names[:3]
    ('stem.W', 'stem.b', 'group0.body.0.W')
    """
    groups: dict[str, Layer] = {}
    for i, (before, width) in enumerate(pairwise([widths[0], *widths])):
        groups |= {f"group{i}": _residual_block(before, width), f"relu{i}": ReLU()}
    return Sequential(
        stem=_conv3x3(in_channels, widths[0]),
        stem_relu=ReLU(),
        **groups,
        pool=GlobalAvgPool2d(),
        dense=Dense(widths[-1], classes),
    )


def _residual_block(before: int, width: int) -> Residual:
    stride = 1 if before == width else 2
    body = Sequential(_conv3x3(before, width, stride), ReLU(), _conv3x3(width, width))
    if stride == 1:
        return Residual(body)
    return Residual(body, shortcut=Conv2d(before, width, 1, stride=stride, init_with=He()))


def _conv3x3(before: int, width: int, stride: int = 1) -> Conv2d:
    return Conv2d(before, width, 3, stride=stride, padding=1, init_with=He())
