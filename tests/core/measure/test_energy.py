"""Joules as a tree of powercap counters tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.measure.energy import EnergyCounter, joules_of

RANGE_UJ = 1_000_000


def zone(root: Path, folder: str, name: str, energy_uj: int = 0) -> Path:
    """A zone as Linux lays it out; returns its counter."""
    place = root / folder
    place.mkdir()
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    counter = place / "energy_uj"
    counter.write_text(f"{energy_uj}\n")
    return counter


def use(counter: Path, energy_uj: int) -> None:
    counter.write_text(f"{(int(counter.read_text()) + energy_uj) % RANGE_UJ}\n")


class Clock:
    """Nanoseconds that pass only where something says so."""

    now = 0

    def __call__(self) -> int:
        return self.now


def test_packages_and_their_memory_count_once_and_nothing_else_does(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0")
    other = zone(tmp_path, "intel-rapl:1", "package-1")
    memory = zone(tmp_path, "intel-rapl:0:1", "dram")
    inside = zone(tmp_path, "intel-rapl:0:0", "core")
    platform = zone(tmp_path, "intel-rapl:2", "psys")
    again = zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    (tmp_path / "intel-rapl").mkdir()
    counter = EnergyCounter.open(tmp_path)
    assert counter is not None
    before = counter.read_uj()
    for place, energy_uj in ((package, 1000), (other, 200), (memory, 30)):
        use(place, energy_uj)
    for place in (inside, platform, again):
        use(place, 5000)
    assert counter.joules(before, counter.read_uj()) == pytest.approx(1230e-6)


def test_a_counter_that_wrapped_around_counts_on(tmp_path: Path) -> None:
    place = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 10)
    counter = EnergyCounter.open(tmp_path)
    assert counter is not None
    before = counter.read_uj()
    use(place, 25)
    assert counter.read_uj() == (15,)
    assert counter.joules(before, counter.read_uj()) == pytest.approx(25e-6)


def test_what_the_machine_uses_idle_is_not_the_calls(tmp_path: Path) -> None:
    place, clock = zone(tmp_path, "intel-rapl:0", "package-0"), Clock()

    def passing(seconds: float, watts: float) -> None:
        clock.now += round(seconds * 1e9)
        use(place, round(seconds * watts * 1e6))

    # 0.05 s at 0.9 W are 0.045 J, of which 0.005 J would have been used idle at 0.1 W.
    found = joules_of(
        lambda: passing(0.05, 0.9), 10, tmp_path, clock, lambda seconds: passing(seconds, 0.1)
    )
    assert found == pytest.approx(0.04)


def test_a_machine_without_counters_tells_nothing(tmp_path: Path) -> None:
    assert EnergyCounter.open(tmp_path / "missing") is None
    assert EnergyCounter.open(tmp_path) is None
    assert joules_of(lambda: None, 3, tmp_path, idle_s=0.0) is None


def test_counters_of_which_one_cannot_be_read_tell_nothing(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0")
    zone(tmp_path, "intel-rapl:1", "package-1").unlink()
    assert EnergyCounter.open(tmp_path) is None


def test_a_counter_that_holds_no_number_tells_nothing(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0").write_text("unavailable\n")
    assert EnergyCounter.open(tmp_path) is None
