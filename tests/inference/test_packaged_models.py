"""The models that come with lossylab: whole, as their cards say, coding as they did when added.

tests/golden/zoo has a file of each codec: `lossylab compress` of `_image`. `make_golden(NAME)`
writes it.
"""

import json
import pathlib
import re

import numpy as np
import pytest
from lengths import long_but
from skimage import data

from lossylab.cli import gain
from lossylab.core.digest import file_digest
from lossylab.data.jpeg import Coding, degrade
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export import container, zoo
from lossylab.inference.export.base import class_of
from lossylab.inference.export.codec import Codec
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.export.restoring import candidates
from lossylab.inference.latent.generator import Generator

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "zoo"
CARDS = sorted(zoo.PACKAGED.glob("*.json"))


def _of(kind):
    return [path.stem for path in CARDS if json.loads(path.read_text())["kind"] == kind]


CODECS = _of("codec")
NEEDED = {"kind", "model", "weights", "options", "steps", "data", "license", "summary", "sha256"}
_LIMIT = 40 * 2**20  # bytes of all models


def _image():
    return data.astronaut()[0:192, 128:320]


def make_golden(name):
    (GOLDEN / f"{name}.lossy").write_bytes(container.compress(Codec(name), _image())[0])


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LOSSYLAB_CACHE", str(tmp_path_factory.getbasetemp() / "models"))
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path_factory.getbasetemp() / "none"))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_cards_say_what_a_user_needs(path):
    card = json.loads(path.read_text())
    assert card.keys() >= NEEDED
    class_of(card["kind"])
    assert card["sha256"] == file_digest(path.with_suffix(".npz"))
    assert card["hours"] > 0
    assert re.search(r"\d", card["quality"])
    assert not re.search(r"(^|[ \"])/\w", path.read_text()), "a place on a machine"


@pytest.mark.parametrize("name", _of("restorer"))
def test_restorers_gain_over_the_file(name):
    clean = data.astronaut()
    (candidate,) = candidates([name])
    known = [quality for quality, gain in candidate.gains if gain > 0.5]
    assert known, "the card says no gains"
    for quality in {known[0], known[len(known) // 2], known[-1]}:
        coding, given = Coding.by_quality(quality, 3), degrade(clean, quality)
        assert candidate.suits(coding)
        restored = Restorer(name).restore(given, coding)
        assert psnr(clean, restored) > psnr(clean, given) + 0.2, quality


def test_exports_of_restorers_say_how_fine_files_may_be():
    card = Restorer("dncnn-rgb").card
    assert (card["options"]["best_quality"], card["useful_to"]) == (95, 90)
    (candidate,) = candidates(["dncnn-rgb"])
    assert candidate.finest == 90


@pytest.mark.parametrize("name", _of("generator"))
def test_generators_make_other_images_with_every_seed(name):
    generator = Generator(name)
    made = generator.generate(16).astype(float)
    apart = np.abs(made[:, None] - made).mean((2, 3, 4))
    assert np.sort(apart, 1)[:, 1].min() > 10, "two images are alike"
    assert np.abs(made - generator.generate(psi=0.0)).mean() > 20, "all are near the mean"


def test_all_models_are_small():
    assert sum(path.stat().st_size for path in zoo.PACKAGED.iterdir()) < _LIMIT


@pytest.mark.parametrize("name", long_but(["bls-vmaf-0.016"], CODECS))
def test_codecs_read_the_file_that_they_wrote_when_they_were_added(name):
    file = (GOLDEN / f"{name}.lossy").read_bytes()
    codec, image = Codec(name), _image()
    assert zoo.card(name)["weights"].startswith(container.weights_of(file))
    decoded = container.decompress(codec, file)
    again, _ = container.compress(codec, image)
    # Another processor's last bits may round a few latents to their neighbors.
    assert len(again) == pytest.approx(len(file), rel=0.01)
    quality = psnr(image, decoded)
    assert psnr(image, container.decompress(codec, again)) == pytest.approx(quality, abs=0.02)
    assert quality > gain.best_jpeg(image, len(file)) + 0.5
