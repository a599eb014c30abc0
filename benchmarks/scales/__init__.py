"""The figures of many workers, a module for each part: `report(given) -> Report`."""
