"""Which services may be started anew (A6): the list, and that every row of it bites."""

import pytest

from forestall.domain.units import KEPT, NO_SERVICE, Unit, kept


def unit(name: str, kind: str = "simple", kill_mode: str = "control-group", refuses: bool = False) -> Unit:
    return Unit(name, kind, kill_mode, refuses)


MAY = [
    pytest.param(unit("nginx.service", "forking", "mixed"), id="a web server"),
    pytest.param(unit("postgresql@15-main.service", "forking", "mixed"), id="a database stops in order"),
    pytest.param(unit("ssh.service", "notify", "process"), id="sshd, whose sessions stay"),
    pytest.param(unit("cron.service", "simple", "process"), id="cron, whose jobs stay"),
    pytest.param(unit("lydia.service"), id="a name that only begins like another"),
    pytest.param(unit("-dash.service"), id="a name like an option"),
]
MUST_NOT = [
    pytest.param(unit("gdm.service"), "the desktop", id="a display manager"),
    pytest.param(unit("display-manager.service"), "the desktop", id="the same by its alias"),
    pytest.param(unit("user@1000.service"), "login", id="a person's own manager"),
    pytest.param(unit("getty@tty1.service", "idle"), "login", id="a console"),
    pytest.param(unit("dbus.service"), "hang on it", id="the bus"),
    pytest.param(unit("dbus-broker.service"), "hang on it", id="the other bus"),
    pytest.param(unit("systemd-logind.service"), "hang on it", id="logind"),
    pytest.param(unit("NetworkManager.service", "dbus"), "network", id="what holds the network"),
    pytest.param(unit("openvpn-client@office.service"), "network", id="the tunnel that leads home"),
    pytest.param(unit("docker.service"), "containers", id="containers within"),
    pytest.param(unit("corosync.service"), "cluster", id="a cluster's heartbeat"),
    pytest.param(unit("packagekit.service"), "packages", id="what changes packages"),
    pytest.param(unit("forestall-agent.service"), "itself", id="the agent"),
    pytest.param(unit("ssh.service"), "end with it", id="sshd that would take its sessions along"),
    pytest.param(unit("sshd.service", kill_mode=""), "end with it", id="sshd of which nobody knows"),
    pytest.param(unit("backup.service", "oneshot"), "to its end", id="a job"),
    pytest.param(unit("auditd.service", refuses=True), "nobody to stop it", id="what must not be stopped"),
    pytest.param(unit("session-3.scope"), NO_SERVICE, id="a login's scope"),
    pytest.param(unit("x.socket"), NO_SERVICE, id="a socket"),
]


@pytest.mark.parametrize("each", MAY)
def test_most_services_may_be_started_anew(each: Unit) -> None:
    assert kept(each) == ""


@pytest.mark.parametrize(("each", "why"), MUST_NOT)
def test_some_may_not_each_for_its_reason(each: Unit, why: str) -> None:
    assert why in kept(each)


def test_every_row_of_the_list_bites_and_hides_none_below_it() -> None:
    for row in KEPT:
        for pattern in row.names.split():
            assert kept(unit(f"{pattern.replace('*', 'x')}.service")) == row.reason
