"""The Keyword Transformer: plain network, elastic twin, costs, family."""

from stillhouse.plugins.models.keyword_transformer.elastic import (
    ElasticKeywordTransformer as ElasticKeywordTransformer,
)
from stillhouse.plugins.models.keyword_transformer.family import (
    KeywordTransformerFamily as KeywordTransformerFamily,
)
from stillhouse.plugins.models.keyword_transformer.network import (
    KeywordTransformer as KeywordTransformer,
)
