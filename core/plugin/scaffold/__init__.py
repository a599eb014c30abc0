"""Writes a package for a plugin: one that installs and keeps the contract as it stands."""

from stillhouse.core.plugin.scaffold.names import SCAFFOLDS as SCAFFOLDS
from stillhouse.core.plugin.scaffold.names import Names as Names
from stillhouse.core.plugin.scaffold.writing import write_package as write_package
