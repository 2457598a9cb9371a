"""Between two instants at which time alone may change a case, it does not change."""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.made import DAY, DEADLINE, ENFORCING, MINUTE, POLICY, TOLD, campaigns, instants, records
from forestall.domain.campaign import Campaign
from forestall.domain.case import case_of, moment_of
from forestall.domain.evidence import Status
from forestall.domain.record import Record
from forestall.simulate.changes import changes_at


def so_far(record: Record, now: datetime) -> Record:
    """Forget what a record says of the future; only an exemption ends there."""
    ahead = [name for name, value in record._asdict().items() if isinstance(value, datetime) and value > now]
    return record._replace(**dict.fromkeys(name for name in ahead if name != "exempt_until"))


@settings(max_examples=400)
@given(record=records, campaign=campaigns(), now=instants, share=st.floats(0, 1, exclude_max=True))
def test_no_change_is_missed(record: Record, campaign: Campaign, now: datetime, share: float):
    record, moment = so_far(record, now), moment_of(campaign, now, POLICY)
    soonest = changes_at(record, campaign, moment)
    later = now + ((soonest or now + 30 * DAY) - now) * share
    assert case_of(record, moment_of(campaign, later, POLICY)) == case_of(record, moment)


def test_a_change_is_named_where_there_is_one():
    warned = TOLD._replace(
        warning_at=DEADLINE, warned_at=DEADLINE, probe_status=Status.AFFECTED, probe_at=DEADLINE
    )
    moment = moment_of(ENFORCING, DEADLINE + MINUTE, POLICY)
    assert changes_at(warned, ENFORCING, moment) == DEADLINE + POLICY.recheck_after
