"""Search spaces: dimensions, conditions, canonical codes, exact size, sampling, variation."""

from stillhouse.core.space.space import Columns as Columns
from stillhouse.core.space.space import Space as Space
