"""Somebody in the company's directory."""

from typing import NamedTuple


class Person(NamedTuple):
    """One account: the name it logs on with, its mail address, the language of its mails."""

    user: str
    mail: str
    language: str = "en"
