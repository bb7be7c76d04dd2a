"""Which of many parameters of a test run by default."""

import pytest


def long_but(quick, values):
    """The values; all but the quick ones run with `-m long`."""
    return [
        each if each in quick else pytest.param(each, marks=pytest.mark.long) for each in values
    ]
