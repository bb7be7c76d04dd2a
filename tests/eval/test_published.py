"""Published values: a second reading of the paper, and the paper against itself."""

import fnmatch
import pathlib
import re

import numpy as np
import pandas as pd
import pytest

import lossylab
from lossylab.eval.report import published

PAPER = pathlib.Path(lossylab.__file__).parent.parent / "shared" / "papers" / "proxiqa.txt"

# Sums over the rows and columns of the paper's tables, added up from its text by another program
# than the one that read the values.
TABLE_1_ROWS = (
    *(-44.1, -61.1, -99.6, -86.6, -47.0, -76.4, -67.4, -47.4, -60.0, -95.0, -74.0, -101.7),
    *(-88.9, -66.8, -104.5, -80.6, -87.6, -52.2, -28.6, -63.9, -53.3, -88.4, -65.6, -81.5),
)
TABLE_1_COLUMNS = (
    *(381.7, -511.4, -462.1, 172.7),
    *(280.3, -278.4, -522.3, -4.0),
    *(125.5, -156.7, -186.8, -560.7),
)
TABLE_2_ROWS = {
    "JPEG": (1844.36, 409.92),
    "JPEG2000": (-191.45, 286.90),
    "HEVC 4:4:4": (-319.15, 315.08),
    "HEVC 4:2:0": (-527.75, 248.79),
    "BLS SSIM_p": (-54.27, 88.91),
    "BLS MSIM_p": (-91.24, 105.73),
    "BLS VMAF_p": (-95.25, 56.72),
    "BMSHJ MSE": (-350.19, 150.90),
    "BMSHJ VMAF_p": (-396.27, 131.91),
}
# Means and deviations together, by column.
TABLE_2_COLUMNS = (
    *(111.15, 131.72, 142.09, 77.76, -32.19),
    *(167.87, 255.77, 190.08, 103.96, 7.15),
    *(82.20, 169.04, 182.56, 41.54, -17.05),
)


def _table(number):
    values = published.load("proxiqa", number)
    return values.assign(value=values.value.astype(float))


def test_table_1_adds_up():
    values = _table("I")
    assert len(values) == 24 * 12
    by_row = values.groupby("row", sort=False).value.sum()
    assert list(by_row.index) == [f"Kodim{i:02d}" for i in range(1, 25)]
    np.testing.assert_allclose(by_row, TABLE_1_ROWS, atol=1e-6)
    np.testing.assert_allclose(
        values.groupby("column", sort=False).value.sum(), TABLE_1_COLUMNS, atol=1e-6
    )


def test_table_2_adds_up():
    values = _table("II")
    assert len(values) == 9 * 15 * 2
    for statistic, place in (("mean", 0), ("std", 1)):
        sums = values[values.statistic == statistic].groupby("row").value.sum()
        for row, expected in TABLE_2_ROWS.items():
            assert sums[row] == pytest.approx(expected[place], abs=1e-6), (row, statistic)
    np.testing.assert_allclose(
        values.groupby("column", sort=False).value.sum(), TABLE_2_COLUMNS, atol=1e-6
    )


def test_table_2_is_the_mean_and_deviation_of_table_1():
    """The paper's own tables: means agree, and deviations divide by n, not by n - 1."""
    two = published.numbers("proxiqa", "II")
    off = {0: 0.0, 1: 0.0}
    for column, group in _table("I").groupby("column"):
        optimization, metric = column.split("/")
        row, place = f"BLS {optimization}", f"Kodak/{metric}"
        assert group.value.mean() == pytest.approx(two[row, place, "mean"], abs=0.025)
        for ddof in off:
            off[ddof] += abs(group.value.std(ddof=ddof) - two[row, place, "std"])
    assert off[0] < 0.25  # twelve values of two digits from values of one
    assert off[1] > 3 * off[0]


def test_tables_4_and_5():
    four, five = _table("IV"), _table("V")
    assert four.groupby("column", sort=False).value.sum().round(2).to_dict() == {
        "SSIM": 132.73,
        "SSIM_p": -13.14,
        "SSIM+L_d": -14.62,
    }
    assert len(five) == 14
    assert five.value.sum() == pytest.approx(6079.13, abs=1e-6)


@pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is not here")
def test_every_value_is_in_the_papers_text():
    text = PAPER.read_text()
    lines = [re.sub(r"<[^>]*>", "", line).split("\t") for line in text.splitlines()]
    for number in ("I", "II", "IV", "V"):
        for (row,), group in published.load("proxiqa", number).groupby(["row"], sort=False):
            values = list(group.value)
            if number == "II":
                values = list(group.value[group.statistic == "mean"])
            found = [[v.strip() for v in line if v.strip()] for line in lines]
            assert any(_contains(line, values) for line in found), (number, row)


def _contains(line, values):
    return any(line[i : i + len(values)] == values for i in range(len(line)))


def test_unknown_papers_and_tables():
    with pytest.raises(ValueError, match="no published values of 'nothing'"):
        published.load("nothing", "I")
    with pytest.raises(ValueError, match="has no table 'VI', only I, II, III, IV, V"):
        published.load("proxiqa", "VI")
    assert isinstance(published.load("proxiqa", "III"), pd.DataFrame)


# Sums of the first and second numbers of WCDGAN's cells, by another program from its text.
WCDGAN_SUMS = {
    "1": (40, 1166.70, 32.1062),
    "2": (24, 639.72, 18.5447),
    "4": (18, 529.24, 14.5429),
    "5": (8, 218.72, 6.1889),
    "6": (8, 23.3665, 391.6725),
}


@pytest.mark.parametrize("table", WCDGAN_SUMS)
def test_wcdgans_tables_add_up(table):
    values = published.load("wcdgan", table)
    values = values.assign(value=values.value.astype(float), part=values.column.str[-4:])
    first = values[values.column.str.endswith(("/PSNR", "/IS"))].value
    second = values[values.column.str.endswith(("/SSIM", "/FID"))].value
    cells, one, other = WCDGAN_SUMS[table]
    assert len(first) == len(second) == cells
    assert first.sum() == pytest.approx(one, abs=1e-6)
    assert second.sum() == pytest.approx(other, abs=1e-6)


def test_wcdgans_complexity():
    values = published.numbers("wcdgan", "3")
    sizes = [v for (row, _, _), v in values.items() if row == "model size"]
    times = [v for (row, _, _), v in values.items() if row == "runtime"]
    assert sizes == [0.1, 0.6, 2.9, 25.1, 1.7]
    assert sum(times) == pytest.approx(0.5722 + 0.8071 + 1.6937 + 1.4814 + 1.4606)


def test_doubts_are_about_cells_that_exist():
    doubts = published.reference("wcdgan_doubts")
    for doubt in doubts.itertuples():
        cells = published.load("wcdgan", doubt.table)
        assert any(
            fnmatch.fnmatch(row, doubt.row) and fnmatch.fnmatch(column, doubt.column)
            for row, column in zip(cells.row, cells.column)
        ), doubt
        assert doubt.reason


# Sums over the rows of the restoration paper's Table 2, by another program from its text.
MMD_ROWS = (
    *(100.75, 99.77, 112.70, 111.31, 80.03, 86.94, 95.67, 83.19, 83.31, 86.73, 79.86, 79.47),
    *(81.62, 118.68, 228.47),
)


def test_the_restoration_papers_tables():
    two = published.load("mmd_restoration", "2")
    sums = two.assign(value=two.value.astype(float)).groupby("row", sort=False).value.sum()
    assert list(sums.index) == [*(str(row) for row in range(1, 14)), "Original", "Compressed"]
    np.testing.assert_allclose(sums, MMD_ROWS, atol=1e-6)
    one, three = (published.numbers("mmd_restoration", table) for table in "13")
    assert sum(one.values()) == pytest.approx(2.65)
    assert sum(three.values()) == pytest.approx(100)
