"""The hooks, one for each kind of record. Every docstring is a whole plugin module.

A hook returns an iterable of records. The host calls it once, after importing the module that an
entry point names, and keeps the record whose name is the entry point's.
"""

from __future__ import annotations

from collections.abc import Iterable

from stillhouse.core.plugin.markers import hookspec
from stillhouse.core.plugin.records import (
    LossInfo,
    MethodInfo,
    ModelInfo,
    ReporterInfo,
    SamplerInfo,
    SimilarityInfo,
    SpaceInfo,
    TargetInfo,
    TaskInfo,
)


@hookspec
def stillhouse_methods() -> Iterable[MethodInfo]:
    """Compression methods. Entry point: `binary = "kd_zoo.info"` in `stillhouse.methods`.

    from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param

    class BinaryParams(Params):
        groups: int = param(1, low=1, high=64, help="scales in each row of weights")

    @hookimpl
    def stillhouse_methods():
        yield MethodInfo(
            name="binary",
            summary="one-bit weights with a scale in each row",
            build="kd_zoo.binary:Binary",
            params=BinaryParams,
            changes="form",
            needs=frozenset({"float weights"}),
            leaves=frozenset({"one-bit weights"}),
            spends=frozenset({"float weights"}),
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_models() -> Iterable[ModelInfo]:
    """Model families. Entry point: `conv-mixer = "kd_zoo.info"` in `stillhouse.models`.

    from stillhouse.core.plugin import ModelInfo, Params, hookimpl, param

    class MixerParams(Params):
        width: int = param(64, low=8, high=512, help="channels")

    @hookimpl
    def stillhouse_models():
        yield ModelInfo(
            name="conv-mixer",
            summary="depthwise and pointwise convolutions over patches",
            build="kd_zoo.mixer:MixerFamily",
            params=MixerParams,
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_tasks() -> Iterable[TaskInfo]:
    """Tasks. Entry point: `bird-calls = "kd_zoo.info"` in `stillhouse.tasks`.

    from stillhouse.core.plugin import Params, TaskInfo, hookimpl, param

    class BirdParams(Params):
        folder: str = param(kind="path", searchable=False, help="one folder of WAV files a class")

    @hookimpl
    def stillhouse_tasks():
        yield TaskInfo(
            name="bird-calls",
            summary="one-second clips of bird song by species",
            build="kd_zoo.birds:bird_calls",
            params=BirdParams,
            licence="CC-BY-4.0",
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_search_spaces() -> Iterable[SpaceInfo]:
    """Search spaces, as files. Entry point: `mixer-tiny = "kd_zoo.info"` in `stillhouse.spaces`.

    from stillhouse.core.plugin import SpaceInfo, hookimpl

    @hookimpl
    def stillhouse_search_spaces():
        yield SpaceInfo(
            name="mixer-tiny",
            summary="two to six mixer blocks, 16 to 64 channels",
            build="kd_zoo:mixer_tiny.yaml",
            family="conv-mixer",
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_targets() -> Iterable[TargetInfo]:
    """Runtimes on devices. Entry point: `tflite-cpu = "kd_zoo.info"` in `stillhouse.targets`.

    from stillhouse.core.plugin import Params, TargetInfo, hookimpl, param

    class TfliteParams(Params):
        threads: int = param(1, low=1, high=64, searchable=False, help="threads of the runtime")

    @hookimpl
    def stillhouse_targets():
        yield TargetInfo(
            name="tflite-cpu",
            summary="LiteRT on this machine's CPU",
            build="kd_zoo.tflite:TfliteCpu",
            params=TfliteParams,
            extra="tflite",
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_samplers() -> Iterable[SamplerInfo]:
    """Search samplers. Entry point: `annealing = "kd_zoo.info"` in `stillhouse.samplers`.

    from stillhouse.core.plugin import Params, SamplerInfo, hookimpl, param

    class AnnealingParams(Params):
        cooling: float = param(0.95, low=0.5, high=0.999, help="temperature kept at each step")

    @hookimpl
    def stillhouse_samplers():
        yield SamplerInfo(
            name="annealing",
            summary="simulated annealing with restarts",
            build="kd_zoo.annealing:Annealing",
            params=AnnealingParams,
            objectives="one",
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_reporters() -> Iterable[ReporterInfo]:
    """Reporters. Entry point: `markdown = "kd_zoo.info"` in `stillhouse.reporters`.

    from stillhouse.core.plugin import ReporterInfo, hookimpl

    @hookimpl
    def stillhouse_reporters():
        yield ReporterInfo(
            name="markdown",
            summary="the closing table as Markdown",
            build="kd_zoo.markdown:Markdown",
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_losses() -> Iterable[LossInfo]:
    """Distillation losses. Entry point: `huber = "kd_zoo.info"` in `stillhouse.losses`.

    from stillhouse.core.plugin import LossInfo, hookimpl

    @hookimpl
    def stillhouse_losses():
        yield LossInfo(
            name="huber",
            summary="Huber distance of features through a linear map",
            build="kd_zoo.huber:Huber",
        )
    """
    raise NotImplementedError


@hookspec
def stillhouse_similarities() -> Iterable[SimilarityInfo]:
    """Layer similarities. Entry point: `svcca = "kd_zoo.info"` in `stillhouse.similarities`.

    from stillhouse.core.plugin import SimilarityInfo, hookimpl

    @hookimpl
    def stillhouse_similarities():
        yield SimilarityInfo(
            name="svcca",
            summary="mean canonical correlation of leading singular directions",
            build="kd_zoo.svcca:Svcca",
        )
    """
    raise NotImplementedError
