"""Trains codecs for several losses and rates at equal steps, and compares their files."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import statistics
import sys
from collections.abc import Iterable
from typing import Any, cast

from lossylab.core import command
from lossylab.core.errors import WorkError
from lossylab.core.files import make_folder
from lossylab.core.options import require, require_known
from lossylab.data.checking import usable
from lossylab.data.collections import find_images
from lossylab.eval import rd
from lossylab.eval.metrics import vmaf
from lossylab.eval.options.rd import RdOptions
from lossylab.inference.codecs.registry import CLASSICAL
from lossylab.inference.export.base import is_export
from lossylab.train.loop import warm_start
from lossylab.train.options.loop import TrainingOptions
from lossylab.train.options.proxiqa import ProxiqaOptions
from lossylab.train.options.studies import PROXIQA, ProxiqaStudyOptions, Variants
from lossylab.train.studies.queue import Queue
from lossylab.train.studies.study import Study

_BASE = "base"
_LARGEST_ERROR = 0.5  # of a proxy, in standard deviations of the scores
_JUDGEMENTS = 12  # of a proxy while its codec is trained


def _base(options: ProxiqaStudyOptions) -> Variants:
    """The common start of all codecs, unless there is one."""
    if options.init_from:
        return {}
    start = {"lmbda": options.base_lmbda, "steps": options.base_steps, "export": False}
    return {_BASE: {**_shared(options, 0), "metric": "mse", **start}}


def _begin(options: ProxiqaStudyOptions) -> str:
    """What all codecs begin with."""
    return options.init_from or options.run_dir(_BASE)


def _start_of(options: ProxiqaStudyOptions, lmbda: float) -> str:
    """What the codecs of a lambda begin with: its start, if there is one."""
    own = lmbda and options.lmbda_steps
    return options.run_dir(_run("start", lmbda)) if own else _begin(options)


def _starts(options: ProxiqaStudyOptions) -> Variants:
    """The start of the codecs of each lambda."""
    if not options.lmbda_steps:
        return {}
    found, before = {}, _begin(options)
    for lmbda in _in_order(options):
        start = {"steps": options.lmbda_steps, "export": False, "init_from": before}
        name = _run("start", lmbda)
        found[name] = {**_shared(options, 1), "metric": "mse", "lmbda": lmbda, **start}
        before = options.run_dir(name) if options.descend else before
    return found


def _variants(options: ProxiqaStudyOptions) -> Variants:
    """All codecs of each variant, after the proxy that they need."""
    found = {}
    for name in options.variants:
        values = {**_shared(options, 2), "drop_step": options.drop_step, "steps": options.steps}
        values |= PROXIQA[name]
        weight = 1.0
        if name != "mse":
            values = {"alpha": options.alpha_of(name), **values}
            weight -= options.alpha_of(name)
            if "optimize" not in values:
                proxy = f"{values['metric']}_proxy"
                found[proxy] = _proxy(options, values["metric"])
                values["proxy_from"] = options.run_dir(proxy)
                values |= _judged(options, options.steps // _JUDGEMENTS)
        for lmbda in _in_order(options):
            start = _start_of(options, lmbda)
            rate = {"lmbda": float(f"{lmbda / weight:g}"), "init_from": start}
            found[_run(name, lmbda)] = {**values, **rate}
            if options.descend and "proxy_from" in values:
                values["proxy_from"] = options.run_dir(_run(name, lmbda))
    return found


def _in_order(options: ProxiqaStudyOptions) -> list[float]:
    """The lambdas in the order of their trainings."""
    return sorted(options.lmbdas, reverse=True) if options.descend else [*options.lmbdas]


def _proxy(options: ProxiqaStudyOptions, metric: str) -> dict[str, Any]:
    """A metric's proxy, which learns from what the common start or that of a lambda makes."""
    alone = {"optimize": "pretrain_proxy", "lmbda": 0.0, "steps": options.proxy_steps}
    start = {"metric": metric, "init_from": _start_of(options, options.proxy_lmbda)}
    return {**_shared(options, 1), **alone, **start, **_judged(options, options.proxy_steps)}


def _judged(options: ProxiqaStudyOptions, every: int) -> dict[str, Any]:
    """Options by which a proxy is judged every so many steps."""
    if not options.validation_data:
        return {}
    data = {"validation_data": options.validation_data, "validate_images": False}
    return {**data, "validate_every": max(every, 1)}


def _shared(options: ProxiqaStudyOptions, stage: int) -> dict[str, Any]:
    return {
        "codec": options.codec,
        "filters": options.filters,
        "latent_filters": options.latent_filters,
        "proxy_loss": options.proxy_loss,
        "ssim_channels": options.ssim_channels,
        "learning_rate": options.learning_rate,
        "proxy_learning_rate": options.proxy_learning_rate,
        "seed": options.seed + stage,  # no stage sees the patches of another
        "checkpoint_every": options.checkpoint_every,
        "log_every": 25,
        "summary_every": 0,
    }


def _run(variant: str, lmbda: float) -> str:
    return f"{variant}_{lmbda:g}"


def _names(options: ProxiqaStudyOptions) -> list[str]:
    """Of all runs that these lambdas may have, whatever the variants."""
    codecs = [_run(name, lmbda) for name in PROXIQA for lmbda in options.lmbdas]
    proxies = [f"{values['metric']}_proxy" for values in PROXIQA.values()]
    return [_BASE, *(_run("start", lmbda) for lmbda in options.lmbdas), *proxies, *codecs]


STUDY = Study(
    "train proxiqa",
    ProxiqaOptions,
    "lossylab.train.proxiqa:train",
    stages=(_base, _starts, _variants),
    names=_names,
)


def train(options: ProxiqaStudyOptions) -> None:
    """Trains what is not trained yet, and measures.

    Raises:
      UsageError, WorkError, OutputError: see the training and `lossylab.eval.rd`.
    """
    require_known("compare_with", options.compare_with, list(CLASSICAL))
    runs = cast(dict[str, ProxiqaOptions], STUDY.plan(options))
    require(
        not options.export_at or all(each.final_learning_rate is None for each in runs.values()),
        "`export_at`: with `final_learning_rate` a training of fewer steps is another one",
    )
    if STUDY.only_tells(options, runs):
        return
    if options.init_from and not is_export(options.init_from):
        warm_start.checkpoint_of(options.init_from, "init_from")
    test = find_images(options.test_data)
    overlap = set(test) & set(find_images(options.train_data))
    require(not overlap, "`test_data` overlaps `train_data`")
    usable(test, vmaf.SMALLEST, "libvmaf's windows")
    for folder in filter(None, (options.out, options.results)):
        make_folder(folder)
    codecs = {_run(name, lmbda): name for name in options.variants for lmbda in options.lmbdas}
    queue = Queue(runs)
    for name, each in runs.items():
        if name in codecs:
            _train_and_export(name, each, options.stops, queue)
        else:
            STUDY.train_one(name, each, queue)
        if each.validates and each.uses_proxy:
            learned = each.optimize == "pretrain_proxy"
            check_proxy(each.run_dir, options.gate if learned else options.last_gate, learned)
    if options.measure:
        models = [
            _model(options, variant, steps, options.run_dir(name))
            for name, variant in codecs.items()
            for steps in options.stops
        ]
        _measure(options, models, _title(options, runs.values()))
    command.written(options.out, f"{len(runs)} runs")


def check_proxy(run: str, gate: float, alone: bool) -> None:
    """Refuses to go on with a proxy that has not learned.

    Args:
      run: directory of a training that has judged its proxy.
      gate: smallest correlation with the metric; 0 lets all pass.
      alone: whether the proxy learned alone: the last judgement counts then, its error too.

    Raises:
      WorkError: if the proxy is below the gate.
    """
    path = pathlib.Path(run) / "validation.csv"
    rows = []
    if path.exists():
        with open(path, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("proxy_correlation")]
    if not rows:
        raise WorkError(
            f"{run} was never judged: train it with `validation_data` and `validate_every`"
        )
    last = rows[-1:] if alone else rows[-max(len(rows) // 3, 1) :]
    correlation = statistics.mean(float(row["proxy_correlation"]) for row in last)
    error = float(last[-1]["proxy_rmse"]) / (float(last[-1]["score_std"]) or 1.0)
    if gate and (correlation < gate or (alone and error > _LARGEST_ERROR)):
        raise WorkError(
            f"the proxy of {run} has not learned its metric: correlation {correlation:.2f} on held-"
            f"out patches (`gate`={gate:g}), error {error:.2f} of the scores' standard deviation "
            f"({_LARGEST_ERROR:g}); see {path}, train it longer or at another rate"
        )


def _train_and_export(name: str, options: TrainingOptions, stops: list[int], queue: Queue) -> None:
    """Trains a variant; exports made on the way are kept as export_STEPS."""
    run, last = pathlib.Path(options.run_dir), stops[-1]
    for steps in stops:
        kept = run / f"export_{steps}"
        if kept.exists():
            continue
        require(
            steps == last or not _is_past(run, steps),
            f"`export_at`={steps}: {run} was already exported after other steps; choose another "
            "`out`",
        )
        STUDY.train_one(name, options.replace(steps=steps), queue)
        if steps != last:
            os.rename(run / "export", kept)


def _is_past(run: pathlib.Path, steps: int) -> bool:
    """Whether a run has an export that is not of so many steps."""
    if not (run / "export").exists():
        return False
    try:
        return json.loads((run / "options.json").read_text())["steps"] != steps
    except (OSError, ValueError, KeyError):
        return True


def _model(options: ProxiqaStudyOptions, variant: str, steps: int, run: str) -> str:
    """NAME:EXPORT of a variant after so many steps, such as bls_mse:runs/mse_0.01/export."""
    name = _name(options, variant)
    if steps == options.steps:
        return f"{name}:{run}/export"
    return f"{name}_at_{steps}:{run}/export_{steps}"


def _name(options: ProxiqaStudyOptions, variant: str) -> str:
    return f"{options.codec.rstrip('0123456789')}_{variant}"


def _measure(options: ProxiqaStudyOptions, models: list[str], title: str) -> None:
    """Compares the exports with each other and JPEG, and says where everything is."""
    results = options.results or str(pathlib.Path(options.out, "results"))
    rd.measure(
        RdOptions(
            models=tuple(models),
            data=options.test_data,
            out=results,
            title=title,
            codecs=tuple(options.compare_with),
            anchor=_name(options, options.variants[0]),
            keep_files=not options.results,
        )
    )
    sys.stdout.write((pathlib.Path(results) / "table.md").read_text())
    _say_where(pathlib.Path(results), options)


def _title(options: ProxiqaStudyOptions, runs: Iterable[ProxiqaOptions]) -> str:
    """What is compared, and at what budget."""
    sizes = sorted({(each.batch, each.patch) for each in runs})
    patches = " or ".join(f"{batch} patches of {patch}x{patch}" for batch, patch in sizes)
    base = 0 if options.init_from else options.base_steps
    stages = [base, options.lmbda_steps, options.steps]
    latent = f", M = {options.latent_filters}" if options.latent_filters else ""
    budget = (
        f"{' + '.join(str(steps) for steps in stages if steps)} steps of {patches}, "
        f"N = {options.filters}{latent}, {_alphas(options)}; the paper trains 2,100,000 at "
        "N = 192"
    )
    if options.init_from:
        budget = f"begun with {pathlib.Path(options.init_from).name}; {budget}"
    if any(variant.endswith("_p") for variant in options.variants):
        budget = f"proxy first alone for {options.proxy_steps} steps; {budget}"
    return f"{options.title or options.codec + ': ' + ', '.join(options.variants)} ({budget})"


def _alphas(options: ProxiqaStudyOptions) -> str:
    own = {name: options.alpha_of(name) for name in options.variants}
    others = [f", of {name} {alpha:g}" for name, alpha in own.items() if alpha != options.alpha]
    return f"alpha = {options.alpha:g}{''.join(others)}"


def _say_where(results: pathlib.Path, options: ProxiqaStudyOptions) -> None:
    sys.stdout.write(
        f"\nrows      {results / 'rows.csv'}\n"
        f"table     {results / 'table.md'}\n"
        f"plot      {results / 'rd.png'}\n"
        f"exports   {options.out}/*/export\n"
    )
    if not options.results:
        sys.stdout.write(f"files     {results / 'files'} (.lossy, and .png as decoded)\n")


if __name__ == "__main__":
    command.as_program(ProxiqaStudyOptions, train, "lossylab train proxiqa_study")
