from __future__ import annotations

import json

from stillhouse.core.measure.processor import cores, cpu_flags, cpu_model, machine

_X86 = """processor\t: 0
model name\t: Imaginary Xeon 9
flags\t\t: fpu avx2 fma avx512f avx512_vnni sse2

processor\t: 1
model name\t: Imaginary Xeon 9
flags\t\t: fpu avx2
"""
_ARM = """processor\t: 0
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""


def test_an_x86_processor_is_known_by_name_and_instruction_sets() -> None:
    assert cpu_model(_X86) == "Imaginary Xeon 9"
    assert cpu_flags(_X86) == ["avx2", "fma", "avx512f", "avx512_vnni"]


def test_an_arm_processor_is_known_by_its_part() -> None:
    assert cpu_model(_ARM) == "0x41 0xd0b"
    assert cpu_flags(_ARM) == ["asimd", "asimddp"]


def test_without_cpuinfo_nothing_is_invented() -> None:
    assert cpu_model("") == ""
    assert cpu_flags("") == []


def test_this_machine_can_be_written_down_as_json() -> None:
    facts = machine()
    assert facts == json.loads(json.dumps(facts))
    assert facts["cpu"]
    assert facts["cores"] == cores() >= 1
