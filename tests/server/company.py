"""A small company for the tests of the server: one advisory, machines that enrol, a clock one can turn."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from certificates import REQUEST, authority
from domain.made import DAY, HOUR, MINUTE, START
from forestall import protocol
from forestall.domain.advisory import Advisory, AdvisoryId, Catalogue, Product, ProductStatus, VulnerabilityId
from forestall.domain.device import DeviceId
from forestall.domain.metrics import Standing
from forestall.domain.policy import Policy
from forestall.domain.remediation import RemediationId
from forestall.server import check_ins, operators, overview
from forestall.server.agents import AgentDesk
from forestall.server.passes import run_pass
from forestall.server.wiring import Installation
from forestall.store import advisories, lease
from forestall.store.database import Database
from forestall.store.ratings import ThreeEs

OLD, FIXED = "3.0.15-1~deb12u1", "3.0.22-1~deb12u2"
OPENSSL = RemediationId(f"bookworm/openssl/{FIXED}")


def advisory(name: str, source: str, fixed: str, *cves: str, at: datetime = START - DAY) -> Advisory:
    return Advisory(
        AdvisoryId(name), f"{source} update", at, tuple(map(VulnerabilityId, cves)),
        (Product("bookworm", source, ProductStatus.FIXED, fixed),), "debian-advisories",
    )  # fmt: skip


def report(
    version: str = OLD, source: str = "openssl", release: str = "bookworm"
) -> protocol.InventoryReport:
    return protocol.InventoryReport(
        release, [protocol.PackageEntry(f"lib{source}", version, "amd64", "installed", source, version)]
    )


def answered(
    database: Database, policy: Policy, device: DeviceId, message: protocol.CheckIn, now: datetime
) -> protocol.CheckInAnswer:
    """What one machine that is known to be itself is answered."""
    with database.begin() as con:
        return check_ins.answer(con, {device: message}, now, policy, published=0)[device]


@dataclass
class Company:
    """Everything goes through the same functions as in the product."""

    database: Database
    now: datetime = START
    policy: Policy = field(default_factory=lambda: replace(Policy(), voluntary_period=timedelta(days=8)))

    def __post_init__(self) -> None:
        self.desk = AgentDesk(self.database, self.policy, authority())
        self.installation = Installation(None, self.policy, self.database, lambda: None)  # type: ignore[arg-type]  # no files
        self.publish(Catalogue((advisory("DSA-1-1", "openssl", FIXED, "CVE-2026-0001"),)))

    def publish(self, catalogue: Catalogue, feed: str = "debian-advisories (test)") -> None:
        with self.database.begin() as con:
            advisories.save(con, feed, catalogue)

    def machine(self, version: str = OLD, name: str = "host") -> DeviceId:
        """Enrol a machine and take its inventory."""
        token = operators.make_token(self.database, "tokyo", 1, HOUR, "aiko", self.now)
        answer = self.desk.enrol(protocol.EnrolRequest(token, name, "0.1", REQUEST), self.now)
        assert isinstance(answer, protocol.EnrolAnswer)
        device = DeviceId(answer.device)
        self.desk.take_inventory(device, report(version), self.now)
        return device

    def campaign(self, period: timedelta = 8 * DAY, *, testing: bool = False) -> str:
        operators.rate_update(
            self.database, "DSA-1-1", ThreeEs(expansion=True), None, "a worm", "aiko", self.now
        )
        return operators.start_campaign(
            self.installation, OPENSSL, period, "aiko", self.now, testing=testing
        ).id

    def check_in(
        self, device: DeviceId, campaign: str = "", status: str = "", **said: object
    ) -> list[protocol.OrderHint]:
        states = [protocol.OrderState(campaign, 1, status, **said)] if campaign else []  # type: ignore[arg-type]
        message = protocol.CheckIn("0.1", "boot", 1, "0" * 64, states)
        return answered(self.database, self.policy, device, message, self.now).hints

    def turn(self, period: timedelta = MINUTE, observing: str = "") -> dict[str, int]:
        """Let time pass, then decide; what was ordered, by action."""
        self.now += period
        with self.database.begin() as con:
            held = lease.acquire(con, "decide", "clockwork", self.now, MINUTE)
        assert held is not None
        passed = run_pass(self.database, held, self.now, self.policy, observing=observing)
        return {str(action): count for each in passed for action, count in each.ordered.items()}

    def standing(self, campaign: str) -> Standing:
        return overview.campaign_row(self.database, campaign, self.now, self.policy).standing
