"""The site, built by Sphinx: `make docs`. Nothing is fetched, while building or while reading."""

project = "stillhouse"
author = "the stillhouse authors"
html_title = "stillhouse"

extensions = ["myst_parser"]
myst_heading_anchors = 3
nitpicky = True
smartquotes = False

html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
