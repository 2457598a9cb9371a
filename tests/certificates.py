"""An authority, and machines with certificates of it, for the tests of several layers."""

import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path

from forestall.clock import utc_now
from forestall.domain.device import DeviceId
from forestall.domain.identity import CERTIFICATE_LIFE, Certificate, new_serial
from forestall.trust.device_ca import DeviceCa, open_ca
from forestall.trust.device_key import new_key, request_for

REQUEST = request_for(new_key())


@cache
def authority() -> DeviceCa:
    with tempfile.TemporaryDirectory() as folder:
        return open_ca(Path(folder) / "ca", utc_now())


def certificate(device: str, now: datetime, serial: int = 0) -> Certificate:
    """What a certificate says that is issued now."""
    begins_at = now.replace(microsecond=0)
    return Certificate(
        DeviceId(device), serial or new_serial(0, 7, now), begins_at, begins_at + CERTIFICATE_LIFE
    )
