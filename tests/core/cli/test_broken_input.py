"""Whatever is wrong with a run file or a data file: one clear error, exit code 2, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stillhouse.core.cli.main import main

GOOD = """\
task: {npz: {path: data.npz}}
teacher: {model: keyword-transformer, width: 16, depth: 1, heads: 1, epochs: 1}
recipe:
  - soft-labels: {temperature: 4.0}
  - supernet: {space: keyword-transformer-tiny, epochs: 1, full_epochs: 1}
search:
  maximize: accuracy
  limits: {parameters: 90%}
  evaluations: 4
target: {runtime: onnxruntime-cpu, profile: 5}
"""

RUN_FILES = {
    "empty": ("", "run.yaml"),
    "not YAML": ("a: [1", "run.yaml:"),
    "a list at the top": ("- 1\n", "run.yaml"),
    "unknown section": (GOOD + "serch: {}\n", "did you mean 'search'"),
    "missing section": (GOOD.replace("task: {npz: {path: data.npz}}\n", ""), "task"),
    "duplicate key": (GOOD + "task: npz\n", "run.yaml:11"),
    "unknown task": (GOOD.replace("npz:", "npzz:"), "did you mean 'npz'"),
    "unknown method": (GOOD.replace("supernet:", "supernt:"), "did you mean 'supernet'"),
    "unknown parameter": (GOOD.replace("temperature", "temprature"), "did you mean 'temperature'"),
    "text for a number": (GOOD.replace("4.0", "hot"), "recipe.soft-labels.temperature"),
    "out of bounds": (GOOD.replace("4.0", "400"), "1 to 20"),
    "bad search range": (GOOD.replace("4.0", "{low: 8, high: 2}"), "temperature"),
    "searched where it cannot": (GOOD.replace("width: 16", "width: {low: 8, high: 16}"), "width"),
    "unknown model": (GOOD.replace("model: keyword-t", "model: kwt-t"), "teacher.model"),
    "unknown space": (GOOD.replace("former-tiny", "former-tniy"), "keyword-transformer-tiny"),
    "space of another family": (
        GOOD.replace("keyword-transformer-tiny", "lighthubert-base"),
        "hubert",
    ),
    "unknown cost": (GOOD.replace("{parameters: 90%}", "{latncy_ms: 2}"), "latency_ms"),
    "limit that is no number": (GOOD.replace("90%", "small"), "search.limits.parameters"),
    "negative limit": (GOOD.replace("90%", "-5"), "parameters"),
    "no objective": (GOOD.replace("  maximize: accuracy\n", ""), "maximize"),
    "unknown objective": (GOOD.replace("accuracy", "acuracy"), "did you mean 'accuracy'"),
    "zero evaluations": (GOOD.replace("evaluations: 4", "evaluations: 0"), "at least 1"),
    "unknown runtime": (GOOD.replace("onnxruntime-cpu", "onnxruntime"), "onnxruntime-cpu"),
    "too many threads": (GOOD.replace("profile: 5", "threads: 200"), "threads"),
    "a method twice": (GOOD.replace("search:", "  - soft-labels\nsearch:"), "soft-labels"),
    "terms nothing trains on": (GOOD[: GOOD.index("  - supernet")] + GOOD[GOOD.index("search:") :],
                                "nothing after it trains on"),
    "a method without what it needs": (
        GOOD.replace("supernet: {space: keyword-transformer-tiny, epochs: 1, full_epochs: 1}",
                     "distil"),
        "'distil' needs",
    ),
    "a python tag": (GOOD.replace("4.0", "!!python/object/apply:os.system [ls]"), "run.yaml:4"),
    "a tab": (GOOD.replace("  - soft", "\t- soft"), "run.yaml:4"),
}  # fmt: skip


def write_good_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=rng.standard_normal((60, 6, 3)), y=np.arange(60) % 3)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) <= 6
    return error


@pytest.mark.parametrize(("text", "said"), RUN_FILES.values(), ids=RUN_FILES)
def test_a_broken_run_file_is_one_clear_error(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text(text)
    write_good_data(tmp_path)
    error = refused(capsys, "search", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "out"))
    assert said in error


def saved(**arrays: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        np.savez(path, **arrays)  # type: ignore[arg-type]

    return write


X, Y = np.zeros((60, 6, 3)), np.arange(60) % 3
NPZ = {
    "missing": (lambda path: None, "data.npz"),
    "not an archive": (lambda path: path.write_bytes(b"nothing"), "data.npz"),
    "empty file": (lambda path: path.write_bytes(b""), "data.npz"),
    "pickled": (saved(x=np.array([{"a": 1}] * 60, dtype=object), y=Y), "data.npz"),
    "misnamed key": (saved(xs=X, y=Y), "'x'"),
    "not a number": (saved(x=np.full((60, 6, 3), np.nan), y=Y), "data.npz"),
    "lengths differ": (saved(x=X, y=Y[:50]), "50"),
    "labels with a hole": (saved(x=X, y=Y * 2), "data.npz"),
    "one class": (saved(x=X, y=Y * 0), "data.npz"),
    "too few": (saved(x=X[:4], y=Y[:4]), "data.npz"),
}


@pytest.mark.parametrize(("write", "said"), NPZ.values(), ids=NPZ)
def test_a_broken_npz_is_one_clear_error(
    write: Callable[[Path], object],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "run.yaml").write_text(GOOD)
    write(tmp_path / "data.npz")
    error = refused(capsys, "search", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "out"))
    assert said in error


def clips(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("no", "yes"):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            soundfile.write(folder / name / f"{i}.wav", rng.standard_normal(2000) / 9, 8000)


AUDIO = {
    "no classes": (lambda root: root.mkdir(), "words"),
    "corrupt": (lambda root: (clips(root), (root / "no" / "3.wav").write_bytes(b"x")), "3.wav"),
    "empty clip": (
        lambda root: (clips(root), soundfile.write(root / "no" / "3.wav", np.zeros(0), 8000)),
        "3.wav",
    ),
    "wrong rate": (
        lambda root: (clips(root), soundfile.write(root / "no" / "3.wav", np.ones(900), 44100)),
        "44100",
    ),
    "stereo": (
        lambda root: (clips(root), soundfile.write(root / "no" / "3.wav", np.ones((900, 2)), 8000)),
        "3.wav",
    ),
    "outside a class": (
        lambda root: (clips(root), soundfile.write(root / "loose.wav", np.ones(900), 8000)),
        "loose.wav",
    ),
}


@pytest.mark.parametrize(("write", "said"), AUDIO.values(), ids=AUDIO)
def test_a_broken_audio_folder_is_one_clear_error(
    write: Callable[[Path], object],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = "{audio-folder: {path: words, audio_hz: 8000}}"
    (tmp_path / "run.yaml").write_text(GOOD.replace("{npz: {path: data.npz}}", task))
    write(tmp_path / "words")
    error = refused(capsys, "search", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "out"))
    assert said in error
