"""Which services of a machine an agent may start anew: most; never those that are listed here, with reasons (A6)."""

from fnmatch import fnmatchcase
from typing import NamedTuple


class Unit(NamedTuple):
    """A service as systemd describes it."""

    name: str
    kind: str
    """`Type` of systemd.service(5)."""
    kill_mode: str
    refuses: bool
    """`RefuseManualStop`: whoever wrote the unit wants nobody to stop it by hand."""


class Kept(NamedTuple):
    """Services that are not started anew, by the names of their units."""

    names: str
    """Patterns with a space between, without `.service`."""
    reason: str
    where: str = ""
    """`KillMode` with which they may be, since it leaves alone what they have started."""


# fmt: off
KEPT: tuple[Kept, ...] = (
    Kept("display-manager gdm* lightdm* sddm* xdm* lxdm* wdm* slim* nodm* greetd* ly xrdp* *vnc*",
         "the desktop: the session of the person would end with it"),
    Kept("user@* *getty@* *getty",
         "somebody's login"),
    Kept("dbus* systemd-* elogind*",
         "all others hang on it; its own package starts anew what may be"),
    Kept("NetworkManager* network* ModemManager* wpa_supplicant* iwd* connman* dhc* ifup* wicked* hostapd* openvpn* "
         "wg-* wireguard* strongswan* ipsec* charon* libreswan* tailscale* tinc* zerotier* frr* bird* quagga* "
         "keepalived* openvswitch* ovs-* firewalld*",
         "the machine's way to the network"),
    Kept("docker* containerd* crio* podman* lxc* lxd* incus* libvirt* virt* xen* qemu* kubelet*",
         "machines and containers that run within it"),
    Kept("pacemaker* corosync* etcd* patroni* drbd* ceph* gluster* zfs* multipath* iscsi* open-iscsi* nfs* rpc* lvm2* "
         "mdadm*",
         "a cluster, or the storage below others"),
    Kept("apt-* unattended-upgrades* packagekit* dnf* yum* snapd* fwupd*",
         "it may be changing packages"),
    Kept("forestall-agent*",
         "the agent starts itself anew"),
    Kept("ssh* cron* atd* anacron* fcron*",
         "what it has started would end with it", where="process"),
)
"""In order: the first row with the name decides. A name that is in no row may be started anew, databases too: stopping
in order is what they are made for, and the machine's restart would do the same to them, and to all else."""
# fmt: on

NO_SERVICE = "no service of this machine"
_REFUSES = "whoever wrote the unit wants nobody to stop it"
_ENDS = "it is run to its end, not kept running"


def kept(unit: Unit) -> str:
    """Say why a service is not started anew; nothing where it may be."""
    if not unit.name.endswith(".service"):
        return NO_SERVICE
    if unit.refuses:
        return _REFUSES
    if unit.kind == "oneshot":
        return _ENDS
    name = unit.name.removesuffix(".service")
    row = next((row for row in KEPT if any(fnmatchcase(name, each) for each in row.names.split())), None)
    return "" if row is None or row.where == unit.kill_mode != "" else row.reason
