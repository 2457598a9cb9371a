"""The table [mail], the directory of people, and the commands that show mail."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from domain.made import DAY, ENFORCING, START
from forestall.cli.main import app
from forestall.clock import utc_now
from forestall.domain.errors import InputError
from forestall.domain.notice import Person
from forestall.notify.people import read_people
from forestall.notify.smtp import Tls
from forestall.server.settings import load_settings
from notify.company import ASA, BEN, Company
from notify.test_returned import dsn

RIGHT = 'server = "mail.corp.example"\nsender = "Patch Desk <patch@corp.example>"\nlink_base = "https://patch.corp.example/"\n'


def settings(directory: Path, text: str):
    (directory / "forestall.toml").write_text(f"[mail]\n{text}", encoding="utf-8")
    return load_settings(directory).mail


def test_three_lines_connect_a_mail_server(tmp_path: Path):
    mail = settings(tmp_path, RIGHT)
    assert (mail.server.host, mail.server.port, mail.server.tls) == ("mail.corp.example", 587, Tls.STARTTLS)
    assert (mail.sender.address, mail.return_path) == ("patch@corp.example", "patch@corp.example")
    assert mail.link_base == "https://patch.corp.example"


def test_without_a_server_no_mail_is_connected(tmp_path: Path):
    assert settings(tmp_path, "") is None
    assert load_settings(tmp_path / "nothing").mail is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            'sever = "x"', "line 2: there is no “sever”; did you mean “server”?", id="a mistyped key"
        ),
        pytest.param(RIGHT + 'tls = "ssl"', "line 5: Invalid enum value 'ssl'", id="no such protection"),
        pytest.param(RIGHT + "port = 0", "line 5: Expected `int` >= 1", id="no such port"),
        pytest.param('server = "x"', "needs a sender", id="nobody writes"),
        pytest.param('server = "x"\nsender = "desk"', "needs a sender", id="a sender without an address"),
        pytest.param('server = "x"\nsender = "a@b"', "needs link_base", id="links that lead nowhere"),
        pytest.param(
            RIGHT.replace("https://", "ftp://"), "needs link_base", id="links that no browser opens"
        ),
        pytest.param(
            RIGHT + 'user = "desk"', "user and password_file together", id="a name without a password"
        ),
        pytest.param(
            RIGHT + 'tls = "none"\nuser = "a"\npassword_file = "b"', "in clear", id="a password in clear"
        ),
        pytest.param(RIGHT + 'everybody = ["all"]', "“all” is no mail address", id="everybody is no address"),
        pytest.param(
            RIGHT + 'return_path = "x"', "“x” is no mail address", id="mail would come back to nowhere"
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, says: str):
    with pytest.raises(InputError) as caught:
        settings(tmp_path, text)
    assert says in str(caught.value)
    assert "forestall.toml" in str(caught.value)


def people(directory: Path, content: bytes):
    path = directory / "people.csv"
    path.write_bytes(content)
    return read_people(path)


def test_a_directory_names_people_and_their_language(tmp_path: Path):
    found = people(
        tmp_path,
        "\ufeffname,address,language,floor\n山田,ASA@corp.example,ja-JP,3\n=1+1,ben@corp.example,xx,4\n".encode(),
    )
    assert found.people == {ASA: Person(ASA, "山田", "ja"), BEN: Person(BEN, "=1+1", "en")}
    assert found.refused == ()


def test_a_directory_names_who_uses_an_account(tmp_path: Path):
    found = people(
        tmp_path,
        b'user,address\nasa,asa@corp.example\n"CORP\\ben ",ben@corp.example\n,eve@corp.example\nx,=cmd\n',
    )
    assert {user: person.address for user, person in found.accounts.items()} == {"asa": ASA, "CORP\\ben": BEN}
    assert len(found.refused) == 1, "whoever cannot be written to owns nothing"


def test_a_line_that_names_nobody_is_named_and_the_others_count(tmp_path: Path):
    found = people(tmp_path, b'address\nasa@corp.example\nnobody\nasa@corp.example\n"a\nb@c"\n')
    assert list(found.people) == [ASA]
    assert len(found.refused) == 2
    assert "line 3" in found.refused[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"mail,name\n", "no column “address”", id="another header"),
        pytest.param(b"", "no column “address”", id="an empty file"),
        pytest.param(b"address\n\xff\xfe\n", "is not a CSV file in UTF-8", id="another encoding"),
        pytest.param(b'address\n"' + b"x" * 200_000, "is not a CSV file", id="a cell without end"),
    ],
)
def test_a_file_that_is_no_directory_is_refused(tmp_path: Path, content: bytes, says: str):
    with pytest.raises(InputError, match=says):
        people(tmp_path, content)


# -- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(company: Company) -> Company:
    """The company's settings as a file, for the commands."""
    (company.directory / "forestall.toml").write_text(
        f'[database]\nurl = "{company.url}"\n[mail]\nserver = "127.0.0.1"\nport = {company.host.port}\ntls = "none"\n'
        'sender = "Patch Desk <patch@corp.example>"\nlink_base = "https://patch.corp.example"\n'
    )
    company.now = utc_now()
    company.change(replace(ENFORCING, distributed_at=company.now - 9 * DAY, deadline_at=company.now - DAY))
    name = company.own("pc-1", ASA)
    company.note(name, announced_at=START)
    company.see(name)
    return company


def run(company: Company, *arguments: str, piped: bytes = b"") -> tuple[int, str]:
    found = CliRunner().invoke(app, ["mail", *arguments, "--data", str(company.directory)], input=piped)
    return found.exit_code, found.stdout


def test_the_commands_show_test_count_and_take_back(installed: Company):
    code, text = run(installed, "test", BEN, "--json")
    assert (code, msgspec.json.decode(text)["outcome"]) == (0, "done")
    assert installed.host.recipients() == [BEN]
    assert run(installed, "status")[1].startswith("Nobody was told")
    installed.decide()
    assert "Final warning: pc-1" in run(installed, "preview")[1]
    installed.deliver()
    installed.act()
    (row,) = msgspec.json.decode(run(installed, "status", "--json")[1])
    assert (row["action"], row["accepted"], row["waiting"]) == ("warn", 1, 0)
    name = installed.host.accepted[-1][1]["Message-ID"].strip("<>").partition("@")[0]
    code, text = run(installed, "bounce", "--json", piped=dsn(name))
    assert msgspec.json.decode(text)["taken_back"] == 1


def test_samples_can_be_written_as_files(installed: Company, tmp_path: Path):
    assert (
        run(installed, "preview", installed.campaign.id, "--lang", "ja", "--to", str(tmp_path / "out"))[0]
        == 0
    )
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["announcement.eml", "final_warning.eml", "self_check.eml"]
    assert installed.host.accepted == []


def test_a_test_that_the_server_refuses_says_so(installed: Company):
    installed.host.answers[BEN] = "550 5.1.1 no such user"
    code, text = run(installed, "test", BEN)
    assert code == 1
    assert "550 5.1.1 no such user" in text


def test_without_a_mail_server_the_command_says_what_to_write(company: Company):
    (company.directory / "forestall.toml").write_text(f'[database]\nurl = "{company.url}"\n')
    result = CliRunner().invoke(app, ["mail", "preview", "--data", str(company.directory)])
    assert isinstance(result.exception, InputError)
    assert "[mail] server" in str(result.exception)


def test_the_doctor_greets_the_mail_server(installed: Company):
    def says() -> str:
        return CliRunner().invoke(app, ["doctor", "--data", str(installed.directory)]).stdout

    assert f"ok   mail: 127.0.0.1:{installed.host.port} takes us in" in says()
    installed.host.down()
    assert f"NOT  mail: 127.0.0.1:{installed.host.port} does not take mail" in says()
