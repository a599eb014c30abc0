"""Export and measurement in the target runtime."""

from stillhouse.core.measure.bench import measured as measured
from stillhouse.core.measure.bench import measured_artefacts as measured_artefacts
from stillhouse.core.measure.bench import structure_key as structure_key
from stillhouse.core.measure.device import DeviceFile as DeviceFile
from stillhouse.core.measure.device import Measured as Measured
from stillhouse.core.measure.device import Way as Way
from stillhouse.core.measure.device import default_path as default_path
from stillhouse.core.measure.graph_form import THRESHOLD as THRESHOLD
from stillhouse.core.measure.graph_form import Graph as Graph
from stillhouse.core.measure.graph_form import GraphForm as GraphForm
from stillhouse.core.measure.latency import Latency as Latency
from stillhouse.core.measure.layer_form import LayerForm as LayerForm
from stillhouse.core.measure.processor import machine as machine
from stillhouse.core.measure.reference import Reference as Reference
from stillhouse.core.measure.rounding import Rounding as Rounding
from stillhouse.core.measure.target import Exported as Exported
from stillhouse.core.measure.target import ExportError as ExportError
from stillhouse.core.measure.target import Target as Target
from stillhouse.core.measure.timing import interleaved as interleaved
