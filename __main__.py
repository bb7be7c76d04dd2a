"""`python -m lossylab` is the `lossylab` command."""

from lossylab.cli import console

console()
