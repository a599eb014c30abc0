"""torchaudio's pure-Python parts, also where its compiled extension cannot be loaded.

The wheel on PyPI links its extension to CUDA, so beside a CPU build of torch `import torchaudio`
raises `OSError`. Its transforms, functionals, models and Kaldi features need no extension: with a
stand-in that calls it unavailable, they import and run. Written against torchaudio 2.8 to 2.11.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from stillhouse.core.errors import UserError

_EXTENSION = "torchaudio._extension"


def torchaudio() -> Any:
    """The torchaudio package; call before importing anything that imports it (transformers).

    The real extension is used wherever it loads. Raises `UserError` without torchaudio.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError as missing:
        raise UserError(
            f"expected torchaudio for audio features, but {missing}; "
            "install it with: pip install 'stillhouse[speech]'"
        ) from missing
    except OSError:
        sys.modules[_EXTENSION] = _stand_in()
        return importlib.import_module("torchaudio")


def _stand_in() -> ModuleType:
    module = ModuleType(_EXTENSION, "Stands for the compiled extension: unavailable.")
    names = {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "fail_if_no_align": lambda function: function,
        "_check_cuda_version": lambda: None,
        "_load_lib": lambda library: False,
    }
    module.__dict__.update(names)
    return module
