"""How many examples a property test draws, and on which arrays it computes.

``HYPOTHESIS_PROFILE`` picks one; without it, ``ci``. No profile has a deadline: the first call of a
test pays for imports and allocations, and a busy machine is not a bug.
"""

import os

import pytest
from hypothesis import settings

import minihf as hf
from minihf import testing

# Under CI every run draws the same examples, so that a failure belongs to the change at hand.
# The nightly profile is there to find new ones, and stays random.
REPRODUCIBLE = bool(os.environ.get("CI"))

settings.register_profile("fast", max_examples=10, deadline=None, derandomize=REPRODUCIBLE)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=REPRODUCIBLE)
settings.register_profile("nightly", max_examples=500, deadline=None, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

testing.install()


@pytest.fixture(
    scope="module", params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)]
)
def backend(request):
    """Run the test once per array library; where CuPy cannot compute, skip and say why."""
    try:
        hf.use(request.param)
    except RuntimeError as fault:
        pytest.skip(str(fault))
    yield request.param
    hf.use("numpy")


@pytest.fixture(autouse=True)
def numpy_unless_told(request):
    """`backend` lives as long as its module: a test without it must not inherit what it left."""
    hf.use(request.getfixturevalue("backend") if "backend" in request.fixturenames else "numpy")


@pytest.fixture
def count_gemms():
    """Count the matrix products that a call makes."""

    def count(call):
        made = []
        with hf.backend.observe_gemms(lambda a, b: made.append((a, b))):
            call()
        return len(made)

    return count
