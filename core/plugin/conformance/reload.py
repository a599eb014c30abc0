"""Load a model and answer, in a process that knows nothing else: `python -m ... FOLDER THREADS`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file

from stillhouse.core.run.loading import load

INPUTS: Final = "inputs.safetensors"
OUTPUTS: Final = "outputs.safetensors"


def answer(folder: Path) -> torch.Tensor:
    """The answers of the model in a folder to the inputs beside it."""
    with torch.inference_mode():
        outputs: torch.Tensor = load(folder)(load_file(folder / INPUTS)["inputs"])
    return outputs


def _main(folder: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    save_file({"outputs": answer(Path(folder)).contiguous()}, Path(folder, OUTPUTS))
    print("true")


if __name__ == "__main__":
    _main(*sys.argv[1:])
