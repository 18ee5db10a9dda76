"""Hypothesis profiles: how many examples a property test draws.

``HYPOTHESIS_PROFILE`` picks one; without it, ``ci``. No profile has a deadline: the first call of a
test pays for imports and allocations, and a busy machine is not a bug.
"""

import os

from hypothesis import settings

# Under CI every run draws the same examples, so that a failure belongs to the change at hand.
# The nightly profile is there to find new ones, and stays random.
REPRODUCIBLE = bool(os.environ.get("CI"))

settings.register_profile("fast", max_examples=10, deadline=None, derandomize=REPRODUCIBLE)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=REPRODUCIBLE)
settings.register_profile("nightly", max_examples=500, deadline=None, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
