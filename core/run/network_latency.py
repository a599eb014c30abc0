"""Latency of any network in the run's target: for methods whose limits are on several networks."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Student
from stillhouse.core.evaluate.views import Channels
from stillhouse.core.measure import DeviceFile
from stillhouse.core.run.examples import batch_size
from stillhouse.core.run.measuring import measure_artefacts
from stillhouse.core.run.opened import Opened


def network_latency(opened: Opened, device: DeviceFile) -> Callable[[Student, Channels], float]:
    """Milliseconds of a network that sees some channels, as `Context.latency` has it.

    It is exported, timed in fresh processes, and kept in the device file under its description.
    """

    def measured(student: Student, channels: Channels) -> float:
        if device.foreign:
            raise UserError(
                f"{device.path}: is of another machine, where networks beside the student cannot "
                "be timed; limit another cost than latency_ms"
            )
        example = opened.task.viewed(channels).example(batch_size(opened))
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
            place = Path(folder) / f"network{opened.target.suffix}"
            module = copy.deepcopy(student.module).cpu().eval()
            pair = (student, opened.target.export(module, example, place))
            found = measure_artefacts(opened, device, [pair], [math.nan])
        return found[0].latency.latency_ms

    return measured
