"""Where collectors put plays and records: Kafka, acknowledged, with listeners resolved in PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from music_assets.sources.client import send_messages
from music_assets.sources.feed import catalogue_messages
from music_assets.sources.plays import Play, PlaySender
from streaming.producer import EventProducer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from music_assets.settings import Settings
    from streaming.events import CatalogRecord

_CLIENT: Final = "music-sources"


class Topics:
    """The topics as collectors see them."""

    def __init__(self, producer: EventProducer, sender: PlaySender) -> None:
        self._producer = producer
        self._sender = sender

    def send(self, plays: Sequence[Play]) -> int:
        """Send plays and return how many the broker has acknowledged. Raises as `PlaySender.send`."""
        return self._sender.send(plays)

    def publish(self, records: Sequence[CatalogRecord]) -> int:
        """Put records on the catalogue's topics and return how many the broker has acknowledged.

        Raises:
            TimeoutExpiredError: the broker did not take all of them.
        """
        return send_messages(self._producer, catalogue_messages(records))[0]


@contextmanager
def topics(settings: Settings) -> Iterator[Topics]:
    """Open the topics for one run."""
    producer = EventProducer(settings.bootstrap_servers, client_id=_CLIENT)
    try:
        yield Topics(producer, PlaySender(producer, settings.database))
    finally:
        producer.close()
