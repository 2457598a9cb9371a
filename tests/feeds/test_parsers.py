"""Each parser: what it reads, and that one bad record is refused by name while the others go on (P1.1)."""

import json
import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.advisory import Exploitation, Product, ProductStatus
from forestall.domain.errors import FeedError
from forestall.feeds.document import clean
from forestall.feeds.feed import FEEDS, feed_named
from forestall.feeds.result import FeedResult

ADVISORY = {
    "id": "DSA-5865-1",
    "date": "2025-02-12",
    "title": "webkit2gtk - security update",
    "cves": ["CVE-2025-24143"],
    "affected": [
        {"release": "bookworm", "source": "webkit2gtk", "fixed": "2.46.6-1~deb12u1"},
        {"release": "bullseye", "source": "webkit2gtk", "status": "not_affected"},
    ],
}
UPLOAD = {
    "source": "openssl",
    "version": "3.0.22-1~deb12u2",
    "distribution": "bookworm-security",
    "date": "2026-10-21T10:00:00Z",
    "advisory": None,
    "cves": ["CVE-2026-35189"],
}
KEV = {
    "cveID": "CVE-2026-8037",
    "dateAdded": "2026-08-07",
    "vulnerabilityName": "Progress LoadMaster Command Injection",
    "shortDescription": "A command injection.",
    "knownRansomwareCampaignUse": "Known",
    "cwes": ["CWE-77"],
}
CVE = {
    "cveMetadata": {"cveId": "CVE-2012-4792", "state": "PUBLISHED"},
    "containers": {
        "cna": {
            "title": "A title",
            "descriptions": [{"lang": "de", "value": "Fehler"}, {"lang": "en", "value": "A flaw"}],
            "problemTypes": [{"descriptions": [{"lang": "en", "description": "n/a"}, {"cweId": "CWE-416"}]}],
            "metrics": [{"cvssV2_0": {"baseScore": 5.0, "vectorString": "AV:N/AC:L/Au:N/C:P/I:N/A:N"}}],
        },
        "adp": [
            {
                "metrics": [
                    {
                        "cvssV3_1": {
                            "baseScore": 8.8,
                            "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H",
                        }
                    },
                    {
                        "other": {
                            "type": "ssvc",
                            "content": {
                                "options": [
                                    {"Exploitation": "PoC"},
                                    {"Automatable": "no"},
                                    {"Technical Impact": "total"},
                                ]
                            },
                        }
                    },
                ]
            }
        ],
    },
}
LIST = b"""\
[12 Feb 2025] DSA-5865-1 webkit2gtk - security update
\t{CVE-2025-24143 CVE-2025-24150}
\t[bookworm] - webkit2gtk 2.46.6-1~deb12u1
\tNOTE: a remark
[08 Aug 2002] DSA-146 dietlibc - integer overflow
        [woody] - dietlibc <not-affected> (Vulnerable code not present)
        [potato] - dietlibc <unfixed>
[18 Apr 2018] DSA-4205-1 jessie end-of-life
"""


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def kev(*entries: object) -> bytes:
    return json.dumps({"count": len(entries), "vulnerabilities": entries}).encode()


def parse(feed: str, data: bytes) -> FeedResult:
    return feed_named(feed).parse(data)


def test_the_tracker_list():
    found = parse("debian-dsa", LIST).catalogue.advisories
    assert [advisory.id for advisory in found] == ["DSA-5865-1", "DSA-146", "DSA-4205-1"]
    first, second, _ = found
    assert first.title == "webkit2gtk - security update"
    assert first.published_at == datetime(2025, 2, 12, tzinfo=UTC)
    assert first.vulnerabilities == ("CVE-2025-24143", "CVE-2025-24150")
    assert first.products == (Product("bookworm", "webkit2gtk", ProductStatus.FIXED, "2.46.6-1~deb12u1"),)
    assert [product.status for product in second.products] == [
        ProductStatus.NOT_AFFECTED,
        ProductStatus.UNFIXED,
    ]


def test_advisories():
    (found,) = parse("debian-advisories", lines(ADVISORY)).catalogue.advisories
    assert found.id == "DSA-5865-1"
    assert found.products == (
        Product("bookworm", "webkit2gtk", ProductStatus.FIXED, "2.46.6-1~deb12u1"),
        Product("bullseye", "webkit2gtk", ProductStatus.NOT_AFFECTED),
    )


def test_an_upload_is_named_by_itself_or_by_its_advisory():
    """P1.2."""
    found = parse("debian-uploads", lines(UPLOAD, {**UPLOAD, "advisory": "DSA-1-1"})).catalogue.advisories
    assert [advisory.id for advisory in found] == [
        "upload:bookworm-security:openssl:3.0.22-1~deb12u2",
        "DSA-1-1",
    ]
    assert found[0].products == (Product("bookworm", "openssl", ProductStatus.FIXED, "3.0.22-1~deb12u2"),)


def test_kev():
    found = parse("kev", kev(KEV)).catalogue.facts["CVE-2026-8037"]
    assert found.exploitation is Exploitation.ACTIVE
    assert found.exploited_since == date(2026, 8, 7)
    assert found.ransomware
    assert found.weaknesses == ("CWE-77",)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            b"#model_version:v2025\ncve,epss,percentile\nCVE-1999-0001,0.25,0.7\n", id="today's form"
        ),
        pytest.param(b"cve,epss\nCVE-1999-0001,0.25\n", id="the first form"),
        pytest.param(b"cve,epss,percentile\r\nCVE-1999-0001,0.25,0.7\r\n", id="line ends of Windows"),
    ],
)
def test_epss(data: bytes):
    assert parse("epss", data).catalogue.facts["CVE-1999-0001"].epss == 0.25


def test_a_cve_record_with_the_coordinators_labels():
    found = parse("cve5", lines(CVE)).catalogue.facts["CVE-2012-4792"]
    assert (found.title, found.description, found.weaknesses) == ("A title", "A flaw", ("CWE-416",))
    assert (found.cvss_score, found.cvss_vector) == (8.8, "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H")
    assert found.exploitation is Exploitation.POC
    assert found.automatable is False
    assert found.technical_impact_total is True


def test_a_rejected_cve_is_known_as_rejected():
    """P1.2."""
    record = {"cveMetadata": {"cveId": "CVE-2024-0001", "state": "REJECTED"}, "containers": {"cna": {}}}
    assert parse("cve5", lines(record)).catalogue.facts["CVE-2024-0001"].rejected


def test_descriptions():
    record = {"cve": "CVE-2024-0001", "weakness": "CWE-190: Overflow", "description": "Bad\x1b[31m\nnews"}
    found = parse("cve-descriptions", lines(record)).catalogue.facts["CVE-2024-0001"]
    assert found.description == "Bad [31m news"
    assert found.weaknesses == ("CWE-190",)


GOOD = [{**ADVISORY, "id": f"DSA-{number}-1"} for number in range(40)]
FIXED = ADVISORY["affected"][0]

BAD_ADVISORIES = [
    pytest.param(
        {**ADVISORY, "affected": [{**FIXED, "fixed": "<unfixed>"}]}, "no version", id="a marker as version"
    ),
    pytest.param({**ADVISORY, "cves": ["CVE-20x5-1"]}, "no CVE id", id="CVE-shaped nonsense"),
    pytest.param({**ADVISORY, "cves": ["CVE-2025-1234 "]}, "no CVE id", id="a CVE id with a space"),
    pytest.param({**ADVISORY, "cves": "CVE-2025-1234"}, "array", id="a text where a list belongs"),
    pytest.param({**ADVISORY, "date": "yesterday"}, "date", id="a day that is none"),
    pytest.param({**ADVISORY, "title": 7}, "str", id="a number as title"),
    pytest.param(
        {**ADVISORY, "affected": [{"release": "bookworm", "source": "x; rm -rf /"}]}, "no name", id="a shell"
    ),
    pytest.param(
        {**ADVISORY, "affected": [{"release": "bookworm", "source": "xx"}]}, "neither", id="no fix, no status"
    ),
    pytest.param(
        {**ADVISORY, "affected": [{**FIXED, "release": "../etc"}]}, "code name", id="a path as release"
    ),
    pytest.param({**GOOD[0], "title": "again"}, "second time", id="an id that comes twice"),
]


@pytest.mark.parametrize(("record", "why"), BAD_ADVISORIES)
def test_one_bad_advisory_is_refused_by_name_and_the_others_go_on(record: dict[str, object], why: str):
    result = parse("debian-advisories", lines(*GOOD[:20], record, *GOOD[20:]))
    assert result.records == 40
    (refusal,) = result.refused
    assert refusal.record == record["id"]
    assert refusal.reason.startswith("line 21: ")
    assert why in refusal.reason


@pytest.mark.parametrize(
    ("feed", "good", "bad", "name"),
    [
        pytest.param(
            "debian-dla",
            b"".join(b"[12 Feb 2025] DSA-9%03d-1 x - y\n\t[bookworm] - xx 1.2\n" % n for n in range(30)),
            b"[12 Feb 2025] DSA-7-1 x - y\n\t[bookworm] - xx one.two\n",
            "DSA-7-1",
            id="tracker list: a version that is none",
        ),
        pytest.param(
            "epss",
            b"cve,epss\n" + b"".join(b"CVE-2024-%04d,0.1\n" % n for n in range(30)),
            b"CVE-2025-0001,1.5\n",
            "CVE-2025-0001",
            id="EPSS: a probability above one",
        ),
        pytest.param(
            "debian-uploads",
            lines(*({**UPLOAD, "version": f"1.{n}"} for n in range(30))),
            lines({**UPLOAD, "cves": ["CVE-nonsense"]}),
            "upload:bookworm-security:openssl:3.0.22-1~deb12u2",
            id="uploads: nonsense as CVE",
        ),
        pytest.param(
            "cve5",
            lines(
                *(
                    {**CVE, "cveMetadata": {"cveId": f"CVE-2024-{n:04}", "state": "PUBLISHED"}}
                    for n in range(30)
                )
            ),
            lines({**CVE, "containers": {"cna": {"metrics": [{"cvssV3_1": {"baseScore": 11}}]}}}),
            "CVE-2012-4792",
            id="CVE records: a score above ten",
        ),
    ],
)
def test_one_bad_record_of_other_feeds(feed: str, good: bytes, bad: bytes, name: str):
    result = parse(feed, good + bad)
    assert result.records == parse(feed, good).records
    assert [refusal.record for refusal in result.refused] == [name]


BROKEN = [
    pytest.param("kev", b"", "not usable as JSON", id="an empty file"),
    pytest.param("kev", b"[" * 200_000, "nested too deeply", id="nesting without end"),
    pytest.param(
        "kev",
        b'{"count": 1, "count": 1, "vulnerabilities": []}',
        "'count' appears twice",
        id="duplicate keys",
    ),
    pytest.param("kev", kev(KEV)[:-30], "not usable as JSON", id="cut in the middle"),
    pytest.param("kev", b'{"count": NaN, "vulnerabilities": []}', "NaN", id="not a number"),
    pytest.param(
        "kev", b'{"count": ' + b"9" * 10_000 + b"}", "not usable", id="a number of ten thousand digits"
    ),
    pytest.param(
        "kev",
        json.dumps({"count": 9, "vulnerabilities": [KEV]}).encode(),
        "counts 9",
        id="fewer than counted",
    ),
    pytest.param(
        "kev", b"<html>Not found</html>", "not usable as JSON", id="a page instead of the catalogue"
    ),
    pytest.param(
        "kev", kev({**KEV, "cveID": "CVE-1"}), "'CVE-1' is no CVE id", id="every record is nonsense"
    ),
    pytest.param("debian-advisories", lines(ADVISORY)[:-20], "line 1: not usable", id="a line cut off"),
    pytest.param("debian-advisories", b'{"id":1}\n\x00', "line 2: a NUL byte", id="a NUL byte"),
    pytest.param("debian-advisories", b'\n{"id":1,"id":2}\n', "line 2: ", id="duplicate keys in a line"),
    pytest.param("debian-advisories", b"\xff\xfe\n", "line 1: not UTF-8", id="not UTF-8"),
    pytest.param(
        "debian-dsa", LIST[:-10], "line 8: the file is cut off", id="a list cut off in its last line"
    ),
    pytest.param(
        "debian-dsa", b"<html>\n", "first line 1: does not begin like", id="a page instead of the list"
    ),
    pytest.param("debian-dsa", LIST.replace(b"Feb", b"Foo"), "Foo is no month", id="a month that is none"),
    pytest.param("epss", b"cve,epss\nCVE-1999-0001,0.2", "line 2: the file is cut off", id="scores cut off"),
    pytest.param("epss", b"name,score\n", "line 1: expected the header", id="another table"),
    pytest.param("epss", b"cve,epss\nCVE-1999-0001,nan\n", "no probability", id="a score that is no number"),
]


@pytest.mark.parametrize(("feed", "data", "why"), BROKEN)
def test_a_broken_file_is_refused_with_the_place_and_the_reason(feed: str, data: bytes, why: str):
    with pytest.raises(FeedError, match=re.escape(why)):
        parse(feed, data)


RECIPE_FILE = json.dumps(
    {
        "update": "any/syncookies/1",
        "title": "A setting against floods",
        "published_at": "2026-11-24T06:00:00Z",
        "vulnerabilities": ["CVE-2024-0001"],
        "recipe": {"kind": "set-kernel", "key": "net.ipv4.tcp_syncookies", "value": "1"},
    }
).encode()
SEEDS = {
    "debian-dsa": LIST,
    "debian-dla": LIST,
    "debian-advisories": lines(ADVISORY),
    "debian-uploads": lines(UPLOAD),
    "cve5": lines(CVE),
    "kev": kev(KEV),
    "epss": b"#model\ncve,epss,percentile\nCVE-1999-0001,0.25,0.7\n",
    "recipes": RECIPE_FILE,
    "cve-descriptions": lines({"cve": "CVE-2024-0001", "weakness": "", "description": "A flaw"}),
}
noise = st.sampled_from(
    [b"\x00", b"\xff", b"[", b"{", b'"', b"\\ud800", b"\\u0000", b"<unfixed>", b"1e999", b"-", b"\n"]
)
edits = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(0, 30), noise | st.binary(max_size=4)), max_size=4
)


@pytest.mark.parametrize("feed", [pytest.param(feed.name, id=feed.name) for feed in FEEDS])
@given(edits=edits)
def test_any_damage_is_read_or_refused_and_nothing_else(feed: str, edits: list[tuple[int, int, bytes]]):
    data = SEEDS[feed]
    for position, length, put in edits:
        data = data[: position % len(SEEDS[feed])] + put + data[position % len(SEEDS[feed]) + length :]
    try:
        result = parse(feed, data)
    except FeedError:
        return
    assert isinstance(result, FeedResult)


@pytest.mark.parametrize("feed", [pytest.param(feed.name, id=feed.name) for feed in FEEDS])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(feed: str, data: bytes):
    try:
        parse(feed, data)
    except FeedError:
        return


@given(st.text(max_size=100))
def test_a_clean_text_has_nothing_a_terminal_would_obey(text: str):
    cleaned = clean(text, 50)
    assert len(cleaned) <= 50
    assert cleaned.encode().decode() == cleaned
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
