"""inference.export.generator: exports of StyleGAN generators, found by folder, name or file."""

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.errors import ExportError, UsageError
from lossylab.inference.export import zoo
from lossylab.inference.export.generator import Generator, find_generator
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import gaussian_file
from lossylab.models import stylegan
from lossylab.models.arcnn import ARCNN

_SIZES = {"latent": 6, "mapping": 5, "width": 4, "depth": 2}


@pytest.fixture(scope="module", name="network")
def _network():
    return stylegan.random(2, 16, 1, fmap_base=32, fmap_max=8, **_SIZES)


@pytest.fixture(scope="module", name="exported")
def _exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("generator") / "export"
    Generator.save(network, path, {"train_data": "icons"})
    return path


@pytest.fixture(name="named")
def _named(exported, tmp_path, monkeypatch):
    """The export as a model that has a name, its weights rounded."""
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("LOSSYLAB_CACHE", str(tmp_path / "cache"))
    cli.main(["models", "add", str(exported), "icons", "--summary=icons"])
    return "icons"


def _equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights()))


def test_a_seed_decides_the_images(exported):
    export = lossylab.load(exported)
    assert type(export) is Generator
    assert (export.latent, export.resolution, export.model) == (6, 16, "stylegan2")
    images = export.generate(3, seed=1)
    assert (images.shape, images.dtype) == ((3, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(export.generate(2, seed=1), images[:2])
    assert np.any(images[0] != images[1])
    assert np.any(export.generate(1, seed=2) != images[:1])


@pytest.mark.parametrize("psi", [0.0, 0.5, 1.0])
def test_images_are_the_networks(psi, network, exported, random):
    latents = random.standard_normal((2, 6)).astype(np.float32)
    styles = tf.repeat(network.map(latents)[:, None], network.num_layers, 1)
    expected = network.synthesis(network.mean + psi * (styles - network.mean))
    made = lossylab.load(exported)._only("generate", latents=latents, psi=np.float32(psi))
    np.testing.assert_allclose(made, tf.clip_by_value(expected, 0, 255), atol=0.51)
    assert np.any(made[0] != made[1]) == (psi > 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_generator_is_found_wherever_it_is(version, tmp_path):
    network = stylegan.random(version, 8, 1, fmap_base=16, fmap_max=8, **_SIZES)
    stylegan_files.save(network, str(tmp_path / "file.npz"))
    Generator.save(network, tmp_path / "export", {})
    for place in ("file.npz", "export"):
        found = find_generator(str(tmp_path / place))
        assert found.version == version
        assert _equal(found, network)


def test_a_name_stands_for_a_generator(named, tmp_path):
    assert zoo.card(named)["kind"] == "generator"
    assert _equal(find_generator(named), lossylab.load(named).network())
    for place in (named, str(zoo.place(named))):
        out = tmp_path / place.replace("/", "_")
        cli.main(["generate", str(out), f"--generator={place}", "--count=2"])
    pair = [(tmp_path / p.replace("/", "_") / "001.png").read_bytes() for p in (named, place)]
    assert pair[0] == pair[1]


def test_the_gaussian_of_a_named_generator_is_kept_in_the_cache(named, tmp_path):
    place = gaussian_file.beside(named)
    assert place.startswith(str(tmp_path / "cache"))
    fitted = np.ones(4, np.float32), np.zeros(4, np.float32)
    gaussian_file.save(place, "it", 9, fitted)
    np.testing.assert_array_equal(gaussian_file.load(place, "it", 9, 4), fitted)
    assert gaussian_file.beside("runs/export/") == gaussian_file.beside("runs/export")
    assert gaussian_file.beside("runs/v2.npz") == "runs/v2.gaussian.npz"


def test_other_exports_and_files_are_refused(exported, tmp_path):
    Restorer.save(ARCNN(1), tmp_path / "arcnn", {"quality": 10})
    with pytest.raises(UsageError, match="arcnn is an export of a ARCNN, no generator's"):
        find_generator(tmp_path / "arcnn")
    with pytest.raises(UsageError, match="nowhere: no such file"):
        find_generator("nowhere")
    with pytest.raises(ExportError, match="no lossylab export of kind generator"):
        Generator(tmp_path / "arcnn")
    (exported.parent / "text").write_text("no generator")
    with pytest.raises(UsageError, match="is no generator that"):
        find_generator(exported.parent / "text")
