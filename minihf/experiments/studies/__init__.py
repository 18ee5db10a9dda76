"""Studies: what the papers claim, asked again. One small file each, and a line here.

Called by `minihf.experiments.reproduce` and the command line.
"""

from __future__ import annotations

from collections.abc import Mapping

from minihf.experiments.studies import (
    chan_szeto1999_groupings,
    chen2018_deep_sigmoid,
    kiros2013_dropout,
    martens2010_curves,
    martens_sutskever2011_long_lags,
    wiesler2013_stagnation,
    zhang2017_autoencoder,
    zhang2017_blocks,
    zhang2017_cnn,
    zhang2017_curvature_batch,
    zhang2017_learning_rate,
    zhang2017_lstm,
)
from minihf.experiments.studies.study import LAPTOP_MINUTES, Study

__all__ = ["LAPTOP_MINUTES", "STUDIES", "Study"]

STUDIES: Mapping[str, Study] = {
    "zhang2017-autoencoder": zhang2017_autoencoder.STUDY,
    "zhang2017-lstm": zhang2017_lstm.STUDY,
    "zhang2017-cnn": zhang2017_cnn.STUDY,
    "zhang2017-curvature-batch": zhang2017_curvature_batch.STUDY,
    "zhang2017-learning-rate": zhang2017_learning_rate.STUDY,
    "zhang2017-blocks": zhang2017_blocks.STUDY,
    "martens2010-curves": martens2010_curves.STUDY,
    "martens_sutskever2011-long-lags": martens_sutskever2011_long_lags.STUDY,
    "kiros2013-dropout": kiros2013_dropout.STUDY,
    "wiesler2013-stagnation": wiesler2013_stagnation.STUDY,
    "chan_szeto1999-groupings": chan_szeto1999_groupings.STUDY,
    "chen2018-deep-sigmoid": chen2018_deep_sigmoid.STUDY,
}
