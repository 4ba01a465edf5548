"""The HTML templates' environment, the same for every page."""

from __future__ import annotations

import jinja2


def templates() -> jinja2.Environment:
    """Text is escaped, and a name that a template uses but is not given is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("quantune.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
