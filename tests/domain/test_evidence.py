"""Status from evidence: every combination of witnesses, words, freshness and order, against A2, A6 and A18 said anew.

`expected` below is written from the paragraphs, by other means than the program: it looks up each side's last fresh
word and then reads a table of pairs.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.evidence import (
    CLEAN,
    NOTHING_KNOWN,
    Evidence,
    Limits,
    Side,
    Status,
    Witness,
    disputed_since,
    judge,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(own=timedelta(days=3), outside=timedelta(days=1))
STALE = timedelta(days=4)
FIXED, AFFECTED, PENDING = Status.FIXED, Status.AFFECTED, Status.PENDING_RESTART
NOT_AFFECTED, UNKNOWN = Status.NOT_AFFECTED, Status.UNKNOWN

CONFLICT = "conflict"
SAID_THEN_SEEN: dict[tuple[Status, Status], Status | str] = {
    # The machine said so first, then the probe saw:
    (FIXED, FIXED): FIXED,
    (FIXED, NOT_AFFECTED): NOT_AFFECTED,
    (FIXED, AFFECTED): CONFLICT,
    (NOT_AFFECTED, FIXED): FIXED,
    (NOT_AFFECTED, NOT_AFFECTED): NOT_AFFECTED,
    (NOT_AFFECTED, AFFECTED): CONFLICT,
    (AFFECTED, FIXED): FIXED,
    (AFFECTED, NOT_AFFECTED): NOT_AFFECTED,
    (AFFECTED, AFFECTED): AFFECTED,
    (PENDING, FIXED): FIXED,
    (PENDING, NOT_AFFECTED): NOT_AFFECTED,
    (PENDING, AFFECTED): PENDING,  # it is known why
}
SEEN_THEN_SAID: dict[tuple[Status, Status], Status | str] = {
    # The probe saw first, then the machine said:
    (FIXED, FIXED): FIXED,
    (FIXED, NOT_AFFECTED): NOT_AFFECTED,
    (FIXED, AFFECTED): CONFLICT,
    (FIXED, PENDING): CONFLICT,
    (NOT_AFFECTED, FIXED): FIXED,
    (NOT_AFFECTED, NOT_AFFECTED): NOT_AFFECTED,
    (NOT_AFFECTED, AFFECTED): CONFLICT,
    (NOT_AFFECTED, PENDING): CONFLICT,
    (AFFECTED, FIXED): FIXED,
    (AFFECTED, NOT_AFFECTED): NOT_AFFECTED,
    (AFFECTED, AFFECTED): AFFECTED,
    (AFFECTED, PENDING): PENDING,
}

Word = tuple[Witness, Status, timedelta]
"""Who, what, how long ago."""


def expected(words: list[Word]) -> Status | str:
    fresh = [
        word
        for word in words
        if word[1] is not UNKNOWN and word[2] <= (LIMITS.outside if word[0] is Witness.PROBE else LIMITS.own)
    ]
    own = sorted((w for w in fresh if w[0] is not Witness.PROBE), key=lambda w: w[2])
    seen = next((w for w in fresh if w[0] is Witness.PROBE), None)
    said = own[0] if own else None
    if said is not None and said[0] is Witness.INVENTORY and said[1] in CLEAN:
        # A6: what runs is the agent's and the door's to say, not the package list's.
        running = [w for w in own if w[0] is not Witness.INVENTORY]
        if running and running[0][1] is PENDING:
            said = running[0]
    if said is None or seen is None:
        word = said or seen
        return word[1] if word else UNKNOWN
    if said[2] > seen[2]:
        return SAID_THEN_SEEN[said[1], seen[1]]
    return SEEN_THEN_SAID[seen[1], said[1]]


OWN = (FIXED, NOT_AFFECTED, AFFECTED, PENDING, UNKNOWN, None)
SEEN = (FIXED, NOT_AFFECTED, AFFECTED, UNKNOWN, None)
WITNESSES = (Witness.AGENT, Witness.INVENTORY, Witness.VPN, Witness.PROBE)


def combinations() -> Iterator[list[Word]]:
    """6 x 6 x 6 x 5 words of four witnesses, each fresh or stale, in every order of time."""
    for statuses in product(OWN, OWN, OWN, SEEN):
        speaking = [(w, s) for w, s in zip(WITNESSES, statuses, strict=True) if s is not None]
        for stale in product((timedelta(), STALE), repeat=len(speaking)):
            for order in permutations(range(len(speaking))):
                yield [
                    (witness, status, timedelta(hours=1 + place) + old)
                    for (witness, status), old, place in zip(speaking, stale, order, strict=True)
                ]


def evidence(words: list[Word]) -> list[Evidence]:
    return [Evidence(witness, status, NOW - ago) for witness, status, ago in words]


def test_the_truth_table_of_all_combinations():
    """A2, A6, A18; two hundred thousand combinations."""
    wrong, seen = [], 0
    for words in combinations():
        verdict = judge(evidence(words), NOW, LIMITS)
        got = CONFLICT if verdict.conflict else verdict.status
        seen += 1
        if got != expected(words):
            wrong.append((words, got, expected(words)))
    assert wrong[:3] == []
    assert seen > 200_000


words = st.lists(
    st.builds(
        Evidence,
        st.sampled_from(Witness),
        st.sampled_from(Status),
        st.integers(-10, 6 * 24 * 60).map(lambda ago: NOW - timedelta(minutes=ago)),
    ),
    max_size=6,
)


@given(words)
def test_a_contradiction_is_unknown_and_never_clean(said: list[Evidence]):
    """A18."""
    verdict = judge(said, NOW, LIMITS)
    if verdict.conflict:
        assert verdict.status is UNKNOWN


@given(words)
def test_what_is_stale_or_from_the_future_is_as_if_nobody_had_said_it(said: list[Evidence]):
    """A2."""
    fresh = [
        each
        for each in said
        if -LIMITS.ahead
        <= NOW - each.observed_at
        <= (LIMITS.outside if each.witness is Witness.PROBE else LIMITS.own)
    ]
    assert judge(said, NOW, LIMITS) == judge(fresh, NOW, LIMITS)


@given(words)
def test_who_could_not_tell_says_nothing(said: list[Evidence]):
    """A2: a witness without a word neither clears nor accuses."""
    assert judge(said, NOW, LIMITS) == judge([e for e in said if e.status is not UNKNOWN], NOW, LIMITS)


@given(words)
def test_the_order_of_arrival_does_not_matter(said: list[Evidence]):
    assert judge(said, NOW, LIMITS) == judge(list(reversed(said)), NOW, LIMITS)


@given(words)
def test_a_status_is_always_somebodys_fresh_word(said: list[Evidence]):
    """A2: nothing is made up: a status other than unknown was said, and `as_of` is when."""
    verdict = judge(said, NOW, LIMITS)
    if verdict.status is not UNKNOWN:
        assert verdict.status in {e.status for e in said}
        assert verdict.as_of in {e.observed_at for e in said}


@given(words, st.sampled_from([AFFECTED, PENDING]))
def test_a_newest_word_of_vulnerable_is_never_read_as_clean(said: list[Evidence], status: Status):
    """A2: agent, inventory or probe: whoever speaks last and says vulnerable is heard."""
    for witness in Witness:
        last = Evidence(witness, status, NOW + timedelta(minutes=1))
        earlier = [e for e in said if e.observed_at < last.observed_at]
        assert judge([*earlier, last], NOW, LIMITS).status not in CLEAN


@given(words)
def test_a_package_list_alone_never_ends_a_pending_restart(said: list[Evidence]):
    """A6."""
    pending = Evidence(Witness.AGENT, PENDING, NOW - timedelta(hours=2))
    lists = [e for e in said if e.witness is Witness.INVENTORY]
    assert judge([pending, *lists], NOW, LIMITS).status not in CLEAN


@pytest.mark.parametrize("status", [FIXED, NOT_AFFECTED, AFFECTED])
@pytest.mark.parametrize("witness", list(Witness))
def test_one_fresh_word_is_enough(witness: Witness, status: Status):
    verdict = judge([Evidence(witness, status, NOW)], NOW, LIMITS)
    assert (verdict.status, verdict.as_of, verdict.conflict) == (status, NOW, False)


@pytest.mark.parametrize(
    ("witness", "limit"),
    [(Witness.AGENT, LIMITS.own), (Witness.VPN, LIMITS.own), (Witness.PROBE, LIMITS.outside)],
)
def test_a_word_counts_to_the_end_of_its_time_and_no_longer(witness: Witness, limit: timedelta):
    """A2."""
    word = [Evidence(witness, FIXED, NOW)]
    assert judge(word, NOW + limit, LIMITS).status is FIXED
    assert judge(word, NOW + limit + timedelta(microseconds=1), LIMITS) == NOTHING_KNOWN


def test_a_word_from_a_clock_that_was_wrong_does_not_count():
    """A2: written ten years ahead, and the clock was set right since."""
    word = [Evidence(Witness.AGENT, FIXED, NOW + timedelta(days=3_650))]
    assert judge(word, NOW, LIMITS) == NOTHING_KNOWN


def test_of_two_words_at_one_instant_the_worse_counts():
    both = [Evidence(Witness.AGENT, FIXED, NOW), Evidence(Witness.INVENTORY, AFFECTED, NOW)]
    assert judge(both, NOW, LIMITS).status is AFFECTED


def test_probe_and_agent_that_differ_at_one_instant_contradict_each_other():
    """A18."""
    for said, seen in ((FIXED, AFFECTED), (AFFECTED, FIXED)):
        verdict = judge([Evidence(Witness.AGENT, said, NOW), Evidence(Witness.PROBE, seen, NOW)], NOW, LIMITS)
        assert verdict.conflict


@given(words, st.sampled_from(Side))
def test_belief_decides_a_contradiction_by_a_fresh_word_of_that_side_and_nothing_else(
    said: list[Evidence], side: Side
):
    """A18: where the sides agree, believing one of them changes nothing."""
    alone, believed = judge(said, NOW, LIMITS), judge(said, NOW, LIMITS, believed=side)
    assert not believed.conflict
    if not alone.conflict:
        assert believed == alone
    else:
        outside = side is Side.PROBE
        theirs = [(e.status, e.observed_at) for e in said if (e.witness is Witness.PROBE) is outside]
        assert (believed.status, believed.as_of) in theirs


# Who speaks, what it says; the disagreement is open afterwards.
STORIES: dict[str, tuple[tuple[Witness, Status, bool], ...]] = {
    "an agent that repeats “fixed” is not mended by that": (
        (Witness.AGENT, FIXED, False),
        (Witness.PROBE, AFFECTED, True),
        (Witness.AGENT, FIXED, True),
        (Witness.AGENT, FIXED, True),
        (Witness.PROBE, AFFECTED, True),
    ),
    "the probe comes to see it fixed": (
        (Witness.AGENT, FIXED, False),
        (Witness.PROBE, AFFECTED, True),
        (Witness.PROBE, FIXED, False),
        (Witness.AGENT, FIXED, False),
    ),
    "the agent admits it, mends it, and is right": (
        (Witness.AGENT, FIXED, False),
        (Witness.PROBE, AFFECTED, True),
        (Witness.AGENT, AFFECTED, False),
        (Witness.AGENT, FIXED, False),
        (Witness.PROBE, FIXED, False),
    ),
    "affected and then fixed is no contradiction": (
        (Witness.PROBE, AFFECTED, False),
        (Witness.AGENT, AFFECTED, False),
        (Witness.AGENT, FIXED, False),
    ),
    "the reverse: the probe sees nothing and the agent says affected": (
        (Witness.PROBE, FIXED, False),
        (Witness.AGENT, AFFECTED, True),
        (Witness.PROBE, FIXED, True),
        (Witness.AGENT, FIXED, False),
    ),
    "the inventory joins the agent, who has said so all along": (
        (Witness.AGENT, FIXED, False),
        (Witness.PROBE, AFFECTED, True),
        (Witness.INVENTORY, FIXED, True),
    ),
    "the door speaks for the machine, too": (
        (Witness.VPN, FIXED, False),
        (Witness.PROBE, AFFECTED, True),
        (Witness.VPN, AFFECTED, False),
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_a_disagreement_lasts_until_one_side_says_something_else(
    story: tuple[tuple[Witness, Status, bool], ...],
):
    """A18."""
    said: dict[Witness, Evidence] = {}
    since: datetime | None = None
    for minute, (witness, status, disputed) in enumerate(story):
        at = NOW + timedelta(minutes=minute)
        before = list(said.values())
        said[witness] = Evidence(witness, status, at)
        was, since = since, disputed_since(before, said.values(), at, since)
        assert (since is not None) is disputed, minute
        assert since in {None, at, was}
        assert judge(said.values(), at, LIMITS, disputed=disputed).conflict is disputed


@given(words)
def test_an_open_disagreement_about_which_the_sides_agree_is_none(said: list[Evidence]):
    """A18: where only one side is fresh, or both say the same, nothing contradicts anything."""
    verdict = judge(said, NOW, LIMITS, disputed=True)
    if verdict.conflict:
        limits = {True: LIMITS.outside, False: LIMITS.own}
        told = [(e.witness is Witness.PROBE, NOW - e.observed_at) for e in said if e.status is not UNKNOWN]
        sides = {outside for outside, age in told if age <= limits[outside]}
        assert sides == {True, False}
        assert verdict.status is UNKNOWN
