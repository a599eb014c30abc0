from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.structure import PLAIN
from stillhouse.plugins.models.encoder.weights.ctranslate2 import read_variables
from stillhouse.plugins.models.encoder.weights.whisper import encoder_weights

CODES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def variable(name: str, array: NDArray[np.generic]) -> bytes:
    axes = b"".join(struct.pack("<I", size) for size in array.shape)
    content = array.tobytes()
    head = struct.pack("<B", array.ndim) + axes
    return text(name) + head + struct.pack("<BI", CODES[array.dtype.name], len(content)) + content


def written(arrays: Mapping[str, NDArray[np.generic]], version: int = 6) -> bytes:
    body = b"".join(variable(name, array) for name, array in arrays.items())
    aliases = struct.pack("<I", 1) + text("again") + text("first")
    head = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    return head + body + aliases


ARRAYS = {
    "first": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half/precision": np.array([0.5, -2.0], np.float16),
    "a scalar": np.array(7, np.int8),
    "whole": np.array([[[1]], [[-4]]], np.int32),
}


def test_every_variable_is_read_as_it_was_written() -> None:
    found = read_variables(written(ARRAYS), "file")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_only_what_is_wanted_is_kept() -> None:
    assert list(read_variables(written(ARRAYS), "file", lambda name: "/" in name)) == [
        "half/precision"
    ]


def test_a_file_cut_off_anywhere_is_refused() -> None:
    content = written(ARRAYS)
    for length in range(len(content)):
        with pytest.raises(UserError, match=r"^file, byte \d+: expected .* the file has"):
            read_variables(content[:length], "file")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (written(ARRAYS, version=5), "expected a CTranslate2 file of version 6, came 5"),
        (written(ARRAYS) + b"\0", "expected the end, 1 bytes follow"),
        (
            written(ARRAYS).replace(struct.pack("<BI", 0, 24), struct.pack("<BI", 9, 24)),
            "expected a type below 5 for 'first', came 9",
        ),
        (
            written(ARRAYS).replace(struct.pack("<BI", 0, 24), struct.pack("<BI", 4, 24)),
            "expected 24 bytes for 'first'",
        ),
        (written(ARRAYS).replace(b"first", b"fir\xffst"[:5]), "expected a name in ASCII"),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_variables(content, "file")


def whisper(width: int = 8, depth: int = 2) -> dict[str, NDArray[np.generic]]:
    """The encoder's variables as a converter names them, and one of the decoder's."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> NDArray[np.generic]:
        return rng.standard_normal(shape).astype(np.float16)

    linears = {
        "self_attention/linear_0": (3 * width, width),
        "self_attention/linear_1": (width, width),
        "ffn/linear_0": (4 * width, width),
        "ffn/linear_1": (width, 4 * width),
    }
    found = {"encoder/position_encodings/encodings": draw(30, width), "decoder/scale": draw(1)}
    for name, shape in {"conv1": (width, 8, 3), "conv2": (width, width, 3)}.items():
        found |= {f"encoder/{name}/weight": draw(*shape), f"encoder/{name}/bias": draw(width)}
    norms = ["layer_norm"]
    for place in range(depth):
        at = f"layer_{place}"
        norms += [f"{at}/self_attention/layer_norm", f"{at}/ffn/layer_norm"]
        for name, shape in linears.items():
            found[f"encoder/{at}/{name}/weight"] = draw(*shape)
            found[f"encoder/{at}/{name}/bias"] = draw(shape[0])
    for name in norms:
        found |= {f"encoder/{name}/gamma": draw(width), f"encoder/{name}/beta": draw(width)}
    return found


STRUCTURE = {
    **PLAIN,
    "input_shape": [8, 10],
    "outputs": 0,
    "front_end": {"kind": "log_mel", "mels": 8, "input": "mel"},
    "positions": {"kind": "table", "count": 5, "learned": False},
    "width": 8,
    "depth": 2,
    "heads": [2, 2],
    "hidden": [32, 32],
    "head_dim": 4,
    "before": True,
    "norm": False,
    "final_norm": True,
}


def test_a_whisper_file_becomes_the_weights_of_an_encoder() -> None:
    from stillhouse.plugins.models.encoder.network import skeleton

    arrays = whisper()
    state = encoder_weights(written(arrays), "file", STRUCTURE)
    skeleton(STRUCTURE).load_state_dict(state, strict=True, assign=True)
    fused = torch.from_numpy(arrays["encoder/layer_1/self_attention/linear_0/weight"]).float()
    assert torch.equal(state["layers.1.attention.qkv_weight"], fused.view(3, 8, 8))
    table = torch.from_numpy(arrays["encoder/position_encodings/encodings"]).float()
    assert torch.equal(state["positions.table"], table[:5])


def test_a_whisper_file_without_a_layer_is_refused() -> None:
    with pytest.raises(UserError, match="file: expected a variable 'encoder/layer_1/self_attent"):
        encoder_weights(written(whisper(depth=1)), "file", STRUCTURE)
