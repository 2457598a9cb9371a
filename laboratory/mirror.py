"""nginx between the machines and what they fetch: packages of the content store, signed files of the server."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from laboratory import host
from laboratory.site import Site, knock, until

_PORT = 8081
_LINE = re.compile(r"(?P<client>\S+) (?P<bytes>\d+) /(?P<tree>debian|trust)/")
_CONF = """
user root;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format told '$remote_addr $body_bytes_sent $request_uri';
    access_log {place}/access.log told;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen {address}:{port};
        location /debian/ {{ alias {store}/; }}
        location /trust/ {{ alias {trust}/; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A running mirror; what it serves needs neither the server nor its database."""

    packages: str
    """As apt names it, without the scheme."""
    trust: str
    log: Path

    def sent(self) -> Counter[str]:
        """Add up the bytes it has sent, by `debian` and `trust`."""
        total = Counter[str]()
        for found in map(_LINE.match, self.log.read_text().splitlines()):
            if found:
                total[found["tree"]] += int(found["bytes"])
        return total


def start_mirror(site: Site, trust: Path) -> Mirror:
    """Serve the store and the folder of signed files from the management namespace."""
    host.install(("nginx-light",), "nginx")
    place = site.directory / "mirror"
    place.mkdir()
    address, store = site.management.address, site.directory / "store"
    (place / "nginx.conf").write_text(
        _CONF.format(place=place, address=address, port=_PORT, store=store, trust=trust)
    )
    site.start("nginx", *site.management.enter, "nginx", "-c", place / "nginx.conf", "-g", "daemon off;")
    until("nginx answers", lambda: knock(site.management, address, _PORT))
    return Mirror(f"{address}:{_PORT}/debian", f"http://{address}:{_PORT}/trust", place / "access.log")
