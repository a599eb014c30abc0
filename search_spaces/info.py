"""The search spaces that ship with stillhouse; each is a YAML file beside this module."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import SpaceInfo, hookimpl


@hookimpl
def stillhouse_search_spaces() -> Iterator[SpaceInfo]:
    yield SpaceInfo(
        name="keyword-transformer",
        summary="small speech transformers; width, layers, heads and feed-forward ratio",
        build="stillhouse.search_spaces:keyword-transformer.yaml",
        family="keyword-transformer",
    )
    yield SpaceInfo(
        name="keyword-transformer-small",
        summary="keyword transformers up to 64 wide and 4 layers deep",
        build="stillhouse.search_spaces:keyword-transformer-small.yaml",
        family="keyword-transformer",
    )
    yield SpaceInfo(
        name="keyword-transformer-tiny",
        summary="twelve very small keyword transformers, for trying things out",
        build="stillhouse.search_spaces:keyword-transformer-tiny.yaml",
        family="keyword-transformer",
    )
    yield SpaceInfo(
        name="lighthubert-base",
        summary="LightHuBERT base; width, heads and feed-forward ratio of 12 layers",
        build="stillhouse.search_spaces:lighthubert-base.yaml",
        family="hubert",
    )
    yield SpaceInfo(
        name="lighthubert-small",
        summary="LightHuBERT small; width, 10 to 12 layers, heads and feed-forward ratio",
        build="stillhouse.search_spaces:lighthubert-small.yaml",
        family="hubert",
    )
    yield SpaceInfo(
        name="lighthubert-small-front-end",
        summary="LightHuBERT small, and which of two front ends, waveform or fbank",
        build="stillhouse.search_spaces:lighthubert-small-front-end.yaml",
        family="hubert",
    )
    yield SpaceInfo(
        name="cnn-small",
        summary="depthwise convolutional networks of two stages, up to 24 channels",
        build="stillhouse.search_spaces:cnn-small.yaml",
        family="cnn",
    )
    yield SpaceInfo(
        name="cnn-small-residual",
        summary="residual convolutional networks of two stages, up to 24 channels",
        build="stillhouse.search_spaces:cnn-small-residual.yaml",
        family="cnn",
    )
    yield SpaceInfo(
        name="ofa-cnn",
        summary="once-for-all depthwise networks of three stages, up to 16 channels, for images",
        build="stillhouse.search_spaces:ofa-cnn.yaml",
        family="cnn",
    )
    yield SpaceInfo(
        name="bert-minilm",
        summary="text encoders inside MiniLM-L6; width, layers, heads and feed-forward ratio",
        build="stillhouse.search_spaces:bert-minilm.yaml",
        family="bert",
    )
    yield SpaceInfo(
        name="bert-mini",
        summary="text encoders up to 192 wide and 4 layers deep",
        build="stillhouse.search_spaces:bert-mini.yaml",
        family="bert",
    )
