"""Prices of work, none of them negative, from what whole candidates were measured to take."""

from __future__ import annotations

from typing import Final

import numpy as np

from stillhouse.core.cost.latency.judging import Array

_RIDGE: Final = 1e-6


def prices(work: Array, measured: Array) -> Array:
    """Milliseconds for a unit of each feature, (features,), of `work` (candidates, features).

    Non-negative least squares on errors relative to the measured latencies (candidates,), with a
    ridge that only decides between features which the candidates cannot tell apart.
    """
    from scipy.optimize import nnls

    count = work.shape[1]
    ridge = np.sqrt(_RIDGE * len(work)) * np.eye(count)
    wanted = np.concatenate([np.ones(len(work)), np.zeros(count)])
    solution, _ = nnls(np.vstack([relative(work, measured), ridge]), wanted)
    found: Array = solution * _units(work, measured)
    return found


def dispersion(work: Array, measured: Array) -> Array:
    """Covariance of the prices, (features, features), if relative errors have variance 1.

    That of the same ridge regression without bounds (Bishop 2006, equation 3.54): too large where
    a bound holds a price at 0.
    """
    rows, units = relative(work, measured), _units(work, measured)
    inverse = np.linalg.inv(rows.T @ rows + _RIDGE * len(work) * np.eye(work.shape[1]))
    found: Array = inverse * np.outer(units, units)
    return found


def relative(work: Array, measured: Array) -> Array:
    """Features as shares of each candidate's latency, (candidates, features).

    In units of the feature's largest value and of the typical latency, so that a ridge means the
    same on fast and slow devices.
    """
    found: Array = work * _units(work, measured) / measured[:, None]
    return found


def reweighted(parts: Array, measured: Array, strength: float) -> Array:
    """Factors >= 0 by which `parts` (candidates, parts) of predictions are multiplied, (parts,).

    Least squares on errors relative to the measured latencies (candidates,), with a ridge of the
    given strength towards `common_factor`.
    """
    from scipy.optimize import nnls

    rows, count = parts.shape
    common = common_factor(parts, measured)
    weight = np.sqrt(strength * rows)
    wanted = np.concatenate([np.ones(rows), np.full(count, weight)])
    factors, _ = nnls(
        np.vstack([parts * (common / measured)[:, None], weight * np.eye(count)]), wanted
    )
    found: Array = common * factors
    return found


def common_factor(parts: Array, measured: Array) -> float:
    """Geometric mean of what the measured latencies are of the sums of the parts."""
    return float(np.exp(np.mean(np.log(measured / parts.sum(axis=1)))))


def ease(rows: Array, strength: float = _RIDGE) -> Array:
    """How much smaller a new candidate's error will be than each one's when held out, (rows,).

    `rows` (rows, features) are those of a ridge regression of this strength. An error when held out
    has a variance of 1 / (1 - h), h being the row's leverage, that of a new candidate 1 + h, here
    with the rows' mean (Cook and Weisberg 1982, section 2.2).
    """
    inner = rows.T @ rows + strength * len(rows) * np.eye(rows.shape[1])
    leverage = np.clip((rows @ np.linalg.inv(inner) * rows).sum(axis=1), 0.0, 1.0)
    found: Array = np.sqrt((1 - leverage) * (1 + leverage.mean()))
    return found


def _units(work: Array, measured: Array) -> Array:
    """Milliseconds that one unit of each feature would take if it alone made up the latency.

    0 for a feature that no candidate has: nothing is known of its price.
    """
    largest = work.max(axis=0)
    there = largest > 0
    typical = np.exp(np.mean(np.log(measured)))
    return np.where(there, typical / np.where(there, largest, 1.0), 0.0)
