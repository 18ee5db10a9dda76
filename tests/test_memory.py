"""Freed memory is kept, where the C library can be told so: counted in page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import sys
import numpy as np
from minihf.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

np.ones(2**24)
before = faults()
for _ in range(5):
    np.ones(2**24)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_an_array_takes_the_pages_of_a_freed_one():
    pages = 2**24 * 8 // 4096
    plain, kept = (
        int(subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True,
                           check=True).stdout)
        for how in ("plain", "keep")
    )  # fmt: skip
    assert kept < pages / 100
    assert plain > 10 * kept
