"""What a plugin needs to describe itself, and the catalogue that finds plugins.

A plugin's `info.py` imports this package and the standard library only.
"""

from stillhouse.core.plugin.capabilities import NEW_STUDENT as NEW_STUDENT
from stillhouse.core.plugin.catalogue import Catalogue as Catalogue
from stillhouse.core.plugin.kinds import KINDS as KINDS
from stillhouse.core.plugin.kinds import RecordKind as RecordKind
from stillhouse.core.plugin.listing import PluginStatus as PluginStatus
from stillhouse.core.plugin.markers import hookimpl as hookimpl
from stillhouse.core.plugin.metrics import CLASSIFICATION as CLASSIFICATION
from stillhouse.core.plugin.metrics import MULTI_LABEL as MULTI_LABEL
from stillhouse.core.plugin.metrics import Metric as Metric
from stillhouse.core.plugin.params import Param as Param
from stillhouse.core.plugin.params import Params as Params
from stillhouse.core.plugin.params import declared as declared
from stillhouse.core.plugin.params import param as param
from stillhouse.core.plugin.records import API as API
from stillhouse.core.plugin.records import Gain as Gain
from stillhouse.core.plugin.records import LossInfo as LossInfo
from stillhouse.core.plugin.records import MethodInfo as MethodInfo
from stillhouse.core.plugin.records import ModelInfo as ModelInfo
from stillhouse.core.plugin.records import Provenance as Provenance
from stillhouse.core.plugin.records import Record as Record
from stillhouse.core.plugin.records import ReporterInfo as ReporterInfo
from stillhouse.core.plugin.records import SamplerInfo as SamplerInfo
from stillhouse.core.plugin.records import SimilarityInfo as SimilarityInfo
from stillhouse.core.plugin.records import SpaceInfo as SpaceInfo
from stillhouse.core.plugin.records import TargetInfo as TargetInfo
from stillhouse.core.plugin.records import TaskInfo as TaskInfo
