"""Where evaluations run: in this process, in a pool of processes, on a Ray cluster.

Knows neither runs nor methods: a job is plain data, and what evaluates it is named by a dotted
string, so that every worker opens its own (`Work`).
"""

from stillhouse.core.execute.executor import ExecutionError, Executor, WorkerState
from stillhouse.core.execute.job import Bench, Job, Outcome, Work

__all__ = ["Bench", "ExecutionError", "Executor", "Job", "Outcome", "Work", "WorkerState"]
