"""The table of commands: their words, what they do, their options and their work.

Options and work are named, not imported, so that a command loads nothing of the others.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
      summary: what it does, in the list of commands.
      options: `module:class` of its options.
      work: `module:function` that takes them.
    """

    summary: str
    options: str
    work: str


COMMANDS: dict[str, Command] = {
    "train proxiqa": Command(
        "Train a codec for a perceptual metric.",
        "lossylab.train.options.proxiqa:ProxiqaOptions",
        "lossylab.train.proxiqa:train",
    ),
    "train proxiqa_study": Command(
        "Train codecs for several metrics and rates, and compare them.",
        "lossylab.train.options.studies:ProxiqaStudyOptions",
        "lossylab.train.studies.proxiqa:train",
    ),
    "compress": Command(
        "Compress images.",
        "lossylab.cli.options.compress:CompressOptions",
        "lossylab.cli.compress:compress",
    ),
    "decompress": Command(
        "Decompress files.",
        "lossylab.cli.options.compress:DecompressOptions",
        "lossylab.cli.compress:decompress",
    ),
    "eval rd": Command(
        "Measure rate and quality of codecs: rows, BD-rates, plot.",
        "lossylab.eval.options.rd:RdOptions",
        "lossylab.eval.rd:measure",
    ),
    "eval merge": Command(
        "Put the rows of several machines into one folder.",
        "lossylab.eval.options.merge:MergeOptions",
        "lossylab.eval.sharing.merge:merge",
    ),
    "eval crops": Command(
        "Show crops of codecs side by side at equal rate.",
        "lossylab.eval.options.crops:CropsOptions",
        "lossylab.eval.crops:write",
    ),
    "eval metrics": Command(
        "Measure how far metrics' definitions agree.",
        "lossylab.eval.options.crops:MetricAgreementOptions",
        "lossylab.eval.metric_agreement:measure",
    ),
    "eval proxiqa": Command(
        "Make ProxIQA's tables and figures, and decide its claims.",
        "lossylab.eval.options.paper:ProxiqaPaperOptions",
        "lossylab.eval.proxiqa.__main__:publish",
    ),
    "import lpips": Command(
        "Turn LPIPS's official weights into one file.",
        "lossylab.cli.options.importing:ImportLpipsOptions",
        "lossylab.cli.import_lpips:import_lpips",
    ),
    "train jpeg_encoder": Command(
        "Train a JPEG encoder.",
        "lossylab.train.options.jpeg_encoder:JpegEncoderOptions",
        "lossylab.train.jpeg_encoder:train",
    ),
    "train jpeg_encoder_study": Command(
        "Train the JPEG encoder's variants at several rates.",
        "lossylab.train.options.studies:JpegEncoderStudyOptions",
        "lossylab.train.studies.jpeg_encoder:train",
    ),
    "jpeg": Command(
        "Write images as standard .jpg files by a learned encoder.",
        "lossylab.cli.options.jpeg:JpegOptions",
        "lossylab.cli.jpeg:write_files",
    ),
    "eval jpeg_rd": Command(
        "Measure rate and quality of learned JPEG encoders: rows.",
        "lossylab.eval.options.rd:JpegRdOptions",
        "lossylab.eval.jpeg_rd:measure",
    ),
    "eval jpeg_encoder": Command(
        "Make the JPEG encoder's figures and tables, and decide its claims.",
        "lossylab.eval.options.paper:JpegEncoderPaperOptions",
        "lossylab.eval.jpeg_encoder.__main__:publish",
    ),
    "import restorer": Command(
        "Turn official ARCNN and DnCNN-3 weights into exports.",
        "lossylab.cli.options.importing:ImportRestorerOptions",
        "lossylab.cli.import_restorer:import_restorer",
    ),
    "train wcdgan": Command(
        "Train a network that restores JPEG images.",
        "lossylab.train.options.wcdgan:WcdganOptions",
        "lossylab.train.wcdgan:train",
    ),
    "train wcdgan_study": Command(
        "Train WCDGAN, its ablations and its baselines.",
        "lossylab.train.options.studies:WcdganStudyOptions",
        "lossylab.train.studies.wcdgan:train",
    ),
    "restore": Command(
        "Restore images by a network, SA-DCT or a latent search.",
        "lossylab.cli.options.restore:RestoreOptions",
        "lossylab.cli.restore:restore",
    ),
    "eval restoration": Command(
        "Measure the quality of restored JPEG images: rows and means.",
        "lossylab.eval.options.restoration:RestorationOptions",
        "lossylab.eval.restoration:measure",
    ),
    "eval wcdgan": Command(
        "Make WCDGAN's tables and figures, and decide its claims.",
        "lossylab.eval.options.paper:WcdganPaperOptions",
        "lossylab.eval.wcdgan.__main__:publish",
    ),
    "train distortion_gan": Command(
        "Train a generator of distortions.",
        "lossylab.train.options.distortion_gan:DistortionGanOptions",
        "lossylab.train.distortion_gan:train",
    ),
    "train distortion_gan_study": Command(
        "Train generators of four distortions, and their ablations.",
        "lossylab.train.options.studies:DistortionGanStudyOptions",
        "lossylab.train.studies.distortion_gan:train",
    ),
    "distort": Command(
        "Distort images, by a trained generator or by codecs and noise.",
        "lossylab.cli.options.distort:DistortOptions",
        "lossylab.cli.distort:distort",
    ),
    "eval distortions": Command(
        "Measure how like real distortions generated ones are: rows.",
        "lossylab.eval.options.distortions:DistortionsOptions",
        "lossylab.eval.distortions:measure",
    ),
    "eval distortion_gan": Command(
        "Make the distortion GAN's table and figures, and decide its claims.",
        "lossylab.eval.options.paper:DistortionGanPaperOptions",
        "lossylab.eval.distortion_gan.__main__:publish",
    ),
    "import stylegan": Command(
        "Turn an official StyleGAN or StyleGAN2 network into one file.",
        "lossylab.cli.options.importing:ImportStyleganOptions",
        "lossylab.cli.import_stylegan:import_stylegan",
    ),
    "import icons": Command(
        "Turn packaged icons, such as emoji, into images to train on.",
        "lossylab.cli.options.importing:ImportIconsOptions",
        "lossylab.cli.import_icons:import_icons",
    ),
    "train stylegan": Command(
        "Train a small StyleGAN2 generator, a prior for restoration.",
        "lossylab.train.options.stylegan:StyleganOptions",
        "lossylab.train.stylegan:train",
    ),
    "generate": Command(
        "Make images with a StyleGAN's generator.",
        "lossylab.cli.options.generate:GenerateOptions",
        "lossylab.cli.generate:generate",
    ),
    "train mmd_restoration": Command(
        "Train a model of a degradation's likelihood.",
        "lossylab.train.options.mmd_restoration:MmdRestorationOptions",
        "lossylab.train.mmd_restoration:train",
    ),
    "sample": Command(
        "Draw degraded versions of images from a degradation model.",
        "lossylab.cli.options.sample:SampleOptions",
        "lossylab.cli.sample:sample",
    ),
    "eval degradation_nll": Command(
        "Measure the likelihood of degraded images given clean ones: rows.",
        "lossylab.eval.options.latent:DegradationNllOptions",
        "lossylab.eval.degradation_nll:measure",
    ),
    "eval latent_study": Command(
        "Restore known images by every search of Table 2: rows.",
        "lossylab.eval.options.latent:LatentStudyOptions",
        "lossylab.eval.latent_study:measure",
    ),
    "eval study_page": Command(
        "Write a page on which raters choose the better of two images.",
        "lossylab.eval.options.study:StudyPageOptions",
        "lossylab.eval.user_study.page:write",
    ),
    "eval study_tally": Command(
        "Count the preferences of such raters.",
        "lossylab.eval.options.study:StudyTallyOptions",
        "lossylab.eval.user_study.tally:tally",
    ),
    "eval mmd_restoration": Command(
        "Make latent restoration's tables and figures, and decide its claims.",
        "lossylab.eval.options.paper:MmdRestorationPaperOptions",
        "lossylab.eval.mmd_restoration.__main__:publish",
    ),
    "train rankiqa": Command(
        "Train a network that scores images without a reference.",
        "lossylab.train.options.rankiqa:RankiqaOptions",
        "lossylab.train.rankiqa:train",
    ),
    "eval rankiqa": Command(
        "Score images without a reference.",
        "lossylab.eval.options.rankiqa:RankiqaOptions",
        "lossylab.eval.rankiqa:measure",
    ),
    "eval rank_accuracy": Command(
        "Measure how often such scores rank distortions rightly: rows.",
        "lossylab.eval.options.latent:RankAccuracyOptions",
        "lossylab.eval.rank_accuracy:measure",
    ),
    "models": Command(
        "List the trained models that come with lossylab.",
        "lossylab.cli.options.models:ModelsOptions",
        "lossylab.cli.models:show",
    ),
    "models add": Command(
        "Give a trained model a name.",
        "lossylab.cli.options.models:AddModelOptions",
        "lossylab.cli.add_model:add",
    ),
    "report": Command(
        "Write one page of trainings and results: curves, crops, tables, claims.",
        "lossylab.cli.options.report:ReportOptions",
        "lossylab.cli.report.__main__:report",
    ),
    "describe": Command(
        "Print what an export says of itself, and its hash.",
        "lossylab.cli.options.exports:DescribeOptions",
        "lossylab.cli.exports:describe",
    ),
    "export": Command(
        "Convert an export to ONNX or TensorFlow Lite.",
        "lossylab.cli.options.exports:ConvertOptions",
        "lossylab.cli.exports:convert",
    ),
    "demo": Command(
        "Compress, train, restore and report: what comes with lossylab, on a few images.",
        "lossylab.cli.options.demo:DemoOptions",
        "lossylab.cli.demo.__main__:demo",
    ),
    "data_worker": Command(
        "Make batches for trainings on other machines.",
        "lossylab.train.options.data_worker:DataWorkerOptions",
        "lossylab.train.loop.data_worker:serve",
    ),
    "doctor": Command(
        "Check this installation.",
        "lossylab.cli.options.installation:DoctorOptions",
        "lossylab.cli.doctor:examine",
    ),
    "benchmark": Command(
        "Measure speed and memory.",
        "lossylab.cli.options.installation:BenchmarkOptions",
        "lossylab.cli.benchmark.__main__:benchmark",
    ),
}

# The list of commands, by subject, in the order in which they are used.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "Learned codecs (ProxIQA)": (
        "train proxiqa",
        "train proxiqa_study",
        "compress",
        "decompress",
        "eval rd",
        "eval merge",
        "eval crops",
        "eval metrics",
        "eval proxiqa",
    ),
    "Learned JPEG encoders": (
        "import lpips",
        "train jpeg_encoder",
        "train jpeg_encoder_study",
        "jpeg",
        "eval jpeg_rd",
        "eval jpeg_encoder",
    ),
    "Restoration of JPEG images (WCDGAN)": (
        "import restorer",
        "train wcdgan",
        "train wcdgan_study",
        "restore",
        "eval restoration",
        "eval wcdgan",
    ),
    "Generated distortions": (
        "train distortion_gan",
        "train distortion_gan_study",
        "distort",
        "eval distortions",
        "eval distortion_gan",
    ),
    "Restoration in a generator's latent space": (
        "import stylegan",
        "import icons",
        "train stylegan",
        "generate",
        "train mmd_restoration",
        "sample",
        "eval degradation_nll",
        "eval latent_study",
        "eval study_page",
        "eval study_tally",
        "eval mmd_restoration",
    ),
    "Scores of images without a reference": (
        "train rankiqa",
        "eval rankiqa",
        "eval rank_accuracy",
    ),
    "Reports, exports and this installation": (
        "demo",
        "report",
        "models",
        "models add",
        "describe",
        "export",
        "data_worker",
        "doctor",
        "benchmark",
    ),
}
