"""Cannot be imported."""

raise RuntimeError("this package cannot be imported")
