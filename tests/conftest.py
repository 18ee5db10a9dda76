"""How many examples a property test draws, and on which arrays it computes.

Without ``--minihf-profile`` the property tests draw as many as in continuous integration, while the
checks look at few cases.
"""

import pytest

import minihf as hf
from minihf import testing
from minihf.testing.properties import load_profile

load_profile("ci")

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
