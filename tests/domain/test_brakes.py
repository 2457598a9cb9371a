"""The brakes (A7, A8): caps across passes, protected machines, waves, halts, and who is never held."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, DEADLINE, ENFORCING, HOUR, MINUTE, POLICY, START, TESTING, VOLUNTARY, taken
from forestall.domain.action import Action
from forestall.domain.brakes import (
    HARMLESS,
    Braked,
    Load,
    brake,
    drifted,
    force_at,
    halt_reason,
    position_of,
    set_hash,
)  # fmt: skip
from forestall.domain.campaign import Campaign, Step, halted, resumed
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.intent import Intent

NOW = DEADLINE + DAY
IMMINENT = taken(VOLUNTARY, Step.IMMINENT, START + DAY)
SITES = {SiteId(f"s{number}"): size for number, size in enumerate((4, 30, 300, 3_000))}
FLEET = sum(SITES.values())


def intent(action: Action, number: int, site: str = "s2") -> Intent:
    return Intent(ENFORCING.id, 1, DeviceId(f"d{number}"), action, 0, SiteId(site), "quarantine", "P6.4")


def removals(count: int, site: str = "s3") -> list[Intent]:
    return [intent(Action.QUARANTINE, number, site) for number in range(count)]


def installs(count: int) -> list[Intent]:
    return [intent(Action.INSTALL, number) for number in range(count)]


def load(**changes: object) -> Load:
    return replace(Load(fleet=FLEET, sites=SITES), **changes)


def why_held(braked: Braked) -> Counter[str]:
    return Counter(held.brake for held in braked.held)


class Hour:
    """Passes a minute apart; what was permitted is counted into the next pass's load, as the store does."""

    def __init__(self, start: datetime) -> None:
        self.removed: list[tuple[datetime, Intent]] = []
        self.forced: list[tuple[datetime, Intent]] = []
        self.now = start

    def load(self) -> Load:
        last_hour = [intent for at, intent in self.removed if self.now - at < HOUR]
        return load(
            removed_in_minute=sum(self.now - at < MINUTE for at, _ in self.removed),
            removed_in_hour=len(last_hour),
            removed_at_site=Counter(intent.site for intent in last_hour),
            forced_in_minute=sum(self.now - at < MINUTE for at, _ in self.forced),
        )

    def one_pass(self, wanted: Sequence[Intent], raised: int = 0) -> Braked:
        braked = brake(wanted, ENFORCING, self.load(), self.now, POLICY, raised=raised)
        for each in braked.permitted:
            kept = self.removed if each.action is Action.QUARANTINE else self.forced
            kept.append((self.now, each))
        return braked


def most_within(times: Sequence[datetime], period: timedelta) -> int:
    return max((sum(at <= other < at + period for other in times) for at in times), default=0)


WANTED = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(sorted(SITES))), max_size=4)


@given(st.lists(st.tuples(st.integers(0, 90), WANTED), max_size=25))
def test_removals_stay_below_every_cap_in_every_window(course: list[tuple[int, list[tuple[int, str]]]]):
    """A8: a minute, a site's hour, the fleet's hour; over any number of passes at any distance, also two a minute."""
    hour, number = Hour(NOW), 0
    for seconds, sites in course:
        hour.now += timedelta(seconds=seconds * 7)
        wanted = []
        for count, site in sites:
            wanted += [intent(Action.QUARANTINE, number + n, site) for n in range(count)]
            number += count
        hour.one_pass(wanted)
    times = [at for at, _ in hour.removed]
    assert most_within(times, MINUTE) <= 10
    assert most_within(times, HOUR) <= max(10, int(FLEET * 0.005))
    for site, size in SITES.items():
        assert most_within([at for at, each in hour.removed if each.site == site], HOUR) <= max(1, size // 10)


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 200)), max_size=20))
def test_forced_installs_stay_below_their_cap(course: list[tuple[int, int]]):
    """A8."""
    hour, number = Hour(NOW), 0
    for seconds, count in course:
        hour.now += timedelta(seconds=seconds)
        hour.one_pass([intent(Action.INSTALL, number + n) for n in range(count)])
        number += count
    assert most_within([at for at, _ in hour.forced], MINUTE) <= int(FLEET * 0.02)


@given(st.lists(st.sampled_from(Action), max_size=40), st.booleans())
def test_every_intent_is_either_permitted_or_held_with_a_reason(actions: list[Action], observing: bool):
    """A8: what a brake holds is listed as held, with the paragraph; nothing is lost, nothing is made up."""
    wanted = [intent(action, number) for number, action in enumerate(actions)]
    braked = brake(wanted, ENFORCING, load(), NOW, POLICY, observing="restored" * observing)
    assert sorted([*braked.permitted, *(held.intent for held in braked.held)], key=wanted.index) == wanted
    assert all(held.brake and held.paragraph in {"A8", "A12"} for held in braked.held)


@given(st.lists(st.sampled_from(sorted(HARMLESS)), min_size=1, max_size=40))
def test_releases_and_checks_are_never_held(actions: list[Action]):
    """P6.5, A12: not by a cap, not by a restored backup, not for a protected machine."""
    wanted = [intent(action, number) for number, action in enumerate(actions)]
    full = load(
        removed_in_minute=99, removed_in_hour=999, forced_in_minute=999,
        protected=frozenset(each.device for each in wanted),
    )  # fmt: skip
    assert brake(wanted, ENFORCING, full, NOW, POLICY, observing="restored").held == ()


@pytest.mark.parametrize("action", sorted(set(Action) - HARMLESS))
def test_a_restored_server_only_observes_and_releases(action: Action):
    """A12: until a person has replayed what happened since the backup."""
    braked = brake([intent(action, 1)], ENFORCING, load(), NOW, POLICY, observing="restored from a backup")
    assert braked.permitted == ()
    assert (braked.held[0].brake, braked.held[0].paragraph) == ("restored from a backup", "A12")


def test_protected_machines_are_held_also_where_the_brake_is_raised():
    """A8: no two people can have an uplink removed."""
    wanted = removals(3)
    protected = frozenset({wanted[1].device})
    braked = brake(wanted, ENFORCING, load(protected=protected), NOW, POLICY, raised=100)
    assert [held.intent for held in braked.held] == [wanted[1]]
    assert braked.held[0].brake == "protected"
    assert braked.spent == 0


def test_nobody_selected_is_nobody():
    """A8."""
    assert brake([], ENFORCING, load(), NOW, POLICY) == Braked((), ())


def test_an_uncounted_fleet_is_not_an_open_door():
    """A8: the count of machines failed and is 0: every wave waits in full, and the smallest caps hold."""
    uncounted = Load(fleet=0, sites={})
    first = brake(installs(500), ENFORCING, uncounted, DEADLINE, POLICY)
    assert len(first.permitted) <= 10
    canaries = {n for n in range(500) if force_at(ENFORCING, DeviceId(f"d{n}"), 0, POLICY) == DEADLINE}
    assert canaries == {
        n for n in range(500) if position_of(ENFORCING.remediation, DeviceId(f"d{n}")) < 0.001
    }
    assert len(brake(removals(50), ENFORCING, uncounted, NOW, POLICY).permitted) == 1


@pytest.mark.parametrize(
    ("full", "site", "brake_name"),
    [
        pytest.param({"removed_in_minute": 10}, "s3", "removals-a-minute", id="ten this minute"),
        pytest.param({"removed_in_hour": 16}, "s3", "removals-of-fleet", id="half a percent of the fleet this hour"),
        pytest.param({"removed_at_site": {SiteId("s2"): 30}}, "s2", "removals-at-site", id="a tenth of the site"),
        pytest.param({"removed_at_site": {SiteId("s0"): 1}}, "s0", "removals-at-site", id="one of a site of four"),
        pytest.param({"removed_at_site": {SiteId("x"): 1}}, "x", "removals-at-site", id="one at a site nobody knows"),
    ],
)  # fmt: skip
def test_above_a_cap_a_removal_waits(full: dict[str, object], site: str, brake_name: str):
    """A8."""
    braked = brake(removals(1, site), ENFORCING, load(**full), NOW, POLICY)
    assert why_held(braked) == {brake_name: 1}


@given(st.integers(0, 30), st.integers(1, 40), st.integers(1, 5))
def test_a_raised_allowance_is_used_up_exactly(raised: int, count: int, passes: int):
    """A9: what two people allowed beyond the caps is spent once, however many passes it takes."""
    full = load(removed_in_minute=10)
    left, permitted = raised, 0
    for _ in range(passes):
        braked = brake(removals(count), ENFORCING, full, NOW, POLICY, raised=left)
        assert braked.spent == len(braked.permitted) == min(left, count)
        left -= braked.spent
        permitted += len(braked.permitted)
    assert permitted == min(raised, count * passes)


def test_an_allowance_is_not_spent_below_the_caps():
    """A9."""
    braked = brake(removals(13), ENFORCING, load(), NOW, POLICY, raised=5)
    assert (len(braked.permitted), braked.spent) == (13, 3)


def opened(campaign: Campaign, now: datetime, fleet: int) -> int:
    return sum(force_at(campaign, DeviceId(f"d{n}"), fleet, POLICY) <= now for n in range(fleet))


@pytest.mark.parametrize(
    ("campaign", "bakes"),
    [
        pytest.param(ENFORCING, (60, 60, 120), id="at the deadline"),
        pytest.param(IMMINENT, (5, 5, 10), id="in an imminent threat: shortened, never skipped"),
    ],
)
def test_forced_waves_are_canaries_then_one_percent_then_ten_then_all(
    campaign: Campaign, bakes: tuple[int, ...]
):
    """A8, P8.2."""
    fleet, deadline = 20_000, campaign.deadline_at
    assert deadline is not None
    assert opened(campaign, deadline - timedelta(microseconds=1), fleet) == 0
    sizes = []
    for wait in (0, bakes[0], sum(bakes[:2]), sum(bakes)):
        at = deadline + wait * MINUTE
        before = 0 if wait == 0 else opened(campaign, at - timedelta(microseconds=1), fleet)
        assert before == (sizes[-1] if sizes else 0)
        sizes.append(opened(campaign, at, fleet))
    for size, share in zip(sizes, (0.001, 0.01, 0.1, 1.0), strict=True):
        assert size == pytest.approx(fleet * share, rel=0.4)
    assert sizes[-1] == fleet


def test_a_small_fleet_is_all_canaries():
    """A8: twenty at least."""
    assert opened(ENFORCING, DEADLINE, 20) == 20


def test_after_a_halt_the_waves_begin_anew():
    """A7, A8: what was not baked before the halt is not forced on everybody at once after it."""
    goes_on_at = DEADLINE + 9 * HOUR
    again = resumed(halted(ENFORCING, "failing", DEADLINE + HOUR), goes_on_at)
    assert opened(again, goes_on_at, 20_000) == opened(ENFORCING, DEADLINE, 20_000) < 40
    assert opened(again, goes_on_at + 4 * HOUR, 20_000) == 20_000
    early = resumed(halted(VOLUNTARY, "a question", START + HOUR), START + DAY)
    assert opened(early, DEADLINE, 20_000) == opened(ENFORCING, DEADLINE, 20_000)


def test_before_its_wave_a_machine_is_held():
    """A8."""
    late = [each for each in installs(400) if force_at(ENFORCING, each.device, FLEET, POLICY) > DEADLINE]
    assert len(late) > 300
    braked = brake(late, ENFORCING, load(), DEADLINE, POLICY)
    assert why_held(braked) == {"wave": len(late)}


def test_the_canaries_of_two_updates_are_not_the_same_machines():
    """A8: nobody is the guinea pig every time."""
    other = replace(ENFORCING, remediation="bookworm/curl/7.88.1-10+deb12u14")
    first, second = (
        {n for n in range(5_000) if force_at(campaign, DeviceId(f"d{n}"), 5_000, POLICY) == DEADLINE}
        for campaign in (ENFORCING, other)
    )
    assert first
    assert second
    assert len(first & second) < 3


def test_a_second_campaign_for_the_same_update_has_the_same_canaries():
    """A8: whoever starts campaigns cannot draw again until everybody was drawn."""
    again = replace(ENFORCING, id="c2")
    for number in range(500):
        device = DeviceId(f"d{number}")
        assert force_at(again, device, 5_000, POLICY) == force_at(ENFORCING, device, 5_000, POLICY)


def test_nothing_is_forced_of_a_campaign_without_a_deadline():
    """P5.4."""
    with pytest.raises(ValueError, match="has no deadline yet"):
        force_at(TESTING, DeviceId("d1"), 100, POLICY)


SILENT = "machines fell silent after the install"


@pytest.mark.parametrize(
    ("attempted", "failed", "silent", "why"),
    [
        pytest.param(0, 0, 0, "", id="nothing tried"),
        pytest.param(100, 2, 0, "", id="too few to tell"),
        pytest.param(150, 3, 0, "", id="exactly two percent failed"),
        pytest.param(149, 3, 0, "3 of 149 installs failed, above 2%", id="more than two percent failed"),
        pytest.param(3, 3, 0, "3 of 3 installs failed, above 2%", id="the first three failed"),
        pytest.param(300, 0, 3, "", id="exactly one percent silent"),
        pytest.param(299, 0, 3, f"3 of 299 {SILENT}, above 1%", id="more than one percent silent"),
        pytest.param(1_000, 30, 30, "30 of 1000 installs failed, above 2%", id="both"),
    ],
)  # fmt: skip
def test_a_campaign_halts_by_itself(attempted: int, failed: int, silent: int, why: str):
    """A7."""
    assert halt_reason(attempted, failed, silent, POLICY) == why


NAMES = st.lists(st.text(min_size=1, max_size=6).map(DeviceId), max_size=8)


@given(NAMES.flatmap(lambda names: st.tuples(st.just(names), st.permutations([*names, *names[:2]]))))
def test_a_set_has_one_name_whatever_its_order(orders: tuple[list[DeviceId], list[DeviceId]]):
    """A8: an approval is bound to exactly what was previewed."""
    assert set_hash(orders[0]) == set_hash(orders[1])


@given(NAMES, NAMES)
def test_two_sets_have_two_names(one: list[DeviceId], two: list[DeviceId]):
    """A8."""
    assert (set_hash(one) == set_hash(two)) == (set(one) == set(two))


@pytest.mark.parametrize(
    ("previewed", "selected", "void"),
    [
        pytest.param(100, range(100), False, id="the same"),
        pytest.param(100, range(95), False, id="five percent have gone"),
        pytest.param(100, range(94), True, id="six percent have gone"),
        pytest.param(100, range(3, 103), True, id="three went and three others came"),
        pytest.param(100, range(2, 102), False, id="two went and two others came"),
        pytest.param(0, range(1), True, id="nobody was previewed"),
        pytest.param(0, range(0), False, id="nobody then and now"),
    ],
)
def test_an_approval_is_void_when_the_set_has_changed_too_much(previewed: int, selected: range, void: bool):
    """A8."""
    before = {DeviceId(str(n)) for n in range(previewed)}
    assert drifted(before, {DeviceId(str(n)) for n in selected}, POLICY) is void
