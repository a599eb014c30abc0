"""Is listed as any other method, and fails for some candidates."""

from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param


class BrokenParams(Params):
    fails: bool = param(True, phase="apply", help="whether it fails")


@hookimpl
def stillhouse_methods():
    yield MethodInfo(
        name="broken-apply",
        summary="Fails when it is applied",
        build="stillhouse_broken_apply.broken:Broken",
        params=BrokenParams,
        changes="student",
        needs=frozenset({"student"}),
    )
