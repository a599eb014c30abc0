"""What energy costs on a device: arithmetic by width, bytes by memory level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final

from stillhouse.core.errors import UserError, nearest

Unit = Literal["relative", "joules"]

REFERENCE_BITS: Final = 32
"""The width whose MAC is the relative unit."""

_ACCESSES: Final = 4
"""Register accesses of a multiply-accumulate: weight, activation, partial sum in and out."""
_LEVELS: Final = ("register", "buffer", "dram")


@final
@dataclass(frozen=True)
class EnergyTable:
    """Prices of one device, either "relative" (a 32-bit floating MAC = 1) or in "joules".

    mac: one multiply-accumulate by bits of its wider operand, arithmetic alone.
    register, buffer, dram: one byte read or written there; 0 for `register` where the
        prices of `mac` include their operands.
    buffer_bytes: capacity of the on-chip buffer.
    source: where the numbers are from.
    """

    unit: Unit
    source: str
    mac: Mapping[int, float]
    register: float
    buffer: float
    dram: float
    buffer_bytes: float

    def __post_init__(self) -> None:
        """Raises `UserError` for anything that is no price."""
        _check(self)

    def mac_price(self, bits: int) -> float:
        """Of one multiply-accumulate with its operands: those of the next width that has a price.

        Raises ValueError beyond the widest one.
        """
        wide = [known for known in sorted(self.mac) if known >= bits]
        if not wide:
            raise ValueError(f"no price of a {bits}-bit operation, the widest has {max(self.mac)}")
        return self.mac[wide[0]] + _ACCESSES * wide[0] / 8 * self.register

    def relative(self) -> EnergyTable:
        """The same prices in units of this device's own 32-bit MAC."""
        one = self.mac[REFERENCE_BITS]
        return replace(
            self,
            unit="relative",
            mac={bits: price / one for bits, price in self.mac.items()},
            register=self.register / one,
            buffer=self.buffer / one,
            dram=self.dram / one,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "source": self.source,
            "mac": {str(bits): price for bits, price in sorted(self.mac.items())},
            "byte": {level: getattr(self, level) for level in _LEVELS},
            "buffer_bytes": self.buffer_bytes,
        }

    @staticmethod
    def from_json(raw: object) -> EnergyTable:
        """Raises `UserError`, which says nothing of the place, for what is no energy table."""
        table = _object(raw, "the table", ("unit", "source", "mac", "byte", "buffer_bytes"))
        byte = _object(table["byte"], "byte", _LEVELS)
        return EnergyTable(
            unit=table["unit"],
            source=table["source"],
            mac=_by_bits(table["mac"]),
            buffer_bytes=table["buffer_bytes"],
            **byte,
        )


def _check(table: EnergyTable) -> None:
    if table.unit not in ("relative", "joules"):
        raise _wrong("unit", '"relative" or "joules"', table.unit)
    if not isinstance(table.source, str) or not table.source.strip():
        raise _wrong("source", "where the numbers are from, in words", table.source)
    for bits, price in table.mac.items():
        if not _is_number(price) or price <= 0:
            raise _wrong(f"mac, {bits} bits", "a finite price above 0", price)
    if REFERENCE_BITS not in table.mac:
        raise _wrong("mac", f"a price at {REFERENCE_BITS} bits", sorted(table.mac))
    for level in (*_LEVELS, "buffer_bytes"):
        if not _is_number(getattr(table, level)) or getattr(table, level) < 0:
            raise _wrong(level, "a finite number, at least 0", getattr(table, level))


def _object(raw: object, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise _wrong(name, f"an object with {', '.join(keys)}", raw)
    for key in raw:
        if key not in keys:
            raise UserError(f"energy table: {name} has no key '{key}'{nearest(str(key), keys)}")
    for key in keys:
        if key not in raw:
            raise UserError(f"energy table: {name} lacks the key '{key}'")
    return dict(raw)


def _by_bits(raw: object) -> dict[int, float]:
    if not isinstance(raw, Mapping) or not all(str(b).isdecimal() and int(b) > 0 for b in raw):
        raise _wrong("mac", 'prices by bits such as {"8": 2.3e-13, "32": 4.6e-12}', raw)
    return {int(bits): price for bits, price in raw.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(key: str, expected: str, got: object) -> UserError:
    return UserError(f"energy table: {key}: expected {expected}; got {got!r}")


RELATIVE: Final = EnergyTable(
    unit="relative",
    source=(
        "product and sum of one width, 45 nm, relative to 4.6 pJ at 32 bits: Horowitz, ISSCC 2014; "
        "a word in registers, buffer and DRAM 1, 6 and 200 times a MAC of its width: Eyeriss, "
        "in Sze et al., Proc. IEEE 2017, as bytes of 32-bit words; a buffer of 100 kB"
    ),
    mac={8: 0.23 / 4.6, 16: 1.5 / 4.6, 32: 1.0},
    register=1 / 4,
    buffer=6 / 4,
    dram=200 / 4,
    buffer_bytes=100_000,
)
"""Prices for a device that nothing is known of."""
