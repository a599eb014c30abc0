"""Load a model and answer, in a process that knows nothing else.

`python -m ... FOLDER THREADS [FILE]`, with the file of plugins that it needs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.run.loading import load

INPUTS: Final = "inputs.safetensors"
OUTPUTS: Final = "outputs.safetensors"


def answer(folder: Path, catalogue: Catalogue) -> torch.Tensor:
    """The answers of the model in a folder to the inputs beside it."""
    with torch.inference_mode():
        outputs: torch.Tensor = load(folder, catalogue)(load_file(folder / INPUTS)["inputs"])
    return outputs


def _main(folder: str, threads: str, code: str = "") -> None:
    torch.set_num_threads(int(threads))
    catalogue = Catalogue.discover()
    if code:
        catalogue = catalogue.beside(Path(code))
    outputs = answer(Path(folder), catalogue)
    save_file({"outputs": outputs.contiguous()}, Path(folder, OUTPUTS))
    print("true")


if __name__ == "__main__":
    _main(*sys.argv[1:])
