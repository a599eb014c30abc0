"""Any torch network as an elastic one: what shares channels, found by running it once."""

from stillhouse.core.elastic.graph.build import elastic_graph as elastic_graph
from stillhouse.core.elastic.graph.network import ElasticGraph as ElasticGraph
from stillhouse.core.elastic.graph.rigid import Rigid as Rigid
