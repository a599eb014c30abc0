from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHIM = "from stillhouse.plugins.tasks.torchaudio_shim import torchaudio\n"

REFERENCE = """
import numpy as np, torch
from scipy.fft import dct

RATE, WINDOW, HOP, MELS = 8000, 256, 128, 20
wave = np.random.default_rng(0).normal(0, 0.3, 2000)
starts = HOP * np.arange(1 + (len(wave) - WINDOW) // HOP)
hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
power = np.abs(np.fft.rfft(wave[starts[:, None] + np.arange(WINDOW)] * hann)) ** 2
to_mel = lambda hz: 2595 * np.log10(1 + hz / 700)
edges = 700 * (10 ** (np.linspace(to_mel(0), to_mel(RATE / 2), MELS + 2) / 2595) - 1)
hz = np.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, None]
rise = (hz - edges[:-2]) / np.diff(edges)[:-1]
fall = (edges[2:] - hz) / np.diff(edges)[1:]
mel = power @ np.clip(np.minimum(rise, fall), 0, None)
mfcc = dct(np.log(mel + 1e-6), type=2, norm="ortho", axis=1)[:, :13]

settings = dict(n_fft=WINDOW, hop_length=HOP, n_mels=MELS, center=False)
transforms = torchaudio().transforms
signal = torch.tensor(wave, dtype=torch.float32)
found_mel = transforms.MelSpectrogram(RATE, **settings)(signal).T.numpy()
found_mfcc = transforms.MFCC(RATE, 13, log_mels=True, melkwargs=settings)(signal).T.numpy()
print(np.abs(found_mel - mel).max() / mel.max(), np.abs(found_mfcc - mfcc).max())
"""


def run(code: str, *first_on_path: Path) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, first_on_path))}
    done = subprocess.run(
        [sys.executable, "-c", SHIM + code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def package(folder: Path, extension: str) -> Path:
    (folder / "torchaudio" / "_extension").mkdir(parents=True)
    (folder / "torchaudio" / "_extension" / "__init__.py").write_text(extension)
    (folder / "torchaudio" / "__init__.py").write_text(
        "from . import _extension\nfrom torchaudio._extension import fail_if_no_align\n"
    )
    return folder


@pytest.mark.slow
def test_mel_and_mfcc_agree_with_numpy() -> None:
    mel_error, mfcc_error = map(float, run(REFERENCE).split())
    assert mel_error < 1e-4
    assert mfcc_error < 1e-4


def test_a_loadable_extension_is_used(tmp_path: Path) -> None:
    path = package(tmp_path, "real = True\nfail_if_no_align = None\n")
    assert run("print(torchaudio()._extension.real)", path) == "True"


def test_an_extension_that_cannot_be_loaded_is_stood_in_for(tmp_path: Path) -> None:
    path = package(tmp_path, "raise OSError('libc10_cuda.so: cannot open shared object file')\n")
    code = (
        "found = torchaudio()\nimport sys; extension = sys.modules['torchaudio._extension']\n"
        "print(extension._IS_TORCHAUDIO_EXT_AVAILABLE, found.fail_if_no_align(abs)(-3))\n"
        "print(torchaudio() is found)"
    )
    assert run(code, path).split() == ["False", "3", "True"]


@pytest.mark.parametrize("repeat", [1, 2])
def test_a_missing_torchaudio_is_named_with_the_extra(repeat: int) -> None:
    code = (
        "import sys; sys.modules['torchaudio'] = None\n"
        "from stillhouse.core.errors import UserError\n"
        f"for _ in range({repeat}):\n"
        "    try: torchaudio()\n"
        "    except UserError as error: print(error)\n"
    )
    said = run(code).splitlines()
    assert len(said) == repeat
    assert all(line.endswith("pip install 'stillhouse[speech]'") for line in said)
