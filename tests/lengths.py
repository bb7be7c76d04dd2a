"""Which of many parameters of a test run by default."""

import pytest


def long_but(quick, values):
    """The values; all but the quick ones, which must be among them, run with `-m long`."""
    assert all(each in values for each in quick)
    marks = pytest.mark.long
    return [each if each in quick else pytest.param(each, marks=marks) for each in values]


def long_cases_but(quick, cases):
    """Cases of several arguments; all whose first is not a quick one run with `-m long`."""
    assert {*quick} <= {first for first, *_ in cases}
    marks = pytest.mark.long
    return [pytest.param(*case, marks=[] if case[0] in quick else marks) for case in cases]
