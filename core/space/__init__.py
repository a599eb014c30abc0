"""Search spaces: dimensions, conditions, canonical codes, exact size, sampling, variation."""

from stillhouse.core.space.dimension import Codes as Codes
from stillhouse.core.space.dimension import Dimension as Dimension
from stillhouse.core.space.dimensions import Choice as Choice
from stillhouse.core.space.dimensions import Integer as Integer
from stillhouse.core.space.dimensions import Real as Real
from stillhouse.core.space.space import Columns as Columns
from stillhouse.core.space.space import Space as Space
from stillhouse.core.space.text import load_space as load_space
from stillhouse.core.space.vectors import Simplex as Simplex
from stillhouse.core.space.vectors import Taps as Taps
