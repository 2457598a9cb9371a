"""The templates of all pages: hostile text is escaped, and a name that nobody gave is a mistake, not an empty place."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent / "templates"


def templates(**known: object) -> Environment:
    """Open the templates; `known` is what they all see besides what each is rendered with."""
    opened = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    opened.globals.update(known)
    return opened
