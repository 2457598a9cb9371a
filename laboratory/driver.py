"""The product's own driver, called by hand from the management namespace: `python -m laboratory.driver DATA ...`.

`close MACHINE=ADDRESS,... ...` takes machines off, one after the other; `describe POINT PORT TEXT` writes a port's
description, as the network team does. Prints JSON.
"""

import json
import sys
from contextlib import closing
from pathlib import Path

from forestall.clock import stopwatch
from forestall.network.enforcement import Removed
from forestall.network.point import Plan, Refusal, Target
from forestall.network.switch import IF_ALIAS, Set, SwitchSight
from forestall.server.enforcement import Enforcement, enforcement_of
from forestall.server.settings import load_settings


def main() -> None:
    """Do one thing."""
    data, verb, *words = sys.argv[1:]
    with closing(enforcement_of(load_settings(Path(data)))) as enforcement:
        if verb == "close":
            told: object = [close(enforcement, *word.partition("=")[::2]) for word in words]
        else:
            told = describe(enforcement, *words)
    print(json.dumps(told))


def close(enforcement: Enforcement, device: str, addresses: str) -> dict[str, object]:
    """Take a machine off at every port where it is."""
    started = stopwatch()
    target = Target(device, "openssl-1", addresses=tuple(filter(None, addresses.split(","))))
    result = enforcement.run(enforcement.take_off(target, enforcement.protected))
    seconds = round(stopwatch() - started, 3)
    if isinstance(result, Removed):
        return {
            "closed": [f"{plan.point} {plan.place}" for plan in result.plans],
            "reason": "",
            "seconds": seconds,
        }
    return {"closed": [], "reason": result.reason, "detail": str(result), "seconds": seconds}


def describe(enforcement: Enforcement, point: str, port: str, text: str) -> dict[str, object]:
    """Write a description, and read it back."""
    (switch,) = [each for each in enforcement.points if each.name == point]
    sight = enforcement.run(switch.look(marks_only=True))
    if not isinstance(sight, SwitchSight):
        raise SystemExit(str(sight))
    (index,) = [each.index for each in sight.view.ports.values() if each.name == port]
    if text:
        step = Set(f"{IF_ALIAS}.{index}", text.encode(), text)
        trouble = enforcement.run(switch.send(Plan(point, port, closes=False, steps=(step,))))
        if isinstance(trouble, Refusal):
            raise SystemExit(str(trouble))
    return {"description": sight.view.ports[index].alias.decode(errors="replace")}


if __name__ == "__main__":
    main()
