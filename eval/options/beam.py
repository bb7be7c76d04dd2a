"""Options of measurements that workers of Apache Beam can share."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.eval.options.merge import ShardOptions


@option_class
class BeamOptions(ShardOptions):
    """A measurement that several machines can share, by shards or by Apache Beam."""

    beam: str | None = option(
        None,
        "Has Apache Beam's workers measure, and gives the options of its runner, such as "
        "'--runner=FlinkRunner --flink_master=HOST:8081'. Needs the extra `beam`.",
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(
            self.beam is None or not self.shard,
            "`beam` shares all images among its workers: leave out `shard`",
        )
