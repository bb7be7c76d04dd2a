"""Memory that a limit of the process does not allow is asked for before it is needed."""

import subprocess
import sys

from lossylab.core import memory

_CHILD = """
import resource
from lossylab.core import memory
from lossylab.core.errors import WorkError
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
memory.demand(2**26)
try:
    memory.demand(2**31, ": lower `max_pixels`")
except WorkError as error:
    print(error)
"""


def test_too_much_is_refused_under_a_limit():
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (
        "not enough memory: some 2048 MiB more are needed, which the limit of this process does "
        "not allow: lower `max_pixels`"
    )


def test_without_a_limit_nothing_is_refused():
    memory.demand(2**60)
