"""Engine-level settings of a run file, declared like any plugin's parameters."""

from __future__ import annotations

from stillhouse.core.plugin.params import Params, param


class SearchSettings(Params):
    """How long and how the search runs."""

    evaluations: int = param(200, low=1, searchable=False, help="candidates to evaluate in all")
    batch: int | None = param(
        None,
        low=1,
        searchable=False,
        help="candidates proposed at a time; without it, 10, or an eighth of several workers",
    )
    ahead: int | None = param(
        None,
        low=0,
        high=100_000,
        searchable=False,
        help="batches proposed before the results of an earlier one are known; without it, 0 for "
        "one worker and as many as keep several busy",
    )
    fidelity: float = param(
        0.0,
        low=0.0,
        high=1.0,
        searchable=False,
        help="share of the full training budget methods may spend on each candidate, or a list "
        "of shares that rises: the rungs of a ladder",
    )
    eta: int = param(
        3, low=2, searchable=False, help="of each rung of a ladder the best 1/eta go on to the next"
    )
    finalists: int = param(
        3, low=1, searchable=False, help="candidates exported and measured at the end"
    )
    proposals: int = param(
        1,
        low=1,
        high=1000,
        searchable=False,
        help="candidates proposed for each that is evaluated, the others dropped by free proxies",
    )
    regressions: int = param(
        1,
        low=1,
        high=100,
        searchable=False,
        help="candidates that spend an epoch on their hints alone for each that is evaluated",
    )
    repeats: int = param(
        1,
        low=1,
        high=100,
        searchable=False,
        help="trainings of each finalist and control arm whose mean decides between them",
    )
    seed: int = param(0, low=0, searchable=False, help="the one seed of the run")


class TargetSettings(Params):
    """How the device is profiled and measured, whatever the runtime."""

    profile: int = param(
        40, low=5, searchable=False, help="networks measured to fit the latency model"
    )
    repeats: int = param(200, low=1, searchable=False, help="timed runs per measurement")
    processes: int = param(
        3, low=1, high=20, searchable=False, help="fresh processes that certify a finalist"
    )
    predictor: str = param(
        "auto",
        choices=("auto", "fitted", "table", "roofline"),
        searchable=False,
        help="latency model; auto takes the one with the least error on measured networks",
    )
    device: str | None = param(
        None,
        kind="path",
        searchable=False,
        help="device file that keeps measurements; without it, one in the user's cache",
    )


class TrainSection(Params):
    """Where and in which precision training runs."""

    device: str = param("cpu", searchable=False, help="torch device, for example cpu or cuda:0")
    precision: str = param(
        "float32",
        choices=("float32", "bfloat16", "float16"),
        searchable=False,
        help="arithmetic of the training loop",
    )
    threads: int = param(0, low=0, searchable=False, help="CPU threads; 0 takes all")
    processes: int = param(
        1,
        low=1,
        high=64,
        searchable=False,
        help="processes that train the teacher and prepare the methods together, one a GPU",
    )


class ExecuteSection(Params):
    """Where evaluations run; the outcome does not depend on it."""

    kind: str | None = param(
        None,
        choices=("inline", "processes", "ray"),
        searchable=False,
        help="in this process, in processes of this machine, or on a Ray cluster; without it, "
        "inline for one worker and processes for several",
    )
    workers: int = param(
        1, low=1, high=100_000, searchable=False, help="evaluations under way at a time"
    )
    threads: int = param(
        1, low=1, high=1024, searchable=False, help="CPU threads of each worker (not inline)"
    )
    deterministic: bool = param(
        True,
        searchable=False,
        help="results are learnt in the order of the proposals, so that the outcome depends "
        "neither on the number of workers nor on who is first; false learns each as it comes",
    )
    timeout_s: float | None = param(
        None,
        low=0.001,
        searchable=False,
        help="time that an evaluation may take before its worker is ended",
    )
    memory_mb: float | None = param(
        None,
        low=1.0,
        searchable=False,
        help="memory that a worker may take (10^6 bytes) before it is ended",
    )
    retries: int = param(
        2,
        low=0,
        high=100,
        searchable=False,
        help="attempts after a first one whose worker died, before the candidate counts as failed",
    )
    address: str = param(
        "local",
        searchable=False,
        help="Ray cluster: auto, host:port, ray://host:port, or local to start one here",
    )
    cpus: float | None = param(
        None, low=0.0, searchable=False, help="CPUs that Ray keeps for a worker; its threads"
    )
    gpus: float = param(
        0.0, low=0.0, high=64.0, searchable=False, help="GPUs that Ray keeps for a worker, or parts"
    )
    placement: str = param(
        "default",
        choices=("default", "spread"),
        searchable=False,
        help="how Ray places workers: fill nodes one by one, or spread over them",
    )
    store: str | None = param(
        None,
        searchable=False,
        help="folder or URL (file, s3, gs, ... of fsspec) where workers and runs share artefacts",
    )
