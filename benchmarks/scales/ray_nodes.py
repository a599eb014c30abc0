"""Two Ray nodes on this machine, which count as a cluster, and what a trial of Ray Tune costs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

from stillhouse.core.execute.ray_cluster import Cluster

TRIALS: Final = 6
_STORE_BYTES: Final = 80_000_000


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster: a head that evaluates nothing, and two nodes with a CPU each."""
    from ray.cluster_utils import Cluster as Nodes

    head = {"num_cpus": 0, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            nodes.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        yield nodes.address
    finally:
        nodes.shutdown()


def tune_ms(address: str, folder: Path, *, reuse: bool) -> float:
    """Milliseconds of a Tune trial that does nothing; `reuse` of actors, or a fresh one each."""
    cluster = Cluster.connect(address)
    try:
        from ray import tune

        class Nothing(tune.Trainable):
            def step(self) -> Mapping[str, Any]:
                return {"score": 1.0, "done": True}

            def reset_config(self, config: Mapping[str, Any]) -> bool:
                return True

            def save_checkpoint(self, directory: str) -> None:
                pass

            def load_checkpoint(self, checkpoint: object) -> None:
                pass

        tuner = tune.Tuner(
            tune.with_resources(Nothing, {"cpu": 1}),
            param_space={"width": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=TRIALS, reuse_actors=reuse),
            run_config=tune.RunConfig(storage_path=str(folder.resolve()), verbose=0),
        )
        began = time.perf_counter()
        with redirect_stdout(StringIO()):  # Tune prints its settings whatever `verbose` says
            tuner.fit()
        return 1e3 * (time.perf_counter() - began) / TRIALS
    finally:
        cluster.close()
