"""How alike a network's layers are: features streamed once, matrices layer by layer."""

from stillhouse.core.similarity.accumulator import Accumulator as Accumulator
from stillhouse.core.similarity.layers import Layers as Layers
from stillhouse.core.similarity.matrix import combined as combined
from stillhouse.core.similarity.matrix import similarity_matrix as similarity_matrix
from stillhouse.core.similarity.observing import observe as observe
from stillhouse.core.similarity.similarity import Similarity as Similarity
