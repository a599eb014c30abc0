"""Can be imported, and fails when it is asked for its methods."""

from stillhouse.core.plugin import hookimpl


@hookimpl
def stillhouse_methods():
    raise RuntimeError("this package cannot be registered")
