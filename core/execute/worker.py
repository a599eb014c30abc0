"""What a worker process does: take a ticket, evaluate the job, answer, until none can come."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute.job import Bench
from stillhouse.core.execute.raised import told
from stillhouse.core.execute.tickets import taken
from stillhouse.core.execute.wire import framed, messages


def serve(bench: Bench, connection: socket.socket, tickets: int) -> None:
    """Answer jobs until the driver closes; return after a `MemoryError`, to end with it.

    A job whose ticket was taken back is passed over.
    """
    connection.sendall(framed({"ready": True}))
    jobs = messages(connection)
    while (number := taken(tickets)) is not None:
        job = next((job for job in jobs if job["number"] == number), None)
        if job is None:
            return
        answer = _answer(bench, job["payload"])
        connection.sendall(_framed(number, answer))
        if "memory" in answer:
            return


def _answer(bench: Bench, payload: Mapping[str, Any]) -> dict[str, Any]:
    began, said = time.perf_counter(), dict[str, Any]()
    try:
        said["result"] = bench(payload)
    except StillhouseError as error:
        said["raised"] = told(error)
    except MemoryError:
        said["memory"] = True
    except Exception as error:
        said["error"] = f"{type(error).__name__}: {error}"
    return {**said, "seconds": time.perf_counter() - began}


def _framed(number: int, answer: Mapping[str, Any]) -> bytes:
    try:
        return framed({"number": number, **answer})
    except (TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}; a bench returns what JSON can hold"
        return framed({"number": number, "error": said, "seconds": answer["seconds"]})
