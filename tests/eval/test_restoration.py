"""Measures of restoration, and `eval restoration`: golden JPEG numbers, rows, crops, sets."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import tensorflow as tf
from conftest import GOLDEN
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.errors import BackboneError, UsageError
from lossylab.data.color import jpeg_ycbcr, studio_luma
from lossylab.data.jpeg import degrade, luminance_table
from lossylab.data.lattice_pairs import read_planes
from lossylab.eval import restoration, schemas
from lossylab.eval.metrics import features, inception, lpips
from lossylab.eval.metrics.psnr import psnr
from lossylab.eval.metrics.psnr_b import blocking_effect, psnr_b
from lossylab.eval.metrics.ssim import ssim, ssim_uniform
from lossylab.eval.report import crop_grid
from lossylab.inference.export.restorer import Restorer
from lossylab.models import restorers

BASELINE = json.loads((GOLDEN / "jpeg_baseline.json").read_text())["per_image"]
LPIPS_GOLDEN = (
    pathlib.Path(lossylab.__file__).parent.parent / "shared" / "golden" / "lpips_alex_random.npz"
)


def _measures(true, damaged):
    return {
        "psnr": psnr(true, damaged),
        "ssim_gauss11": float(ssim(true[None], damaged[None])[0]),
        "ssim_uni8": float(ssim_uniform(true[None], damaged[None])[0]),
        "psnrb": psnr_b(true, damaged),
    }


_TOLERANCES = {"psnr": 1e-3, "ssim_gauss11": 5e-4, "ssim_uni8": 2e-5, "psnrb": 1e-3}


_PROTOCOLS = [
    ("classic5", "Classic5", "gray_ystudio", 1),
    ("live1", "LIVE1", "gray_ystudio", 1),
    ("live1", "LIVE1", "rgb_420", 3),
]


@pytest.mark.parametrize(
    ("name", "golden", "convention", "channels", "quality"),
    [
        pytest.param(*protocol, q, marks=[] if i == j else pytest.mark.long)
        for i, protocol in enumerate(_PROTOCOLS)
        for j, q in enumerate((10, 5, 20))
    ],
)
def test_plain_jpeg_is_the_golden_one(name, golden, convention, channels, quality, collection):
    """Every other or tenth image; `eval restoration` has them all."""
    for path in collection(name)[:: 2 if name == "classic5" else 10]:
        true = read_planes(path, channels)
        got = _measures(true, degrade(true, quality))
        wanted = BASELINE[golden][convention][f"q{quality}"][pathlib.Path(path).stem]
        for measure, value in wanted.items():
            assert got[measure] == pytest.approx(value, abs=_TOLERANCES[measure]), measure


def test_psnr_is_that_of_tensorflow(images, random):
    noisy = np.clip(images[0] + random.normal(0, 9, images[0].shape), 0, 255).astype(np.uint8)
    wanted = float(tf.image.psnr(images[0], noisy, 255))
    assert psnr(images[0], noisy) == pytest.approx(wanted, abs=1e-3)
    assert psnr(noisy, noisy) == np.inf


def test_uniform_ssim_by_its_definition(random):
    """A loop over places, written from the formula."""
    x, y = (random.integers(0, 256, (11, 13, 1)).astype(np.uint8) for _ in range(2))
    c1, c2, values = 6.5025, 58.5225, []
    for top in range(4):
        for left in range(6):
            a, b = (s[top : top + 8, left : left + 8, 0].astype(float) for s in (x, y))
            covariance = np.mean((a - a.mean()) * (b - b.mean()))
            values.append(
                (2 * a.mean() * b.mean() + c1) * (2 * covariance + c2)
                / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var() + b.var() + c2))
            )  # fmt: skip
    assert float(ssim_uniform(x[None], y[None])[0]) == pytest.approx(np.mean(values), abs=1e-12)
    with pytest.raises(ValueError, match="needs images of at least 8x8"):
        ssim_uniform(x[None, :5], y[None, :5])


def test_blocking_counts_steps_at_borders_only(random):
    blocks = np.kron(random.integers(0, 256, (4, 4)), np.ones((8, 8)))
    assert blocking_effect(blocks) > 0
    shifted = np.roll(blocks, (3, 3), (0, 1))
    assert blocking_effect(shifted) == 0.0
    assert blocking_effect(np.full((32, 32), 7.0)) == 0.0
    flat = np.zeros((32, 32, 1), np.uint8)
    assert psnr_b(flat, flat) == np.inf


def test_psnr_b_is_at_most_psnr(images):
    damaged = degrade(images[0][..., :1], 10)
    assert psnr_b(images[0][..., :1], damaged) < psnr(images[0][..., :1], damaged)


def test_measures_refuse_images_of_different_sizes(images):
    for measure in (psnr, psnr_b):
        with pytest.raises(ValueError, match="the pair must have one shape"):
            measure(images[0], images[0][1:])


def test_lpips_is_the_official_one(tmp_path):
    if not LPIPS_GOLDEN.exists():
        pytest.skip("the golden LPIPS numbers are not at hand")
    golden, arrays = np.load(LPIPS_GOLDEN), {}
    for name in golden.files:
        if name.startswith("features"):
            short = name.replace("_oihw_f16", "").replace("_f16", "")
            arrays[short] = golden[name].astype(np.float32)
        elif name.startswith("lin"):
            arrays[f"{name.split('_')[0]}.weight"] = golden[name]
    np.savez(tmp_path / "weights.npz", **arrays)
    distance = lpips.LPIPS(str(tmp_path / "weights.npz"))
    for case in "ab":
        for i in range(2):
            pair = [golden[f"{case}_x{side}_u8_nhwc"][i] for side in (0, 1)]
            np.testing.assert_allclose(
                distance.per_layer(*pair), golden[f"{case}_per_layer"][i], rtol=1e-4
            )
            assert distance(*pair) == pytest.approx(golden[f"{case}_total"][i], abs=1e-5)


def test_lpips_of_equal_images_is_zero_and_bad_weights_are_refused(images, tmp_path):
    distance = lpips.LPIPS("random")
    assert distance(images[0], images[0]) < 1e-12  # places of a batch are rounded apart
    assert distance(images[0], images[1]) > 0.0
    assert distance.fingerprint() == "5e163b18efc26f72"  # as in rows of version 0.1.0
    with pytest.raises(BackboneError, match="expected 'random' or a NumPy archive"):
        lpips.LPIPS("nowhere.npz")
    np.savez(tmp_path / "part.npz", **{"features.0.weight": np.zeros((64, 3, 11, 11))})
    with pytest.raises(BackboneError, match="lack .features.0.bias"):
        lpips.LPIPS(str(tmp_path / "part.npz"))


def _features(pooled, classes=None):
    pooled = np.asarray(pooled, float)
    return inception.Features(pooled, classes if classes is not None else np.ones((len(pooled), 1)))


def test_frechet_distance_of_gaussians(random):
    """Of normal sets with diagonal covariances it is known in closed form."""
    x = random.normal(size=(20_000, 3))
    scaled = x * (1, 2, 3) + (1, 0, 0)
    assert inception.frechet_distance(_features(x), _features(x)) == pytest.approx(0, abs=1e-6)
    got = inception.frechet_distance(_features(x), _features(scaled))
    assert got == pytest.approx(1 + 0 + 1 + 4, rel=0.05)
    with pytest.raises(ValueError, match="at least two samples"):
        inception.frechet_distance(_features(x[:1]), _features(x))


@pytest.mark.parametrize("count", [2, 7, 64])
def test_frechet_distance_of_few_images_is_exact(count, random):
    """Of n images in many more dimensions: 0 from itself, and by its definition from another."""
    one = random.normal(size=(count, 48)) * np.linspace(0.1, 9, 48)
    other = random.normal(size=(count + 3, 48)) + 0.5
    assert 0 <= inception.frechet_distance(_features(one), _features(one)) < 1e-9
    covariances = [np.cov(part, rowvar=False) for part in (one, other)]
    root = scipy.linalg.sqrtm(covariances[0] + 1e-10 * np.eye(48))
    middle = np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)
    wanted = np.sum((one.mean(0) - other.mean(0)) ** 2) - 2 * np.sqrt(middle).sum()
    wanted += np.trace(covariances[0]) + np.trace(covariances[1])
    got = inception.frechet_distance(_features(one), _features(other))
    assert got == pytest.approx(wanted, rel=1e-4)


def test_inception_score_by_hand():
    even = _features(np.zeros((4, 2)), np.full((4, 5), 0.2))
    assert inception.score(even) == pytest.approx(1.0)
    certain = _features(np.zeros((5, 2)), np.eye(5))
    assert inception.score(certain) == pytest.approx(5.0)


def test_small_sets_are_warned_of(caplog):
    inception.warn_if_few(29)
    assert "29 images: Inception Score and FID mean little below 2048" in caplog.text
    caplog.clear()
    inception.warn_if_few(2048)
    assert not caplog.text


@pytest.fixture(scope="module")
def place(tmp_path_factory, images):
    """Two images and the exports of three networks."""
    tf.random.set_seed(1)
    folder = tmp_path_factory.mktemp("restoration")
    (folder / "photos").mkdir()
    for index in (0, 1):
        Image.fromarray(images[index][:64, :80]).save(folder / "photos" / f"{index}.png")
    table = luminance_table(10)
    y = restorers.make("dncnn", 1, table, filters=4, layers=3)
    Restorer.save(y, str(folder / "y10"), {"quality": 10})
    Restorer.save(y, str(folder / "y20"), {"quality": 20})
    Restorer.save(y, str(folder / "official"), {"official": "x.mat", "quality": None})
    rgb = restorers.make("wcdgan", 3, table, filters=4, blocks=1)
    Restorer.save(rgb, str(folder / "rgb"), {"quality": 10})
    return folder


def _run(place, out, *extra):
    cli.main(
        [
            "eval",
            "restoration",
            f"--data={place / 'photos'}",
            f"--out={out}",
            "--qualities=10,20",
            *extra,
        ]
    )
    return rows.frame(
        rows.read(out / "rows.csv", schemas.RESTORATION.columns), schemas.RESTORATION.text
    )


def test_rows_are_of_real_restorations(place, tmp_path, capsys):
    models = f"--models=mine:{place / 'y10'},mine:{place / 'y20'},blind:{place / 'official'}"
    table = _run(place, tmp_path, models, "--budget=tiny")
    assert len(table) == 2 * 2 * 4
    for row in table.itertuples():
        true = read_planes(place / "photos" / f"{row.image}.png", 1)
        if row.method == "jpeg":
            assert row.psnr == pytest.approx(psnr(true, degrade(true, row.quality)), rel=1e-6)
        assert row.psnr_b <= row.psnr + 1e-9
    budgets = table.groupby("method").budget.first().to_dict()
    assert budgets == {
        **{"jpeg": "", "sadct": "no training", "mine": "tiny", "blind": "official weights"}
    }
    assert set(table[table.method == "mine"].quality) == {10, 20}
    assert "| PSNR, dB |" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "about.json").read_text())["commands"]) == 1


@pytest.mark.parametrize("name", ["y10", "rgb", "sadct"])
def test_files_are_measured_as_a_user_restores_them(name, place, tmp_path, capsys):
    """The rows are those of the images that `lossylab restore` writes of the same files."""
    options = [f"--models=net:{place / name}", "--budget=t"] if name != "sadct" else []
    table = _run(place, tmp_path, "--channels=file", *options, "--qualities=10")
    assert len(table) == 2 * 3 * (2 + len(options) // 2)
    mine = table[table.method == (name if name == "sadct" else "net")].set_index(
        ["image", "channels"]
    )
    (tmp_path / "coded").mkdir()
    for stem in "01":
        with Image.open(place / "photos" / f"{stem}.png") as image:
            image.save(tmp_path / "coded" / f"{stem}.jpg", quality=10)
    model = name if name == "sadct" else place / name
    cli.main(["restore", str(tmp_path / "coded"), str(tmp_path / "made"), f"--model={model}"])
    for stem in "01":
        pair = [
            read_planes(path / f"{stem}.png", 3) for path in (place / "photos", tmp_path / "made")
        ]
        assert mine.loc[(stem, "file_rgb")].psnr == pytest.approx(psnr(*pair), rel=1e-6)
        luma = [studio_luma(image) for image in pair]
        assert mine.loc[(stem, "file_y")].psnr == pytest.approx(psnr(*luma), rel=1e-6)
        colors = [jpeg_ycbcr(image)[..., 1:] for image in pair]
        assert mine.loc[(stem, "file_c")].psnr == pytest.approx(psnr(*colors), rel=1e-6)


@pytest.mark.parametrize("channels", ["y", "file"])
def test_judges_say_what_they_are_asked_for(channels, place, tmp_path):
    first = _run(place, tmp_path, "--methods=jpeg", f"--channels={channels}", "--qualities=10")
    assert first[list(schemas.RESTORATION_JUDGES)].isna().all(axis=None)
    judged = ("--features=random", "--vmaf")
    table = _run(
        place, tmp_path, "--methods=jpeg", f"--channels={channels}", "--qualities=10", *judged
    )
    assert len(table) == len(first)
    seen = table[table.channels != "file_c"]
    assert set(seen.features) == {"VGG-16 (random weights)"}
    assert np.isfinite(seen[list(schemas.RESTORATION_JUDGES)]).all(axis=None)
    assert (seen.vmaf < 97).all()
    colors = table[table.channels == "file_c"]
    assert len(colors) == (2 if channels == "file" else 0)
    assert colors[list(schemas.RESTORATION_JUDGES)].isna().all(axis=None)
    np.testing.assert_array_equal(table.psnr, first.psnr)


def test_restore_is_measured_by_what_it_chooses(place, tmp_path):
    models = f"--models=luma:{place / 'y10'},color:{place / 'rgb'}"
    table = _run(
        place, tmp_path, "--methods=sadct,restore", models, "--budget=t", "--channels=file",
        "--qualities=10,70,97",
    )  # fmt: skip
    mine = table.set_index(["quality", "method", "image", "channels"]).psnr.sort_index()
    pd.testing.assert_series_equal(mine.loc[10, "restore"], mine.loc[10, "color"])
    pd.testing.assert_series_equal(mine.loc[70, "restore"], mine.loc[70, "sadct"])
    jpeg = _run(place, tmp_path / "b", "--methods=jpeg", "--channels=file", "--qualities=97")
    plain = jpeg.set_index(["image", "channels"]).psnr.sort_index()
    pd.testing.assert_series_equal(mine.loc[97, "restore"], plain)


def test_features_judge_by_where_and_by_what(images, random):
    judge = features.FeatureJudge("random")
    image = images[0][:48, :64]
    assert judge(image, image) == {"feature_distance": 0, "feature_frechet": 0}
    noise = random.normal(size=image.shape)
    near, far = (
        judge(image, np.clip(image + std * noise, 0, 255).astype(np.uint8)) for std in (3, 30)
    )
    for name in near:
        assert 0 < near[name] < far[name]
    gray = judge(image[..., :1], degrade(image[..., :1], 5))
    assert all(value > 0 for value in gray.values())
    with pytest.raises(ValueError, match="the pair must have one shape"):
        judge(image, image[1:])


def test_what_is_known_is_not_measured_again(place, tmp_path, monkeypatch):
    _run(place, tmp_path, "--methods=jpeg")
    before = (tmp_path / "rows.csv").read_bytes()

    def fail(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(restoration, "_measure", fail)
    _run(place, tmp_path, "--methods=jpeg")
    assert (tmp_path / "rows.csv").read_bytes() == before


def test_rows_of_other_weights_are_superseded(place, tmp_path):
    first = _run(place, tmp_path, "--methods=jpeg", f"--models=m:{place / 'y10'}", "--budget=a")
    tf.random.set_seed(9)
    other = restorers.make("dncnn", 1, luminance_table(10), filters=4, layers=3)
    Restorer.save(other, str(tmp_path / "other"), {"quality": 10})
    second = _run(
        place, tmp_path, "--methods=jpeg", f"--models=m:{tmp_path / 'other'}", "--budget=b"
    )
    assert len(first) == len(second)
    assert set(second[second.method == "m"].budget) == {"b"}
    aside = rows.read(tmp_path / "superseded.csv", schemas.RESTORATION.columns)
    assert {row["budget"] for row in aside} == {"a"}


@pytest.mark.long
def test_color_protocol_sets_and_crops(place, tmp_path, monkeypatch):
    class Network:
        def __call__(self, image):
            mean = tf.reduce_mean(image, (1, 2))
            return [tf.repeat(mean, 2, 1), tf.nn.softmax(mean / 99.0)]

    monkeypatch.setattr(inception, "InceptionFeatures", lambda weights: Network())
    table = _run(
        place, tmp_path, "--channels=rgb", f"--models=gan:{place / 'rgb'}", "--budget=t",
        "--lpips=random", "--inception=random", "--crop_size=32",
        f"--crops_dir={tmp_path / 'crops' / 'a'}",
    )  # fmt: skip
    assert set(table.channels) == {"rgb"}
    assert np.isfinite(table.lpips).all()
    sets = rows.read(tmp_path / "sets.csv", schemas.RESTORED_SETS.columns)
    assert {row["method"] for row in sets} == {"jpeg", "sadct", "gan"}
    assert all(float(row["fid"]) >= 0 for row in sets)
    tiles = crop_grid.read(tmp_path / "crops" / "a").images["0"]
    assert len(tiles) == 1 + 3
    assert {tile.pixels.shape for tile in tiles} == {(32, 32, 3)}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out="], "--out is needed"),
        (["--methods=restore"], "--methods=restore goes with --channels=file"),
        (["--features=nowhere.npz"], "--features: weights 'nowhere.npz' of vgg16: no such file"),
        (["--methods=magic"], "--methods=magic is none of jpeg, sadct"),
        (["--models=x:EXPORT"], "--budget is needed"),
        (["--models=EXPORT", "--budget=t"], "--models takes NAME:EXPORT, got"),
        (["--models=jpeg:EXPORT", "--budget=t"], "jpeg is the name of a method"),
        (["--models=x:EXPORT", "--budget=t", "--channels=rgb"], "needs 3"),
        (["--models=x:EXPORT,x:OFFICIAL", "--budget=t"], "for quality 10 are named x"),
        (["--qualities=ten"], "--qualities takes a whole number, got 'ten'"),
        (["--qualities=0"], "--qualities=0 must be at least 1"),
        (["--lpips=nowhere"], "weights 'nowhere' of LPIPS"),
        (["--center=0.5"], "--center takes two fractions from 0 to 1, got 0.5"),
    ],
)
def test_wrong_usage_is_refused(flags, message, place, tmp_path):
    replaced = [
        flag.replace("EXPORT", str(place / "y10")).replace("OFFICIAL", str(place / "official"))
        for flag in flags
    ]
    with pytest.raises(UsageError, match=message):
        _run(place, tmp_path, *replaced)
    assert not (tmp_path / "rows.csv").exists()
