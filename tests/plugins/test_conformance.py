"""Every built-in plugin passes the conformance kit that strangers are given."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from stillhouse.core.plugin import KINDS, RecordKind
from stillhouse.core.plugin.conformance import Check, Setup, checks_of
from stillhouse.core.plugin.conformance.info import TASK, discover
from stillhouse.core.plugin.entries import HOST

CATALOGUE: Final = discover()
ENCODER: Final = {"width": 16, "depth": 2, "heads": 2, "head_dim": 8}
IMAGE: Final = (1, 8, 8)
SENTENCES: Final = [
    f"{a} {b} {c}" for a in ("good", "bad", "film", "very") for b in ("not", "the", "good")
    for c in ("film", "bad")
]  # fmt: skip
SETUPS: Final[Mapping[tuple[RecordKind, str], Setup]] = {
    ("method", "binary"): Setup(after=[{"distil": {"epochs": 1}}]),
    ("method", "deploy-ensemble"): Setup(
        params={"assistants": [{"model": "keyword-transformer", "width": 8, "depth": 1, "heads": 1,
                                "epochs": 1}]}
    ),
    ("method", "distil"): Setup(params={"epochs": 2}, before=["soft-labels", "fresh"]),
    ("method", "early-exit"): Setup(params={"epochs": 1}),
    ("method", "ensemble"): Setup(
        params={"assistants": [{"model": "keyword-transformer", "width": 8, "depth": 1, "heads": 1,
                                "epochs": 1}]}
    ),
    ("method", "hidden-states"): Setup(params={"layers": 1}),
    ("method", "hints"): Setup(params={"samples": 24, "k": 1}),
    ("method", "int8"): Setup(params={"scheme": "static", "attention": "dynamic"}),
    ("method", "mask-spans"): Setup(params={"length": 3}),
    ("method", "supernet"): Setup(params={"full_epochs": 1, "epochs": 2}),
    ("model", "bert"): Setup(params={**ENCODER, "vocabulary": 20}, shape=(7,), tokens=20),
    ("model", "cnn"): Setup(params={"width": 4, "depth": 1}),
    ("model", "hubert"): Setup(
        params={**ENCODER, "channels": 8, "kernels": [10, 3, 3], "strides": [5, 2, 2],
                "position_kernel": 3, "position_groups": 2},
        shape=(400,),
    ),
    ("model", "keyword-transformer"): Setup(params=ENCODER),
    ("model", "plain-cnn"): Setup(params={"size": 2, "width": 4}, shape=IMAGE),
    ("model", "resnet"): Setup(params={"size": 8, "width": 2}, shape=IMAGE),
    ("model", "vit"): Setup(params={**ENCODER, "patch": 4}, shape=IMAGE),
    ("model", "whisper"): Setup(
        params={**ENCODER, "input": "mel", "mels": 80}, shape=(80, 20)
    ),
}  # fmt: skip
KNOWN: Final[Mapping[str, str]] = {}
"""Checks that a built-in fails, and why; one that is mended must be taken off."""
BY_PATH: Final = ("audio-folder", "fsdd-dir", "npz", "text-csv", "waveform-folder")
SLOW: Final = {
    ("method", "ensemble"), ("method", "deploy-ensemble"), ("method", "hints"),
    ("sampler", "optuna-cmaes"), ("sampler", "optuna-gp"), ("sampler", "optuna-tpe"),
    ("target", "torch-cpu"),
    ("task", "audio-folder"), ("task", "fsdd-dir"), ("task", "mnist-5k"),
    ("task", "vader-sentences"), ("task", "waveform-folder"),
}  # fmt: skip


AFRESH: Final = {("method", name) for name in ("binary", "early-exit", "qat", "sparsify")}
"""Their check of rebuilding, in a process of its own, is slow too; others stay for every run."""


def offered() -> Iterator[Any]:
    """Every check of every built-in, as pytest's parameters; nothing runs yet."""
    for kind in KINDS:
        for name in CATALOGUE.names(kind):
            if CATALOGUE.provenance(kind, name).distribution != HOST or name == TASK:
                continue
            for check in checks_of(kind, name, catalogue=CATALOGUE):
                afresh = (kind, name) in AFRESH and check.title == "rebuild"
                marks = [pytest.mark.slow] if (kind, name) in SLOW or afresh else []
                if reason := KNOWN.get(str(check)):
                    marks.append(pytest.mark.xfail(strict=True, reason=reason))
                yield pytest.param(kind, name, check.title, marks=marks, id=str(check))


@functools.cache
def checks(kind: RecordKind, name: str, folder: Path) -> Mapping[str, Check]:
    """A plugin's checks by title; they share one trial."""
    if name in BY_PATH and kind == "task":
        setup = Setup(params=PARAMS[name](folder))
    else:
        setup = SETUPS.get((kind, name), Setup())
    return {check.title: check for check in checks_of(kind, name, setup, CATALOGUE)}


@pytest.mark.parametrize(("kind", "name", "title"), list(offered()))
def test_the_contract_is_kept(kind: RecordKind, name: str, title: str, data: Path) -> None:
    checks(kind, name, data)[title]()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def arrays(folder: Path) -> Mapping[str, Any]:
    rng = np.random.default_rng(0)
    path = folder / "waves.npz"
    np.savez(path, x=rng.standard_normal((60, 6, 4)).astype(np.float32), y=np.arange(60) % 3)
    return {"path": str(path)}


def clips(folder: Path) -> Mapping[str, Any]:
    """Two classes of twelve clips of 0.1 s at 16 kHz."""
    soundfile = pytest.importorskip("soundfile")
    for number, name in enumerate(("high", "low")):
        (folder / "clips" / name).mkdir(parents=True, exist_ok=True)
        for clip in range(12):
            wave = 0.1 * np.random.default_rng(100 * number + clip).standard_normal(1600)
            soundfile.write(folder / "clips" / name / f"{clip}.wav", wave, 16_000)
    return {"path": str(folder / "clips"), "seconds": 0.1}


def digits(folder: Path) -> Mapping[str, Any]:
    soundfile = pytest.importorskip("soundfile")
    (folder / "fsdd" / "recordings").mkdir(parents=True, exist_ok=True)
    for place in range(60):
        wave = 0.1 * np.random.default_rng(place).standard_normal(1000)
        name = f"{place % 10}_{('ann', 'bob', 'eve')[place // 10 % 3]}_{place // 30}.wav"
        soundfile.write(folder / "fsdd" / "recordings" / name, wave, 8000)
    return {"path": str(folder / "fsdd"), "seconds": 0.2}


def sentences(folder: Path) -> Mapping[str, Any]:
    tokenizers = pytest.importorskip("tokenizers")
    words = ("[PAD]", "[UNK]", *sorted({word for text in SENTENCES for word in text.split()}))
    known = {word: number for number, word in enumerate(words)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="[UNK]"))  # noqa: S106
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    rows = (f"{text},{'up' if place % 2 else 'down'}" for place, text in enumerate(SENTENCES))
    (folder / "own.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return {
        "path": str(folder / "own.csv"),
        "tokeniser_file": str(folder / "tokenizer.json"),
        "tokens": 6,
    }


PARAMS: Final = {
    "audio-folder": clips, "fsdd-dir": digits, "npz": arrays, "text-csv": sentences,
    "waveform-folder": clips,
}  # fmt: skip
