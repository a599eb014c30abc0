"""Simulated 12-lead heartbeats with any of four findings, seen in the chest leads above all.

A beat is a sum of Gaussian waves, P to T, each with its own voltage in every lead. A finding has a
degree, which moves one wave; it is annotated where the degree is above a threshold, as voltage
criteria are. Leads III, aVR, aVL and aVF follow from I and II, as on every recorder.
"""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEADS: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FINDINGS: Final = ("st-elevation", "hypertrophy", "bundle-branch-block", "t-inversion")
FRAMES: Final = 96
FRAMES_HZ: Final = 80.0
PREVALENCE: Final = 0.3

# Seconds from the R wave in a beat of one second, and standard deviation: P, Q, R, S, late R, ST, T
_TIMES: Final = np.array([-0.18, -0.035, 0.0, 0.035, 0.075, 0.13, 0.28])
_WIDTHS: Final = np.array([0.025, 0.010, 0.012, 0.012, 0.018, 0.045, 0.050])
_R, _S, _LATE, _ST, _T = 2, 3, 4, 5, 6
# Millivolts of each wave in leads I, II, V1 to V6
_NORMAL: Final = np.array(
    [
        [0.10, 0.15, 0.05, 0.07, 0.08, 0.08, 0.08, 0.08],
        [-0.05, -0.08, 0.00, 0.00, 0.00, -0.03, -0.06, -0.08],
        [0.60, 0.90, 0.20, 0.40, 0.70, 1.10, 1.20, 0.90],
        [-0.15, -0.20, -1.00, -1.30, -0.90, -0.50, -0.25, -0.10],
        [0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
        [0.00, 0.00, 0.03, 0.05, 0.05, 0.03, 0.00, 0.00],
        [0.20, 0.30, -0.05, 0.30, 0.35, 0.35, 0.30, 0.25],
    ]
)
# What the full degree of each finding adds: wave, then millivolts in the same leads
_FULL: Final = (
    (_ST, (0.08, -0.08, 0.20, 0.40, 0.45, 0.30, 0.12, 0.06)),
    (_R, (0.24, -0.10, -0.05, 0.00, 0.20, 0.60, 0.90, 0.80)),
    (_LATE, (-0.11, -0.08, 0.70, 0.45, 0.15, -0.05, -0.12, -0.18)),
    (_T, (-0.11, -0.08, -0.15, -0.55, -0.65, -0.55, -0.35, -0.20)),
)
_VARIES: Final = 0.15
_WANDER_MV: Final = 0.10
_NOISE_MV: Final = 0.05


def beats(samples: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Millivolts (samples, FRAMES, leads) from a random moment, and findings (samples, 4), 0 or 1.

    Rates are 50 to 100 beats a minute: one or two beats in a window of 1.2 seconds.
    """
    rng = np.random.default_rng(seed)
    degrees = rng.standard_normal((samples, len(FINDINGS)))
    threshold = NormalDist().inv_cdf(1 - PREVALENCE)
    voltages = _voltages(rng, 1 / (1 + np.exp(-2.5 * (degrees - threshold))))
    measured = np.einsum("nwf,nwl->nfl", _waves(rng, samples), voltages)
    measured += _disturbance(rng, samples, measured.shape[2])
    whole = np.concatenate([measured[..., :2], _derived(measured), measured[..., 2:]], axis=2)
    return whole.astype(np.float32), (degrees > threshold).astype(np.int64)


def write(path: Path, samples: int, seed: int) -> None:
    """`beats` as an `.npz` file of inputs `x` and targets `y`."""
    inputs, findings = beats(samples, seed)
    np.savez(path, x=inputs, y=findings)


def _voltages(rng: np.random.Generator, degrees: Array) -> Array:
    """Millivolts (samples, waves, 8 leads), different from heart to heart and chest to chest."""
    samples = len(degrees)
    voltages = np.repeat(_NORMAL[None], samples, axis=0)
    voltages *= np.exp(_VARIES * rng.standard_normal((samples, len(_TIMES), 1)))
    for degree, (wave, added) in zip(degrees.T, _FULL, strict=True):
        voltages[:, wave] += degree[:, None] * np.array(added)
    return voltages * np.exp(_VARIES * rng.standard_normal((samples, 1, _NORMAL.shape[1])))


def _waves(rng: np.random.Generator, samples: int) -> Array:
    """The course of each wave (samples, waves, FRAMES), 1 at its peak.

    A wave's distance from the R wave goes as the root of the interval between beats (Bazett 1920).
    """
    interval = 60 / rng.uniform(50, 100, (samples, 1, 1, 1))
    phase = rng.uniform(0, 1, (samples, 1, 1, 1))
    beat = np.arange(-1, 4)[:, None, None]
    peaks = (beat - phase) * interval + _TIMES[:, None] * np.sqrt(interval)
    time = np.arange(FRAMES) / FRAMES_HZ
    return np.asarray(np.exp(-0.5 * ((time - peaks) / _WIDTHS[:, None]) ** 2).sum(axis=1))


def _disturbance(rng: np.random.Generator, samples: int, leads: int) -> Array:
    """Breathing moves the baseline of each lead; muscles and electronics add noise."""
    hertz = rng.uniform(0.15, 0.5, (samples, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (samples, 1, leads))
    strength = _WANDER_MV * rng.standard_normal((samples, 1, leads))
    time = np.arange(FRAMES)[:, None] / FRAMES_HZ
    wander = strength * np.sin(2 * np.pi * hertz * time + phase)
    return np.asarray(wander + _NOISE_MV * rng.standard_normal((samples, FRAMES, leads)))


def _derived(measured: Array) -> Array:
    """Leads III, aVR, aVL and aVF of I and II (Einthoven; Goldberger 1942)."""
    one, two = measured[..., 0], measured[..., 1]
    return np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=-1)
