"""The reference: pages about hooks, plugins and commands, written from what these say themselves.

    python -m stillhouse.core.reference docs tests

rewrites `docs/reference/`; a test compares what lies there with what would be written. Every page
is a function of the catalogue, the command line's parser and, for what covers a hook, the names of
pages and tests. Imports no torch and no plugin's code.
"""

from stillhouse.core.reference.pages import pages as pages
