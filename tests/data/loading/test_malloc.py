"""What a worker frees, it keeps."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from mvcgc.data.loading import malloc

malloc.keep_freed()
for number in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(3)]
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    del arrays
print(taken)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_arrays_reuse_the_pages_of_those_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    # 9 MiB are 2304 pages; without it glibc takes most of them anew.
    assert int(done.stdout) < 100
