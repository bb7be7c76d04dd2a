"""`lossylab.data` as a library: names without their modules, nothing heavy at import."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import lossylab.data
import lossylab.losses
from lossylab.core.errors import UsageError
from lossylab.core.lazy import exports

_IMPORTS = """
import sys
import lossylab.data, lossylab.losses
heavy = {"tensorflow", "numpy", "PIL", "scipy"} & set(sys.modules)
assert not heavy, heavy
assert lossylab.data.find_images("sample_test")
assert "tensorflow" not in sys.modules
assert lossylab.data.Schedule(8, seed=1).device_batch == 8
assert lossylab.losses.wcdgan.total_variation is lossylab.losses.total_variation
"""


def test_importing_the_package_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("package", [lossylab.data, lossylab.losses], ids=lambda p: p.__name__)
def test_every_name_that_is_listed_is_there(package):
    names = [name for name in dir(package) if not name.startswith("_")]
    assert len(names) > 20
    assert all(getattr(package, name) is not None for name in names)
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'no'"):
        _ = package.no


def test_a_name_must_not_hide_a_module():
    with pytest.raises(ValueError, match="a exports 'x' twice"):
        exports("a", {"x": ("x",)})
    with pytest.raises(ValueError, match="a exports 'y' twice"):
        exports("a", {"m": ("y",), "n": ("y",)})


def test_an_image_is_read_degraded_and_distorted(tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    image = lossylab.data.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image, images[0])
    degraded = lossylab.data.degrade(image, 40)
    np.testing.assert_array_equal(degraded, lossylab.data.distort(image, "jpeg", 40))
    assert degraded.dtype == image.dtype == np.uint8


def test_luma_has_a_convention_by_name(images):
    image = images[0]
    studio, full = (lossylab.data.luma_by(image, name) for name in ("studio", "full"))
    assert studio.dtype == full.dtype == np.uint8
    pillow = np.asarray(Image.fromarray(image).convert("YCbCr"))[..., :1]
    assert np.abs(pillow.astype(int) - full).max() <= 1
    np.testing.assert_allclose(studio, 16 + full * (219 / 255), atol=1)
    assert lossylab.data.luma_by(np.full((1, 1, 3), 255, np.uint8), "studio").item() == 235
    with pytest.raises(UsageError, match="studio"):
        lossylab.data.luma_by(image, "opencv")
