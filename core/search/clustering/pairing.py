"""Taps of a student and of its teacher, paired by depth."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.core.errors import UserError


def paired(student_taps: Sequence[str], teacher_taps: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The i-th of the student's taps with the i-th of the teacher's, both in order of depth.

    Raises `UserError` for lists of different lengths, and for a tap that is named twice: pairs
    must get deeper on both sides.
    """
    if len(student_taps) != len(teacher_taps):
        raise UserError(
            f"hints: expected as many taps of the student as of the teacher, got "
            f"{len(student_taps)} and {len(teacher_taps)}"
        )
    for whose, taps in (("student", student_taps), ("teacher", teacher_taps)):
        twice = next((tap for tap in taps if list(taps).count(tap) > 1), None)
        if twice is not None:
            raise UserError(f"hints: expected {whose} taps that get deeper, got '{twice}' twice")
    return tuple(zip(student_taps, teacher_taps, strict=True))
