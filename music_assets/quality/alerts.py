"""Tells people of results that turned: by log, by mail, by webhook; each channel once for each turn."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import httpx
import structlog

from music_assets.quality.results import Result, by_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import psycopg

    from music_assets.settings import Settings

    Connection = psycopg.Connection[tuple[Any, ...]]

Channel = Callable[[Result], None]
"""Tells of one result; raises OSError, httpx.HTTPError or smtplib.SMTPException when it could not."""

_TRIES: Final = 10
_SECONDS: Final = 10

log = structlog.get_logger()


def sentence(result: Result) -> str:
    """Return a result in one line: what turned, where, and the check's own words."""
    state = "holds again" if result.passed else "does not hold"
    said = f": {result.description}" if result.description else ""
    return f"{result.asset}: {result.check_name} {state}{said}"


def channels(settings: Settings) -> dict[str, Channel]:
    """Return the channels that the settings ask for, by name; the log is always one."""
    found: dict[str, Channel] = {"log": _log}
    if settings.alert_webhook_url is not None:
        address = settings.alert_webhook_url.get_secret_value()
        found["webhook"] = lambda result: _post(address, result)
    if settings.alert_mail_to is not None:
        mail_to = settings.alert_mail_to
        smtp = settings.smtp_url.get_secret_value() if settings.smtp_url else None
        found["mail"] = lambda result: _mail(_message(result, mail_to), smtp, settings.music_home / "outbox")
    return found


def tell(conn: Connection, turned: Sequence[Result], to: Mapping[str, Channel]) -> None:
    """Tell every channel of the turns of error checks it was not told of, and of those that failed before.

    A channel that fails is tried again at the next call, ten times at most; it never keeps the others from being told.
    """
    errors = [result for result in turned if result.severity == "error"]
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.quality_alerts (event_id, channel) values (%s, %s) on conflict do nothing",
            [(result.event_id, name) for result in errors for name in to],
        )
    for result, name in _waiting(conn, to):
        failure = _try(to[name], result)
        conn.execute(
            """
            update ops.quality_alerts set tries = tries + 1, error = %s, sent_at = case when %s then now() end
            where event_id = %s and channel = %s
            """,
            (failure, failure is None, result.event_id, name),
        )


def _waiting(conn: Connection, to: Mapping[str, Channel]) -> list[tuple[Result, str]]:
    rows = conn.execute(
        """
        select event_id, channel from ops.quality_alerts
        where sent_at is null and tries < %s and channel = any(%s) order by event_id, channel
        """,
        (_TRIES, list(to)),
    ).fetchall()
    results = by_event(conn, [event_id for event_id, _ in rows])
    return [(results[event_id], channel) for event_id, channel in rows]


def _try(channel: Channel, result: Result) -> str | None:
    """Return why a channel could not be told, None when it was. Addresses hold secrets: only the kind is kept."""
    try:
        channel(result)
    except (OSError, httpx.HTTPError, httpx.InvalidURL, smtplib.SMTPException) as error:
        log.warning("alert_not_sent", check=result.check_name, asset=result.asset, error=type(error).__name__)
        return type(error).__name__
    return None


def _log(result: Result) -> None:
    tell_it = log.info if result.passed else log.error
    tell_it("check_turned", asset=result.asset, check=result.check_name, passed=result.passed, said=result.description)


def _post(address: str, result: Result) -> None:
    body = {
        "text": sentence(result),
        "asset": result.asset,
        "check": result.check_name,
        "passed": result.passed,
        "severity": result.severity,
        "owner": result.owner,
        "evaluated_at": result.evaluated_at.isoformat(),
        "figures": dict(result.figures),
    }
    httpx.post(address, json=body, timeout=_SECONDS).raise_for_status()


def _message(result: Result, mail_to: str) -> EmailMessage:
    message = EmailMessage()
    message["To"], message["From"] = mail_to, "music-platform@localhost"
    state = "ok" if result.passed else "failed"
    message["Subject"] = " ".join(f"[{state}] {result.asset}: {result.check_name}".split())
    about = [f"evaluated at {result.evaluated_at.isoformat()}", f"owner: {result.owner or 'none'}"]
    lines = [sentence(result), "", *about]
    message.set_content("\n".join([*lines, *(f"{name}: {value}" for name, value in result.figures.items())]))
    message["X-Event-Id"] = str(result.event_id)
    return message


def _mail(message: EmailMessage, smtp: str | None, outbox: Path) -> None:
    """Send a mail, or lay it into the outbox as a file where no server is named."""
    if smtp is None:
        outbox.mkdir(parents=True, exist_ok=True)
        (outbox / f"check-{message['X-Event-Id']}.eml").write_bytes(message.as_bytes())
        return
    parts = urlsplit(smtp)
    make = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
    with make(parts.hostname or "localhost", parts.port or 0, timeout=_SECONDS) as server:
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
