"""Polyak averaging: the mean of the parameters over the last part of a run.

Near a minimum, updates from batches wander around it, and the mean of where they have been is
closer than any of them. With t updates made and a share s of them to look back at,

    mean += (theta - mean) / (s t)          once s t > 1; before, mean = theta

is a mean whose weights fade over the last s t updates: a window that grows with the run, so that it
follows closely at first and averages much later.

B. T. Polyak & A. B. Juditsky, SIAM J. Control Optim. 30 (1992). Martens & Grosse, ICML 2015, use a
mean of fixed length. Called by `minihf.fit`.
"""

from __future__ import annotations

from dataclasses import dataclass

from minihf.params import Params

__all__ = ["RunningMean"]


@dataclass
class RunningMean:
    """The mean of the parameters that it is told.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> mean = RunningMean(share=0.5)
    >>> for number in (1.0, 2.0, 3.0, 4.0):
    ...     mean.add(hf.Params.from_dict({"w": np.array([number])}))
    >>> mean.params["w"].round(3)                        # 2, then 2 + 1 / 1.5, ...
    array([3.333])
    """

    share: float
    params: Params | None = None
    updates: int = 0

    def add(self, params: Params) -> None:
        """Take in the parameters after one more update."""
        self.updates += 1
        window = self.share * self.updates
        if self.params is None or window <= 1:
            self.params = params.with_vector(params.vector.copy())
            return
        mean = self.params.vector
        mean += (params.vector - mean) / window
