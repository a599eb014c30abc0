"""Gaussian processes: exact for some thousands of observations, by inducing points beyond."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from stillhouse.core.search.surrogate.fantasy import Fantasy
from stillhouse.core.search.surrogate.kernel import Places, Settings, matern, squares

Array = NDArray[np.float64]


class Factor(ABC):
    """What depends on where was observed, not on what: computed once, extended row by row."""

    @abstractmethod
    def extended(self, inputs: Array) -> Factor:
        """With more observations at `inputs` (k, columns)."""

    @abstractmethod
    def posterior(self, targets: Array) -> Posterior:
        """Given standardised targets (n,), in the order of the inputs."""


class Posterior(ABC):
    """Beliefs about one value. Means and deviations are on the targets' scale."""

    at_data: Array
    """Posterior means at the observations, (n,): the targets without their noise."""

    @abstractmethod
    def rough(self, inputs: Array) -> tuple[Array, Array]:
        """Means (n,) and an upper bound of the deviations (n,): cheap, in single precision."""

    @abstractmethod
    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Means (n,) and deviations (n,) without noise."""

    @abstractmethod
    def fantasy(self, inputs: Array) -> Fantasy:
        """`predict` at inputs (n, columns) that will be believed one by one."""

    @abstractmethod
    def calibration(self) -> float:
        """Root mean square of the errors of leaving one observation out, in deviations."""


@final
class Exact(Factor):
    """All observations, by Cholesky (Rasmussen and Williams 2006, algorithm 2.1)."""

    def __init__(self, inputs: Array, groups: Places, settings: Settings) -> None:
        self.groups, self.settings = groups, settings
        self.points = settings.scaled(inputs, groups)
        covariance = matern(squares(self.points, self.points))
        covariance[np.diag_indices(len(covariance))] += self.noise
        self.lower: Array = cholesky(covariance, lower=True, check_finite=False)

    @property
    def noise(self) -> float:
        return float(np.exp(self.settings.noise))

    def extended(self, inputs: Array) -> Exact:
        out = object.__new__(Exact)
        out.groups, out.settings = self.groups, self.settings
        fresh = self.settings.scaled(inputs, self.groups)
        out.points = np.concatenate([self.points, fresh])
        side = self.half(matern(squares(self.points, fresh)))
        corner = matern(squares(fresh, fresh)) - side.T @ side
        corner[np.diag_indices(len(fresh))] += self.noise
        n, both = len(self.points), len(out.points)
        out.lower = np.zeros((both, both), order="F")
        out.lower[:n, :n], out.lower[n:, :n] = self.lower, side.T
        out.lower[n:, n:] = cholesky(corner, lower=True, check_finite=False)
        return out

    def half(self, right: Array) -> Array:
        """Solve lower @ x = right."""
        solved: Array = solve_triangular(self.lower, right, lower=True, check_finite=False)
        return solved

    def posterior(self, targets: Array) -> ExactPosterior:
        return ExactPosterior(self, targets)


@final
class ExactPosterior(Posterior):
    def __init__(self, factor: Exact, targets: Array) -> None:
        self._factor = factor
        half = factor.half(targets)
        self._weights: Array = solve_triangular(
            factor.lower, half, lower=True, trans="T", check_finite=False
        )
        self._surprise = float(half @ half)
        self._variance = max(self._surprise / len(targets), 1e-12)
        self.at_data = targets - factor.noise * self._weights

    def rough(self, inputs: Array) -> tuple[Array, Array]:
        scaled = self._factor.settings.scaled(inputs, self._factor.groups).astype(np.float32)
        points, weights = self._single
        cross = matern(squares(scaled, points))
        nearest = cross.max(axis=1).astype(np.float64)
        left = 1.0 - nearest * nearest / (1.0 + self._factor.noise)
        mean = (cross @ weights).astype(np.float64)
        return mean, np.sqrt(self._variance * np.maximum(left, 1e-12))

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        found = self.fantasy(inputs)
        return found.mean, found.spread

    def fantasy(self, inputs: Array) -> Fantasy:
        factor = self._factor
        scaled = factor.settings.scaled(inputs, factor.groups)
        cross = matern(squares(scaled, factor.points))
        half = factor.half(cross.T)
        left = 1.0 - np.einsum("ij,ij->j", half, half)

        def shared(place: int) -> Array:
            near: Array = matern(squares(scaled, scaled[place : place + 1]))[:, 0]
            return near - half[:, place] @ half

        mean, count = cross @ self._weights, len(self._weights)
        return Fantasy(mean, left, shared, factor.noise, self._surprise, count)

    def calibration(self) -> float:
        """See `Posterior` (Rasmussen and Williams 2006, section 5.4.2); costs a new factor."""
        inverse = self._factor.half(np.eye(len(self._weights)))
        own = (inverse * inverse).sum(axis=0)
        return float(np.sqrt(np.mean(self._weights**2 / own) / self._variance))

    @cached_property
    def _single(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points and weights in single precision."""
        return self._factor.points.astype(np.float32), self._weights.astype(np.float32)


@final
class Inducing(Factor):
    """Every observation seen through `chosen` ones (deterministic training conditional).

    Source: Quiñonero-Candela and Rasmussen, "A unifying view of sparse approximate Gaussian
    process regression", 2005, section 4.3. Costs n m^2 once and m^2 for each further observation.
    """

    def __init__(
        self, inputs: Array, groups: Places, settings: Settings, chosen: NDArray[np.int64]
    ) -> None:
        self.groups, self.settings = groups, settings
        points = settings.scaled(inputs, groups)
        self.points = points[chosen]
        covariance = matern(squares(self.points, self.points))
        covariance[np.diag_indices(len(covariance))] += 1e-6
        self._root: Array = cholesky(covariance, lower=True, check_finite=False)
        self.seen = self.basis(points)
        self._gram = self.seen @ self.seen.T
        self._factorise()

    @property
    def noise(self) -> float:
        return float(np.exp(self.settings.noise))

    def basis(self, scaled: Array) -> Array:
        """Scaled points in the inducing basis, (m, n)."""
        cross = matern(squares(self.points, scaled))
        solved: Array = solve_triangular(self._root, cross, lower=True, check_finite=False)
        return solved

    def extended(self, inputs: Array) -> Inducing:
        out = object.__new__(Inducing)
        out.groups, out.settings = self.groups, self.settings
        out.points, out._root = self.points, self._root
        fresh = self.basis(self.settings.scaled(inputs, self.groups))
        out.seen = np.concatenate([self.seen, fresh], axis=1)
        out._gram = self._gram + fresh @ fresh.T
        out._factorise()
        return out

    def _factorise(self) -> None:
        inner = self._gram + self.noise * np.eye(len(self._gram))
        self.lower: Array = cholesky(inner, lower=True, check_finite=False)

    def posterior(self, targets: Array) -> InducingPosterior:
        return InducingPosterior(self, targets)


@final
class InducingPosterior(Posterior):
    def __init__(self, factor: Inducing, targets: Array) -> None:
        self._factor = factor
        projected = factor.seen @ targets
        half = solve_triangular(factor.lower, projected, lower=True, check_finite=False)
        self._weights: Array = solve_triangular(
            factor.lower, half, lower=True, trans="T", check_finite=False
        )
        self._surprise = (float(targets @ targets) - float(half @ half)) / factor.noise
        self._variance = max(self._surprise / len(targets), 1e-12)
        self.at_data = self._weights @ factor.seen
        self._residuals = targets - self.at_data

    def rough(self, inputs: Array) -> tuple[Array, Array]:
        return self.predict(inputs)

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        found = self.fantasy(inputs)
        return found.mean, found.spread

    def fantasy(self, inputs: Array) -> Fantasy:
        factor = self._factor
        basis = factor.basis(factor.settings.scaled(inputs, factor.groups))
        half: Array = solve_triangular(factor.lower, basis, lower=True, check_finite=False)
        left = 1.0 - (basis * basis).sum(axis=0) + factor.noise * (half * half).sum(axis=0)

        def shared(place: int) -> Array:
            together: Array = factor.noise * (half[:, place] @ half)
            return together

        mean, count = self._weights @ basis, len(self._residuals)
        return Fantasy(mean, left, shared, factor.noise, self._surprise, count)

    def calibration(self) -> float:
        """See `Posterior`: the leverage of each observation gives its error when left out."""
        factor = self._factor
        half = solve_triangular(factor.lower, factor.seen, lower=True, check_finite=False)
        leverage = np.minimum((half * half).sum(axis=0), 1.0 - 1e-9)
        errors = self._residuals / (1.0 - leverage)
        spread = self._variance * factor.noise / (1.0 - leverage)
        return float(np.sqrt(np.mean(errors * errors / spread)))
