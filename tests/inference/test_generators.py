"""inference.latent.generator: exports of StyleGAN generators, found by folder, name or file."""

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.errors import ExportError, UsageError
from lossylab.inference.export import zoo
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import gaussian_file
from lossylab.inference.latent.generator import Generator, find_generator
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
    made = lossylab.load(exported)._only("generate", latents=latents, psi=np.float32(psi))
    np.testing.assert_allclose(made, _truncated(network, latents, psi), atol=0.51)
    assert np.any(made[0] != made[1]) == (psi > 0)


def _truncated(network, latents, psi):
    """Images of styles that are all nearer to the mean."""
    styles = tf.repeat(network.map(latents)[:, None], network.num_layers, 1)
    images = network.synthesis(network.mean + psi * (styles - network.mean))
    return tf.clip_by_value(images, 0, 255)


def test_all_layers_are_truncated(random):
    """Not only the first ones, as a generator of version 1 does of itself."""
    network = stylegan.random(1, 8, 1, fmap_base=16, fmap_max=8, cutoff=2, **_SIZES)
    latents = tf.constant(random.standard_normal((2, 6)), tf.float32)
    made = Generator.serve(network).functions["generate"](latents, tf.constant(0.2))["images"]
    np.testing.assert_allclose(made, _truncated(network, latents, 0.2), atol=0.51)


def test_loading_warns_of_nothing(exported, caplog):
    """absl's own logger says if gradients of gradients are lost."""
    with caplog.at_level("WARNING"):
        lossylab.load(exported)
    assert not caplog.records


@pytest.mark.parametrize(
    ("given", "message"),
    [({"count": 0}, "count=0"), ({"seed": -1}, "seed=-1"), ({"psi": float("nan")}, "psi=nan")],
)
def test_what_makes_no_images_is_refused(given, message, exported):
    with pytest.raises(UsageError, match=message):
        lossylab.load(exported).generate(**given)


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
    network = lossylab.load(named).network()
    assert _equal(find_generator(named), network)
    for number, place in enumerate((named, str(zoo.place(named)))):
        out = tmp_path / f"out{number}"
        cli.main(["generate", str(out), f"--generator={place}", "--count=2"])
    cli.main(["generate", str(tmp_path / "out2"), "--count=2"])  # the first that has a name
    images = [(tmp_path / f"out{n}" / "001.png").read_bytes() for n in range(3)]
    assert images[0] == images[1] == images[2]


def test_the_gaussian_of_a_named_generator_is_kept_in_the_cache(named, tmp_path, monkeypatch):
    place = gaussian_file.beside(named)
    assert place.startswith(str(tmp_path / "cache"))
    fitted = np.ones(4, np.float32), np.zeros(4, np.float32)
    gaussian_file.save(place, "it", 9, fitted)
    np.testing.assert_array_equal(gaussian_file.load(place, "it", 9, 4), fitted)
    assert gaussian_file.beside("runs/export/") == gaussian_file.beside("runs/export")
    assert gaussian_file.beside("runs/v2.npz").endswith("/runs/v2.gaussian.npz")
    monkeypatch.chdir(tmp_path)
    assert gaussian_file.beside(".") == f"{tmp_path}.gaussian.npz"


def test_other_exports_and_files_are_refused(exported, tmp_path):
    Restorer.save(ARCNN(1), tmp_path / "arcnn", {"quality": 10})
    with pytest.raises(UsageError, match="arcnn is an export of a ARCNN, no generator's"):
        find_generator(tmp_path / "arcnn")
    with pytest.raises(ExportError, match="nowhere: no such folder; .* or a name that"):
        find_generator("nowhere")
    with pytest.raises(ExportError, match="did you mean .*export"):
        find_generator(exported.parent)
    with pytest.raises(ExportError, match="no lossylab export of kind generator"):
        Generator(tmp_path / "arcnn")
    (exported.parent / "text").write_text("no generator")
    with pytest.raises(UsageError, match="is no generator that"):
        find_generator(exported.parent / "text")
