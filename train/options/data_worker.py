"""Options of `lossylab data_worker`."""

from __future__ import annotations

from lossylab.core.options import Options, option, option_class


@option_class
class DataWorkerOptions(Options):
    """Makes batches of images for trainings, which are elsewhere, until it is stopped.

    lossylab data_worker --port=5050 --host=HOSTNAME

    A training with --data_service=grpc://HOSTNAME:5050 has it decode and cut images; with several
    workers, by commas, they take turns. The worker must see the images under the same paths as the
    training. Whoever reaches its ports can have it run TensorFlow graphs, which can read files:
    open them to machines that you trust only.
    """

    port: int = option(
        5050,
        "Port where it takes orders; batches leave by the next one.",
        minimum=1024,
        maximum=65534,
    )
    host: str = option("localhost", "Name or address by which trainings reach this machine.")
