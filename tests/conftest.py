"""Settings every test runs under."""

from __future__ import annotations

import os

# Tiny networks: a second thread only waits for the first, for seconds when the machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
