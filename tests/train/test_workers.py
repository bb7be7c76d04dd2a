"""Several machines: what TF_CONFIG may say, and messages while one waits or is alone."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
import tensorflow as tf

from lossylab.core.errors import UsageError, WorkError
from lossylab.train.loop import workers

TWO = {"worker": ["a:1", "b:2"]}


def _config(cluster=TWO, kind="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "needs the environment variable TF_CONFIG; it is the same"),
        ("", "needs the environment variable TF_CONFIG"),
        ("  ", "needs the environment variable TF_CONFIG"),
        ("{", "TF_CONFIG makes no sense"),
        ("5", "TF_CONFIG makes no sense"),
        ("[]", "TF_CONFIG makes no sense"),
        ("null", "TF_CONFIG makes no sense"),
        ("{}", "'cluster' is missing"),
        (json.dumps({"cluster": TWO}), "'task' is missing"),
        (json.dumps({"cluster": TWO, "task": {"type": "worker"}}), "'index' is missing"),
        (json.dumps({"cluster": TWO, "task": 5}), "TF_CONFIG makes no sense"),
        (_config(cluster={"worker": "a:1"}), "'a:1' is no list of addresses"),
        (_config(cluster={"worker": ["a"]}), "'a' is no host:port"),
        (_config(cluster={"worker": [5]}), "5 is no host:port"),
        (_config(cluster=[]), "TF_CONFIG makes no sense"),
        (_config(cluster={}), "there is no worker 0 among"),
        (_config(index=2), "there is no worker 2 among worker 0, worker 1"),
        (_config(index=-1), "there is no worker -1"),
        (_config(index="x"), "TF_CONFIG makes no sense"),
        (_config(kind="chief"), "there is no chief 0"),
        (_config(cluster={**TWO, "ps": ["c:3"]}), "tasks of type ps, not chief or worker"),
        (_config(cluster={"worker": ["a:1", "a:1"]}), "one address to several workers"),
    ],
)
def test_configurations_without_sense_are_refused(text, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match=message):
        workers.read_cluster()


def test_a_cluster_has_its_others(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", _config({"chief": ["c:1"], "worker": ["a:1", "b:2"]}, index=1))
    cluster = workers.read_cluster()
    assert cluster.mine == "worker 1"
    assert cluster.others == {"chief 0": "c:1", "worker 0": "a:1"}


def test_who_is_missing_is_named(monkeypatch, caplog):
    monkeypatch.setattr(workers, "_PATIENCE", 0.05)
    monkeypatch.setattr(workers, "_PAUSE", 0.05)
    caplog.set_level("INFO", "lossylab")
    with socket.socket() as here, socket.socket() as late, socket.socket() as mine:
        for each in (here, late, mine):
            each.bind(("127.0.0.1", 0))
        places = [f"127.0.0.1:{each.getsockname()[1]}" for each in (here, late, mine)]
        mine.close()
        here.listen()
        names = [f"worker {index}" for index in range(3)]
        threading.Timer(0.5, late.listen).start()
        workers.wait_for_others(workers.Cluster(dict(zip(names, places)), "worker 2"))
    assert f"waiting for worker 0 at {places[0]}, worker 1 at {places[1]}" in caplog.text
    assert f"still waiting for worker 1 at {places[1]}; Ctrl-C ends this" in caplog.text


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cluster = workers.Cluster({"worker 0": f"here:{port}", "worker 1": "there:1"}, "worker 0")
        with pytest.raises(UsageError, match=f"worker 0 cannot use port {port}"):
            workers.wait_for_others(cluster)


class _MultiWorker(tf.distribute.MultiWorkerMirroredStrategy):
    def __init__(self):
        """Begins no cluster."""


def test_a_worker_that_is_gone_is_said():
    error = tf.errors.UnavailableError(None, None, "Graph execution error:\n\nCollective ops ...")
    many, one = (
        workers.naming_the_lost(_MultiWorker(), lambda: "ckpt-5"),
        tf.distribute.get_strategy(),
    )
    with pytest.raises(WorkError, match="another worker has ended .* goes on. ckpt-5$"), many:
        raise error
    with pytest.raises(tf.errors.UnavailableError), workers.naming_the_lost(one):
        raise error


def test_a_worker_whose_partner_never_starts_says_so_and_ends_on_ctrl_c(tmp_path):
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        places = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]
    words = "train proxiqa --train_data=sample_train --strategy=multiworker --batch=2 --patch=32"
    # Shells start what runs in the background deaf to SIGINT, and its children inherit that.
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from lossylab.cli.__main__ import console; console()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", start, *words.split(), f"--run_dir={tmp_path / 'run'}"],
        env={**os.environ, "TF_CONFIG": _config({"worker": places})},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            said = ""
            while "waiting for worker 1" not in said:
                line = running.stderr.readline()
                assert line, said
                said += line
            running.send_signal(signal.SIGINT)
            assert running.wait(20) in (-signal.SIGINT, 128 + signal.SIGINT)
        finally:
            running.kill()
