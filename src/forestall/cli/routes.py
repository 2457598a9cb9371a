"""What the listener for people, mirrors and RADIUS servers answers, as far as the settings connect it."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from starlette.routing import Route

from forestall.clock import utc_now
from forestall.server.claims import ClaimDesk
from forestall.server.credentials import secret_of
from forestall.server.disagreements import disagreements
from forestall.server.doorkeeper import Doorkeeper
from forestall.server.links import open_links
from forestall.server.notice_page import NoticeDesk
from forestall.server.overview import Overview
from forestall.server.sessions import clients_of
from forestall.server.settings import split_bind
from forestall.server.trust_place import TrustPlace
from forestall.server.wiring import Installation
from forestall.web.accounting_api import Desk, accounting_routes
from forestall.web.admission_api import Door, admission_routes
from forestall.web.app import make_app
from forestall.web.claim_pages import claim_routes
from forestall.web.disagree_page import disagree_routes
from forestall.web.mail_pages import mail_routes
from forestall.web.serve import serving


def web(
    installation: Installation,
    place: TrustPlace,
    pages: Mapping[str, Callable[[], Overview]],
    bind: str,
) -> AbstractContextManager[str]:
    """Serve people, mirrors, and whoever else the settings connect; gives the address."""
    app = make_app(
        place.repository, pages, [*_queues(installation), *_behind_mails(installation), *_doors(installation)]
    )
    return serving(app, *split_bind(bind or installation.settings.bind))


def _queues(installation: Installation) -> Iterable[Route]:
    """Serve what waits for a person to decide."""
    database, policy = installation.database, installation.policy
    return disagree_routes(lambda campaign: disagreements(database, utc_now(), policy, campaign))


def _behind_mails(installation: Installation) -> Iterable[Route]:
    """Serve the pages behind the links in mails."""
    desk = NoticeDesk(installation.database, installation.policy)
    return [*mail_routes(desk, open_links(installation.settings.directory)), *claims(installation)]


def claims(installation: Installation) -> list[Route]:
    """Let machines that nobody owns say whose they are, where mail is connected: the person is asked by it."""
    settings = installation.settings
    if settings.mail is None:
        return []
    links = open_links(settings.directory)
    return claim_routes(
        ClaimDesk(installation.database, installation.policy, links, settings.mail.owner_domains)
    )


def _doors(installation: Installation) -> list[Route]:
    """Answer RADIUS servers where the settings name their password; else nobody is answered."""
    settings, table = installation.settings, installation.settings.network.admission
    if not table.credentials:
        return []
    keeper = Doorkeeper(installation.database, installation.policy, installation.enforcement)
    password = secret_of(settings.directory, table.credentials)
    desk = Desk(installation.database, clients_of(settings.network), password)
    return [
        *admission_routes(Door(keeper, table, password, installation.enforcement.simulate)),
        *accounting_routes(desk),
    ]
