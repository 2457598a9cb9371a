"""The proposal: history as the yardstick, the table's checks, and what is said when facts are missing (P2.1-P2.4)."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.advisory import AdvisoryId, Exploitation, Vulnerability, VulnerabilityId
from forestall.domain.cvss import Reach, read_vector
from forestall.domain.errors import InputError
from forestall.domain.level import LEVELS, Effect, Level, check_table, severity
from forestall.domain.rating import propose, worst_first
from forestall.domain.remediation import Remediation

NAME = VulnerabilityId("CVE-2026-0001")
DAY = datetime(2026, 8, 7, tzinfo=UTC)
LISTED = {"exploitation": Exploitation.ACTIVE, "exploited_since": date(2026, 8, 7)}
V2_PARTIAL = "AV:N/AC:L/Au:N/C:P/I:P/A:P"
V3_WORM = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def update(*names: VulnerabilityId, advisory: str = "DSA-1-1", version: str = "3.0.2") -> Remediation:
    return Remediation("bookworm", "openssl", version, (AdvisoryId(advisory),), names, DAY)


def proposed(**facts: object):
    return propose(update(NAME), {NAME: Vulnerability(NAME, **facts)})


def v3(access: str, impact: str) -> str:
    """Write a CVSS 3.1 vector from the letters of AV, AC, PR, UI and of C, I, A."""
    names = ("AV", "AC", "PR", "UI", "C", "I", "A")
    return "CVSS:3.1/" + "/".join(
        f"{name}:{letter}" for name, letter in zip(names, access + impact, strict=True)
    )


TOTAL, PARTIAL = {"technical_impact_total": True}, {"technical_impact_total": False}
WORM, NO_WORM = {"automatable": True}, {"automatable": False}
ACTIVE, POC = {"exploitation": Exploitation.ACTIVE}, {"exploitation": Exploitation.POC}

HISTORY = [
    pytest.param("critical", V2_PARTIAL, {"epss": 0.90567}, id="Blaster (P2.2)"),
    pytest.param("warning", V2_PARTIAL, {"epss": 0.42104}, id="MS03-038, the same vector (P2.3)"),
    pytest.param("critical", V2_PARTIAL, {"epss": 0.86685}, id="SQL Slammer"),
    pytest.param("critical", "AV:N/AC:L/Au:N/C:C/I:C/A:C", {"epss": 0.90865}, id="Code Red"),
    pytest.param("critical", "AV:N/AC:L/Au:N/C:P/I:N/A:N", LISTED, id="Heartbleed, in KEV"),
    pytest.param("critical", "", LISTED, id="Dirty COW: in KEV, nothing else known"),
    pytest.param("critical", v3("NHNN", "HHH"), LISTED, id="EternalBlue"),
    pytest.param("critical", v3("NLNN", "HHH"), {}, id="BlueKeep on its first day"),
    pytest.param("critical", v3("NLNN", "HHN"), {}, id="ProxyLogon"),
    pytest.param("warning", v3("LLNR", "HHH"), {}, id="PrintNightmare on its first day"),
    pytest.param("critical", v3("NLLN", "HHH"), ACTIVE | NO_WORM | TOTAL, id="PrintNightmare later"),
    pytest.param("critical", v3("NLNN", "HHH"), ACTIVE | WORM | TOTAL, id="Log4Shell"),
    pytest.param("critical", v3("LLNR", "HHH"), LISTED, id="Follina"),
    pytest.param("critical", v3("NLNN", "HHH"), {"epss": 0.87479} | WORM | TOTAL, id="xz backdoor"),
    pytest.param("critical", v3("NHNN", "HHH"), {"epss": 0.25871} | POC | NO_WORM | TOTAL, id="regreSSHion"),
    pytest.param(
        "warning", v3("NLNN", "NLN"), {"epss": 0.87039} | POC | NO_WORM | PARTIAL, id="CUPS, the hyped one"
    ),
    pytest.param("warning", "", {}, id="a denial of service of which nothing is known"),
]


@pytest.mark.parametrize(("level", "vector", "facts"), HISTORY)
def test_the_proposal_agrees_with_history(level: str, vector: str, facts: dict[str, object]):
    assert proposed(cvss_vector=vector, **facts).level == level


@pytest.mark.parametrize(
    ("facts", "escalation", "expansion", "exposure"),
    [
        pytest.param({"cvss_vector": V3_WORM}, True, True, True, id="everything lost, open: all three"),
        pytest.param(
            {"cvss_vector": "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H"}, True, False, True, id="local root"
        ),
        pytest.param(
            {"cvss_vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}, False, False, True, id="pure leak"
        ),
        pytest.param(
            {"cvss_vector": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"},
            False, False, False, id="only service stops",
        ),
        pytest.param({"cvss_vector": V3_WORM, "automatable": False}, True, False, True, id="a label beats the vector"),
        pytest.param({"automatable": True, "technical_impact_total": True}, True, True, False, id="labels alone"),
        pytest.param({"weaknesses": ("CWE-78",)}, True, False, False, id="a weakness that gives control"),
        pytest.param({"weaknesses": ("CWE-200",)}, False, False, True, id="a weakness that leaks"),
        pytest.param({}, False, False, False, id="nothing known"),
    ],
)  # fmt: skip
def test_the_three_es(facts: dict[str, object], escalation: bool, expansion: bool, exposure: bool):
    """P2.2."""
    found = proposed(**facts)
    assert (found.escalation, found.expansion, found.exposure) == (escalation, expansion, exposure)


def test_reasons_name_their_source():
    """P2.1."""
    reasons = proposed(cvss_vector=V3_WORM, epss=0.94, ransomware=True, **LISTED).reasons
    assert reasons[:3] == (
        f"CISA lists {NAME} as exploited since 2026-08-07",
        f"CISA saw {NAME} used for ransomware",
        f"EPSS gives {NAME} 94% for exploitation within 30 days",
    )
    assert (
        f"CVSS of {NAME} has AV:N/AC:L/PR:N/UI:N: reachable over the network without an account"
        in " ".join(reasons)
    )


def test_missing_facts_are_said():
    reasons = proposed().reasons
    assert f"no CVSS vector known for {NAME}" in reasons
    assert f"no EPSS known for {NAME}" in reasons


def test_the_worst_vulnerability_gives_the_level():
    bad, mild = VulnerabilityId("CVE-2026-0002"), VulnerabilityId("CVE-2026-0003")
    facts = {
        bad: Vulnerability(bad, cvss_vector=V3_WORM, cvss_score=9.8),
        mild: Vulnerability(mild, cvss_vector="CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:L", cvss_score=3.3),
    }
    found = propose(update(mild, bad), facts)
    assert (found.level, found.worst, found.cvss) == (Level.CRITICAL, bad, 9.8)


def test_a_rejected_vulnerability_does_not_count_and_is_said():
    """P1.2."""
    found = proposed(cvss_vector=V3_WORM, rejected=True)
    assert found.level is Level.WARNING
    assert found.worst is None
    assert any("rejected" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("advisory", "level"),
    [
        pytest.param(
            "upload:bookworm:openssl:3.0.2", Level.CAUTION, id="point release without CVE: a bug (P2.4)"
        ),
        pytest.param(
            "upload:bookworm-security:openssl:3.0.2", Level.WARNING, id="security upload without CVE"
        ),
        pytest.param("DSA-1-2", Level.WARNING, id="advisory without CVE"),
    ],
)
def test_updates_without_a_vulnerability(advisory: str, level: Level):
    assert propose(update(advisory=advisory), {}).level is level


def test_a_point_release_with_a_vulnerability_is_rated_by_it():
    found = propose(update(NAME, advisory="upload:bookworm:openssl:3.0.2"), {})
    assert found.level is Level.WARNING


def test_worst_first_puts_exploited_before_level_before_epss_before_cvss_before_number():
    names = [VulnerabilityId(f"CVE-2026-000{n}") for n in range(1, 8)]
    exploited, wormable, likely, severe, many, other, plain = names
    local = "CVSS:3.1/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:L/A:L"
    facts = {
        exploited: Vulnerability(exploited, cvss_vector=local, **LISTED),
        wormable: Vulnerability(wormable, cvss_vector=V3_WORM),
        likely: Vulnerability(likely, epss=0.4),
        severe: Vulnerability(severe, cvss_score=9.0),
    }
    expected = [(exploited,), (wormable,), (likely,), (severe,), (many, other), (plain,)]
    updates = [update(*group, version=str(number)) for number, group in enumerate(reversed(expected))]
    assert [proposal.remediation.vulnerabilities for proposal in worst_first(updates, facts)] == expected


def test_a_table_with_a_gap_is_refused_and_the_row_named():
    table = {row: levels for row, levels in LEVELS.items() if row != (Effect.EXPOSURE, Exploitation.POC)}
    with pytest.raises(InputError, match=r"\(exposure, poc\)"):
        check_table(table)
    with pytest.raises(InputError, match=r"\(none, none\)"):
        check_table({**LEVELS, (Effect.NONE, Exploitation.NONE): (Level.CAUTION,)})


def test_a_table_that_is_milder_for_worse_inputs_is_refused_and_the_row_named():
    table = {
        **LEVELS,
        (Effect.EXPANSION, Exploitation.ACTIVE): (Level.CAUTION, Level.CRITICAL, Level.CRITICAL),
    }
    with pytest.raises(InputError, match=r"\(expansion, active, open\) is worse than"):
        check_table(table)


scores = st.none() | st.floats(0, 1)
flags = st.none() | st.booleans()
vulnerabilities = st.builds(
    Vulnerability,
    st.just(NAME),
    exploitation=st.sampled_from(Exploitation),
    epss=scores,
    cvss_vector=st.sampled_from(
        ["", "nonsense", V2_PARTIAL, V3_WORM, "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/C:H/I:N/A:N"]
    ),
    automatable=flags,
    technical_impact_total=flags,
)


@given(vulnerabilities)
def test_worse_facts_never_give_a_milder_level(vulnerability: Vulnerability):
    before = propose(update(NAME), {NAME: vulnerability})
    for worse in (
        replace(vulnerability, exploitation=Exploitation.ACTIVE),
        replace(vulnerability, epss=1.0),
        replace(vulnerability, technical_impact_total=True),
    ):
        assert severity(propose(update(NAME), {NAME: worse}).level) >= severity(before.level)


@given(vulnerabilities)
def test_missing_facts_never_give_less_than_a_warning(vulnerability: Vulnerability):
    unscored = replace(vulnerability, cvss_vector="")
    found = propose(update(NAME), {NAME: unscored})
    assert severity(found.level) >= severity(Level.WARNING)
    assert any("no CVSS vector known" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("vector", "reach"),
    [
        pytest.param(V3_WORM, Reach.OPEN, id="version 3 without a hurdle"),
        pytest.param("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", Reach.GUARDED, id="a person must help"),
        pytest.param("CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Reach.LOCAL, id="beside the machine"),
        pytest.param(
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Reach.OPEN, id="version 4"
        ),
        pytest.param(
            "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Reach.GUARDED, id="luck"
        ),
        pytest.param(V2_PARTIAL, Reach.GUARDED, id="version 2 does not say who must help"),
        pytest.param("AV:L/AC:L/Au:N/C:C/I:C/A:C", Reach.LOCAL, id="version 2, local"),
        pytest.param("CVSS:3.1/AV:N/AC:L/PR:N/S:U/C:H/I:H/A:H", None, id="a component is missing"),
        pytest.param("CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", None, id="an unknown letter"),
        pytest.param("CVSS:5.0/AV:N", None, id="an unknown version"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_what_a_vector_says_about_reach(vector: str, reach: Reach | None):
    reading = read_vector(vector)
    assert (reading.reach if reading else None) is reach


@given(st.text(max_size=60))
def test_any_text_is_a_vector_or_none(text: str):
    for vector in (text, f"CVSS:3.1/{text}", f"CVSS:4.0/{text}"):
        read_vector(vector)
