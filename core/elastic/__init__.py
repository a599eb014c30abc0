"""Elastic layers: slicing, active subnet, extraction; and the plain layers they extract to."""

from stillhouse.core.elastic.attention import ElasticAttention as ElasticAttention
from stillhouse.core.elastic.attention import SelfAttention as SelfAttention
from stillhouse.core.elastic.batch_norm import ElasticBatchNorm as ElasticBatchNorm
from stillhouse.core.elastic.bounds import check_slice as check_slice
from stillhouse.core.elastic.conv1d import ElasticConv1d as ElasticConv1d
from stillhouse.core.elastic.conv2d import ElasticConv2d as ElasticConv2d
from stillhouse.core.elastic.convert import convert as convert
from stillhouse.core.elastic.embedding import ElasticEmbedding as ElasticEmbedding
from stillhouse.core.elastic.feed_forward import Activation as Activation
from stillhouse.core.elastic.feed_forward import ElasticFeedForward as ElasticFeedForward
from stillhouse.core.elastic.feed_forward import FeedForward as FeedForward
from stillhouse.core.elastic.initial import draw_weights as draw_weights
from stillhouse.core.elastic.initial import redraw_weights as redraw_weights
from stillhouse.core.elastic.layer_norm import ElasticLayerNorm as ElasticLayerNorm
from stillhouse.core.elastic.linear import ElasticLinear as ElasticLinear
from stillhouse.core.elastic.positional_conv import ElasticPositionalConv as ElasticPositionalConv
from stillhouse.core.elastic.positional_conv import PositionalConv as PositionalConv
from stillhouse.core.elastic.supernet import Supernet as Supernet
from stillhouse.core.elastic.twins import Twin as Twin
from stillhouse.core.elastic.twins import register_twin as register_twin
from stillhouse.core.elastic.units import Units as Units
