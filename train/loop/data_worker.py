"""Makes batches for trainings in other processes, by TensorFlow's tf.data service."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time

import tensorflow as tf

from lossylab.core.options import require
from lossylab.train.options.data_worker import DataWorkerOptions

log = logging.getLogger("lossylab")

_PAUSE = 0.5  # seconds


def serve(options: DataWorkerOptions) -> None:
    """Runs until it is stopped by a signal; raises UsageError if a port cannot be had."""
    servers = start(options)
    log.info("serving at grpc://%s:%d", options.host, options.port)
    try:
        while servers:
            time.sleep(_PAUSE)  # not for ever: signals are seen in between
    except (SystemExit, KeyboardInterrupt) as stop:
        # Python's own end would stop the servers, which wait for clients that may be gone.
        os._exit(int(getattr(stop, "code", 128 + signal.SIGINT)))


def start(options: DataWorkerOptions) -> tuple:
    """A dispatcher and its one worker, which live as long as they are kept."""
    for port in (options.port, options.port + 1):
        try:
            socket.create_server(("", port)).close()
        except OSError as error:
            require(False, f"`port`: {port} cannot be used ({error}); choose another")
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=options.port))
    worker = service.WorkerServer(
        service.WorkerConfig(
            dispatcher_address=f"localhost:{options.port}",
            worker_address=f"{options.host}:{options.port + 1}",
            port=options.port + 1,
        )
    )
    return dispatcher, worker
