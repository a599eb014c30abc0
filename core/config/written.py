"""A resolved run file as YAML."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from stillhouse.core.config.records import PluginUse, SearchSection, TargetSection
from stillhouse.core.config.scalars import resolve
from stillhouse.core.config.settings import ExecuteSection, SearchSettings
from stillhouse.core.config.teacher import StudentView, engine_keys
from stillhouse.core.plugin.params import Params, declared

if TYPE_CHECKING:
    from stillhouse.core.config.runfile import RunFile


class _Dumper(yaml.SafeDumper):
    """Quotes every text that our reader, unlike PyYAML's, would take for a number or a word."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always: what is written is read again, and aliases are not read."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if _reads_as_itself(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _reads_as_itself(value: str) -> bool:
    try:
        return resolve(value) == value
    except ValueError:
        return False


def _list(dumper: yaml.SafeDumper, value: tuple[Any, ...]) -> yaml.SequenceNode:
    return dumper.represent_list(value)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(tuple, _list)


def dump(value: Any) -> str:
    """Plain data as block YAML that `parse_document` reads back unchanged."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def inline(value: Any) -> str:
    """Plain data on one line, for comments and examples."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def written(run: RunFile) -> str:
    """The whole run file, every default spelt out."""
    return dump(
        {
            "name": run.name,
            **({"plugins": run.plugins} if run.plugins else {}),
            "task": named(run.task),
            "teacher": _network(run.teacher.model, run.teacher.training),
            **_student(run),
            "recipe": [named(use) for use in run.recipe],
            "search": _search(run.search),
            "target": _target(run.target),
            "baselines": run.baselines,
            "train": asdict(run.train),
            **_execute(run),
            **({"sweep": run.sweep.plain()} if run.sweep else {}),
        }
    )


def _student(run: RunFile) -> dict[str, Any]:
    """The section of a student that is not what the teacher is, or sees other channels."""
    if (run.student, run.student_channels) == (run.teacher.model, run.teacher.training.channels):
        return {}
    return {"student": _network(run.student, StudentView(channels=run.student_channels))}


def _execute(run: RunFile) -> dict[str, Any]:
    """The section of a run that is not evaluated in one process alone."""
    inline = ExecuteSection(kind="inline")
    return {} if run.execute == inline else {"execute": asdict(run.execute)}


def _network(use: PluginUse, engine: Params) -> dict[str, Any]:
    """A section of a model's parameters and of the engine's keys that it leaves to it."""
    own = values(use)
    keys = engine_keys(type(engine), own)
    return {"model": use.name, **own, **{key.name: getattr(engine, key.name) for key in keys}}


def named(use: PluginUse) -> dict[str, Any]:
    return {use.name: values(use)}


def values(use: PluginUse) -> dict[str, Any]:
    return {**use.fixed, **{name: found.plain() for name, found in use.searched.items()}}


def _search(search: SearchSection) -> dict[str, Any]:
    rest = [setting.name for setting in declared(SearchSettings)]
    limits: dict[str, list[str]] = {}
    for limit in search.limits:
        limits.setdefault(limit.cost, []).append(limit.text)
    return {
        "maximize": list(search.maximize),
        "minimize": list(search.minimize),
        "limits": {name: some if len(some) > 1 else some[0] for name, some in limits.items()},
        "sampler": named(search.sampler),
        **{key: getattr(search, key) for key in rest},
    }


def _target(target: TargetSection) -> dict[str, Any]:
    return {
        "runtime": target.runtime.name,
        **values(target.runtime),
        "profile": target.profile,
        "repeats": target.repeats,
        "processes": target.processes,
        "predictor": target.predictor,
        "device": target.device,
    }
