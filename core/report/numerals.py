"""Numbers as people read them; whatever is not finite becomes a dash."""

from __future__ import annotations

import math
from typing import Final

MISSING: Final = "–"
NBSP: Final = "\u00a0"
_SUPERSCRIPTS: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUFFIXES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def finite(value: object) -> float | None:
    """A usable number, or None for NaN, infinities and whatever is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def positive(value: object) -> float | None:
    """A finite number above zero, or None: how an absent cost is told from a known one."""
    number = finite(value)
    return number if number is not None and number > 0 else None


def significant(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits without an exponent between 1e-6 and 1e15."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if not 1e-6 <= abs(value) < 1e15:
        return f"{value:.{digits - 1}e}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, places)
    if abs(rounded) >= 10 ** (digits - places):
        places = max(0, places - 1)
    return f"{rounded:,.{places}f}"


def quantity(value: float | None) -> str:
    """Three significant digits with k, M, G, T from ten thousand on: `52.1 k`."""
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= 9_999.5:
        for size, suffix in _SUFFIXES:
            if abs(value) >= size * 0.9995:
                return f"{significant(value / size)}{NBSP}{suffix}"
    return significant(value) if value % 1 else f"{value:,.0f}"


def rough(value: float | None) -> str:
    """Two significant digits, with an exponent where it is small: `4.2e-06`."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.2g}"


def times(value: float | None, reference: float | None) -> str:
    """`0.21×` of a reference, or a dash where one of the two is unknown."""
    if value is None or not reference:
        return MISSING
    return f"{significant(value / reference, 2)}×"


def share(value: float, reference: float) -> str:
    """`1/14 of` from a half down, else `0.71× `: how a size reads in a sentence."""
    if value > 0 and reference / value >= 2:
        return f"1/{reference / value:.0f} of"
    return f"{significant(value / reference, 2)}×"


def count(text: str) -> str:
    """A count written with digits and commas; from 10^13 on, which nobody reads, `1.2 × 10³⁰`."""
    digits = text.replace(",", "")
    if not (digits.isascii() and digits.isdigit()) or len(digits) < 14:
        return text
    mantissa, _, power = f"{int(digits):.1e}".partition("e+")
    return f"{mantissa}{NBSP}×{NBSP}10{power.lstrip('0').translate(_SUPERSCRIPTS)}"


def seconds(value: float | None) -> str:
    """A duration: `850 ms`, `12.4 s`, `3 min 20 s`, `2 h 05 min`."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1:
        return f"{value * 1000:.0f}{NBSP}ms"
    if value < 59.95:
        return f"{value:.1f}{NBSP}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60:02d}{NBSP}s"
    return f"{whole // 3600}{NBSP}h {whole % 3600 // 60:02d}{NBSP}min"
