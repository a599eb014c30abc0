"""Elastic layers: slicing, active subnet, extraction; and the plain layers they extract to."""

from stillhouse.core.elastic.attention import ElasticAttention as ElasticAttention
from stillhouse.core.elastic.attention import SelfAttention as SelfAttention
from stillhouse.core.elastic.bounds import check_slice as check_slice
from stillhouse.core.elastic.conv1d import ElasticConv1d as ElasticConv1d
from stillhouse.core.elastic.embedding import ElasticEmbedding as ElasticEmbedding
from stillhouse.core.elastic.feed_forward import Activation as Activation
from stillhouse.core.elastic.feed_forward import ElasticFeedForward as ElasticFeedForward
from stillhouse.core.elastic.feed_forward import FeedForward as FeedForward
from stillhouse.core.elastic.initial import draw_weights as draw_weights
from stillhouse.core.elastic.layer_norm import ElasticLayerNorm as ElasticLayerNorm
from stillhouse.core.elastic.linear import ElasticLinear as ElasticLinear
