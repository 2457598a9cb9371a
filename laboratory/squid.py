"""Squid of the main archive: its ICP answer tells strangers what is in its memory, until it is mended."""

import subprocess
from functools import partial

from laboratory.host import LabError
from laboratory.site import Machine, Site, knock, until

PORT = 3128
_CONFIG = """
http_port 3128
icp_port 3130
icp_access allow all
http_access deny all
access_log none
visible_hostname lab
shutdown_lifetime 0 seconds
"""
_COMMAND = ("/usr/sbin/squid", "-N", "-f", "/root/squid.conf")


def start_squid(site: Site, machine: Machine) -> subprocess.Popen[bytes]:
    """Start the daemon with what is installed now."""
    (machine.root / "root/squid.conf").write_text(_CONFIG)
    return site.start(f"squid-{machine.name}", *machine.port.enter, "chroot", machine.root, *_COMMAND)


def restart_squid(site: Site, machine: Machine, old: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """End the old process and start a new one."""
    old.terminate()
    old.wait(timeout=60)
    return start_squid(site, machine)


def await_squid(site: Site, machine: Machine) -> None:
    """Wait until it answers, seen from the server's place."""
    answers = partial(knock, site.management, machine.port.address, PORT)
    try:
        until(f"squid of {machine.name} answers", answers)
    except LabError as error:
        said = (site.directory / f"squid-{machine.name}.log").read_text(errors="replace")
        raise LabError(f"{error}; it says {said[-1000:]}") from None
