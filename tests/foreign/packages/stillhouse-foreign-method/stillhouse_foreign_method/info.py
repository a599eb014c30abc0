"""Grouped feed-forward layers, described without importing torch."""

from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param


class GroupedParams(Params):
    groups: int = param(2, low=1, high=64, phase="apply", help="parts that do not mix")


@hookimpl
def stillhouse_methods():
    yield MethodInfo(
        name="grouped-feed-forward",
        summary="Several narrow layers side by side for the first of each feed-forward",
        build="stillhouse_foreign_method.grouped:GroupedFeedForward",
        params=GroupedParams,
        changes="form",
        needs=frozenset({"student", "float weights", "full precision"}),
        spends=frozenset({"plain layers"}),
    )
