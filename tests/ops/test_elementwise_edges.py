"""What elementwise ops do with values at the edge of the numbers."""

import numpy as np

from minihf import ops


def test_relu_cuts_minus_infinity_to_zero_and_lets_nan_show():
    y = ops.relu(np.array([-np.inf, -1.0, 0.0, 2.0, np.inf, np.nan]))
    np.testing.assert_array_equal(y, [0.0, 0.0, 0.0, 2.0, np.inf, np.nan])
