"""Programs on disk: a safetensors file of the weights under their names, steps in its header."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from stillhouse.core import plain_file, plain_json
from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import UserError
from stillhouse.plugins.targets.program import (
    DTYPES,
    INPUT,
    Program,
    Step,
    decoded,
    operation,
    references,
)

_KEY: Final = "stillhouse.program"
_FORMAT: Final = 1


def stored(program: Program) -> bytes:
    """The file's content. The same program always gives the same bytes."""
    header = {
        "format": _FORMAT,
        "torch": torch.__version__,
        "input": [list(program.shape), program.dtype],
        "steps": [
            [name, list(args), dict(kwargs)] for name, args, kwargs in map(astuple, program.steps)
        ],
        "output": program.output,
        **({} if program.ids is None else {"ids": list(program.ids)}),
    }
    text = json.dumps(header, separators=(",", ":"), allow_nan=False)
    return save(dict(program.weights), {_KEY: text})


def write_program(program: Program, path: Path) -> None:
    """Write atomically."""
    write_atomically(path, stored(program))


def read_program(path: Path) -> Program:
    """The program in a file; nothing in the file is executed or unpickled.

    Raises `UserError` naming the file when it is missing, damaged or no such program.
    """
    try:
        plain_file.check(path)
        with safe_open(path, framework="pt") as file:
            header = plain_json.parsed((file.metadata() or {})[_KEY])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _program(header, weights)
    except FileNotFoundError:
        raise _refused(path, "there is no such file") from None
    except (SafetensorError, OSError) as failed:
        raise _refused(path, str(failed).splitlines()[0]) from None
    except KeyError as failed:
        raise _refused(path, f"it lacks {failed}") from None
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as failed:
        raise _refused(path, str(failed)) from None


def _program(header: dict[str, Any], weights: dict[str, torch.Tensor]) -> Program:
    if header["format"] != _FORMAT:
        raise ValueError(f"its format is {header['format']}, this version reads {_FORMAT}")
    shape, dtype = header["input"]
    _ = DTYPES[dtype]
    ids = header.get("ids")
    if ids is not None:
        low, high = map(int, ids)
        ids = low, high
    steps = tuple(
        Step(str(name), tuple(args), dict(kwargs)) for name, args, kwargs in header["steps"]
    )
    known = {INPUT, *(f"@{i}" for i in range(len(weights)))}
    for number, step in enumerate(steps):
        operation(step.operator)
        # torch writes a program out as Python, keywords as they are.
        if not all(keyword.isidentifier() for keyword in step.kwargs):
            raise ValueError(f"step {number} has an argument whose name is no name")
        _check(references(step), known)
        known.add(f"%{number}")
    outputs: list[str] = []
    decoded(header["output"], outputs.append, torch.device("cpu"))
    _check(outputs, known)
    sizes = tuple(int(size) for size in shape)
    return Program(sizes, dtype, steps, header["output"], weights, ids)


def _check(used: list[str], known: set[str]) -> None:
    missing = [name for name in used if name not in known]
    if missing:
        raise ValueError(f"it refers to {missing[0]!r}, which comes later or never")


def _refused(path: Path, fact: str) -> UserError:
    return UserError(
        f"cannot load {path} as a torch program: {fact}; expected a file that stillhouse exported "
        f"for a torch target"
    )
