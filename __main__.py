"""`python -m lossylab` is the `lossylab` command."""

from lossylab.cli.__main__ import console

console()
