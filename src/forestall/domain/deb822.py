"""The stanzas in which Debian writes packages down (deb822(5)): `dpkg/status` and `Packages` alike."""

from collections.abc import Iterator, Mapping


def stanzas(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each stanza with the number of its first line; of a field of many lines only the first is kept."""
    first, fields = 1, dict[str, str]()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            if fields:
                yield first, fields
            first, fields = number + 1, {}
        elif line[0] not in " \t#":
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    if fields:
        yield first, fields


def source_of(stanza: Mapping[str, str]) -> tuple[str, str]:
    """Name the source of a binary package and the source's version (Debian policy 5.6.1)."""
    name, _, version = stanza.get("Source", stanza["Package"]).partition(" ")
    return name, version.strip(" ()") or stanza.get("Version", "")
