"""Sources: bytes in, advisories out; one file a source."""
