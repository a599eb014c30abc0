"""Energy of an inference from its operator sheet: arithmetic by width, bytes by memory level."""

from __future__ import annotations

import numpy as np

from stillhouse.core.cost.energy_table import RELATIVE as RELATIVE
from stillhouse.core.cost.energy_table import EnergyTable as EnergyTable
from stillhouse.core.cost.kinds import times
from stillhouse.core.cost.row_costs import RowCosts
from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.terms import bytes_touched, macs_by_bits


def energy(sheet: OperatorSheet, table: EnergyTable = RELATIVE) -> Cells:
    """Expected energy of one inference in the table's unit, (candidates,).

    E = sum over widths b of macs_b (mac_b + 4 b/8 register)
      + (weight bytes + activation bytes beyond the buffer) dram
      + (activation bytes within the buffer) buffer,

    after Sze et al., Proc. IEEE 2017, section V. Weights and biases are read from DRAM once an
    inference (of a table, the entries looked up). What an operator reads and writes stays in the
    buffer as far as `buffer_bytes` go. Idle power, control and a link's radio are not modelled.

    Raises ValueError for operands wider than the table's widest.
    """
    total = np.zeros(sheet.candidates)
    for bits, macs in macs_by_bits(sheet).items():
        total += macs * table.mac_price(bits)
    within, beyond = np.zeros(sheet.candidates), bytes_touched(sheet)
    for row in sheet.rows:
        kept = np.minimum(RowCosts(row).activation_bytes, table.buffer_bytes)
        within += times(times(kept, row["probability"]), row["active"])
    beyond -= within
    return total + within * table.buffer + beyond * table.dram
