"""train.options: what stands there twice is what the library has; studies are planned of it."""

import pytest

from lossylab.cli.commands import COMMANDS
from lossylab.core import command, flags
from lossylab.core.errors import UsageError
from lossylab.core.options import needed
from lossylab.data import lattice_pairs, scaled_pairs
from lossylab.eval.metrics import ssim, vmaf
from lossylab.losses import lpips
from lossylab.losses import rankiqa as rankiqa_losses
from lossylab.models import bls2017, jpeg_encoder, patchgan, rankiqa, restorers
from lossylab.models.names import RANKIQA_SHRINK
from lossylab.train.options import distortion_gan as distortion_gan_options
from lossylab.train.options import jpeg_encoder as jpeg_encoder_options
from lossylab.train.options import mmd_restoration as mmd_restoration_options
from lossylab.train.options import proxiqa as proxiqa_options
from lossylab.train.options import studies
from lossylab.train.options import wcdgan as wcdgan_options
from lossylab.train.options.rankiqa import RankiqaOptions
from lossylab.train.options.wcdgan import WcdganOptions
from lossylab.train.studies import distortion_gan, wcdgan

_TRAININGS = [words for words in COMMANDS if words.startswith("train ")]


def test_names_and_sizes_are_the_librarys():
    assert set(wcdgan_options.NETWORKS) == set(restorers.NETWORKS)
    assert bls2017.STRIDE == proxiqa_options.STRIDE
    assert vmaf.SMALLEST == proxiqa_options.METRICS["vmaf"] == proxiqa_options.METRICS["vif"]
    assert lpips.SMALLEST == jpeg_encoder_options.LPIPS_SMALLEST
    assert ssim.MS_SSIM_SMALLEST == jpeg_encoder_options.MS_SSIM_SMALLEST
    assert patchgan.SMALLEST == distortion_gan_options.SMALLEST
    assert scaled_pairs.SIZE_STEP == mmd_restoration_options.SIZE_STEP
    assert 2 ** len(rankiqa._BLOCKS) == RANKIQA_SHRINK
    assert set(lattice_pairs.CHANNELS) == {"rgb", "y"}


def test_an_unknown_phase_is_said():
    with pytest.raises(UsageError, match="`phase`=second is none of rank, finetune"):
        RankiqaOptions(run_dir="r", train_data="x", phase="second")


def test_defaults_are_the_librarys():
    options = RankiqaOptions(run_dir="r", train_data="x")
    assert (options.dropout, options.margin) == (rankiqa.DROPOUT, rankiqa_losses.MARGIN)
    encoder = jpeg_encoder_options.JpegEncoderOptions
    assert encoder(run_dir="r", train_data="x", lpips="y").table_scale == jpeg_encoder.TABLE_SCALE


@pytest.mark.parametrize("words", _TRAININGS)
def test_a_command_line_gives_options_back(words):
    kind = command.resolve(COMMANDS[words].options)
    given = dict.fromkeys(needed(kind), "a folder")
    extra = {"lpips": "random"} if words == "train jpeg_encoder" else {}
    options = kind(**given, **extra)
    assert flags.parse(kind, flags.arguments(options)) == options
    assert kind.from_json(options.to_json()) == options
    other = options.replace(dry_run=True)
    assert flags.parse(kind, flags.arguments(other)) == other != options


def test_a_study_is_planned_without_training(tmp_path):
    options = studies.WcdganStudyOptions(
        out=str(tmp_path),
        train_data="x",
        variants=("wcdgan", "arcnn"),
        common=("channels=y", "nomixed_attention", "weights=random"),
        variant=("wcdgan*:filters=8,mixed_attention", "arcnn:steps=7,mixed_attention"),
    )
    runs = wcdgan.STUDY.plan(options)
    shared = WcdganOptions(
        run_dir=str(tmp_path / "runs" / "wcdgan"), train_data="x", channels="y", weights="random"
    )
    assert runs["wcdgan"] == shared.replace(filters=8)
    run_dir = str(tmp_path / "runs" / "arcnn")
    assert runs["arcnn"] == shared.replace(run_dir=run_dir, model="arcnn", steps=7)
    with pytest.raises(UsageError, match="arcnn: `mixed_attention`=false makes no sense"):
        wcdgan.STUDY.plan(options.replace(variant=()))
    assert not any(tmp_path.iterdir())


def test_a_study_begins_with_what_others_begin_with():
    options = studies.DistortionGanStudyOptions(
        out="s", train_data="x", variants=("white", "jpeg_lambda_1", "jpeg_l1"), start_steps=5
    )
    runs = distortion_gan.STUDY.plan(options)
    assert list(runs) == ["start_jpeg", "white", "jpeg_lambda_1", "jpeg_l1"]
    assert (runs["start_jpeg"].pixel_loss, runs["start_jpeg"].steps) == ("l1", 5)
    begins = [runs[name].init_from for name in ("white", "jpeg_lambda_1", "jpeg_l1")]
    assert begins == [None, "s/runs/start_jpeg", None]
    alone = distortion_gan.STUDY.plan(options.replace(start_steps=0))
    assert list(alone) == list(options.variants)


def test_what_a_phase_sets_is_settled_when_options_are_made():
    ranked = RankiqaOptions(run_dir="r", train_data="x")
    assert (ranked.steps, ranked.batch) == (50_000, 48)
    tuned = RankiqaOptions(run_dir="r", train_data="x", phase="finetune", scores="s", batch=6)
    assert (tuned.steps, tuned.batch) == (20_000, 6)
