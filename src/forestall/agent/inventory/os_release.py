"""What the machine's own `/etc/os-release` says (os-release(5))."""

from pathlib import Path


def read_os_release(root: Path) -> dict[str, str]:
    """Read its fields; empty where there is none."""
    try:
        text = (root / "etc/os-release").read_text(errors="replace")
    except OSError:
        return {}
    fields = (line.partition("=") for line in text.splitlines())
    return {key: value.strip().strip("\"'") for key, _, value in fields}
