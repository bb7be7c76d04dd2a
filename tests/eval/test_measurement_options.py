"""Options of measurements: what they name is what there is, though nothing heavy is imported."""

import subprocess
import sys

import pytest

from lossylab.core.errors import UsageError
from lossylab.data import lattice_pairs
from lossylab.eval import latent_rows, restoration_protocols
from lossylab.eval.metrics import vmaf
from lossylab.eval.options import crops, latent, rd, restoration
from lossylab.eval.options import rankiqa as rankiqa_options
from lossylab.eval.options.distortions import DistortionsOptions
from lossylab.inference.codecs import external, registry
from lossylab.inference.export import rankiqa, restoring
from lossylab.inference.latent import cases


def test_codecs_are_those_that_there_are():
    assert tuple(registry.CLASSICAL) == rd.CODECS
    assert tuple(external.KNOWN) == rd.EXTERNAL


def test_methods_and_protocols_are_those_that_there_are():
    assert (*lattice_pairs.CHANNELS, restoration.FILE) == restoration.CHANNELS
    assert tuple(restoration_protocols.PROTOCOLS) == restoration.CHANNELS
    assert restoring.SADCT == restoration.SADCT
    assert tuple(vmaf.METRICS) == crops.SCORES
    assert tuple(rankiqa.SCORINGS) == rankiqa_options.SCORINGS
    assert rankiqa.CROPS == rankiqa_options.CROPS


def test_searches_are_those_of_table_2():
    assert tuple(latent_rows.ROWS) == latent.ROWS
    assert cases.TASKS == latent.TASKS


def test_crops_of_distortions_lie_at_a_pair_of_fractions():
    with pytest.raises(UsageError, match="`center` takes two fractions from 0 to 1, got 0.5"):
        DistortionsOptions(
            crops_dir="crops", models=("jpeg:export",), budget="small", center=(0.5,)
        )


def test_options_import_nothing_heavy():
    modules = ("base", "crops", "distortions", "latent", "rankiqa", "rd", "restoration", "study")
    code = "\n".join(f"import lossylab.eval.options.{name}" for name in modules)
    heavy = "{'tensorflow', 'numpy', 'pandas'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint({heavy})"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
