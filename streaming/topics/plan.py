"""What separates the broker from the topics' files, and what of it would throw messages away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from streaming.errors import ConfigurationError
from streaming.topics import topics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streaming.topics import Topic

Action = Literal["create", "configure", "shrink", "repartition"]

PARTITIONS: Final = "partitions"
_POLICY: Final = "cleanup.policy"
_FOR_EVER: Final = -1
"""How Kafka writes a retention without end."""

_KEEPS: Final = frozenset({"retention.ms", "retention.bytes", "delete.retention.ms"})
"""Settings of which less means that messages go sooner."""

_DAY: Final = timedelta(days=1)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A topic as the broker holds it: its number of partitions and its settings, the broker's defaults included."""

    partitions: int
    settings: Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between the broker and a topic's file.

    Attributes:
        topic: its name.
        action: `create` and `configure` are harmless; `shrink` throws messages away, now or sooner than they would
            have gone; `repartition` would move listeners to other partitions and is never carried out.
        setting: what differs; a topic that is missing differs in its partitions.
        have: the broker's value; None: it has none.
        want: the file's value.
    """

    topic: str
    action: Action
    setting: str
    have: str | None
    want: str

    @property
    def detail(self) -> str:
        """The difference, for people."""
        if self.action == "create":
            return f"{self.want} {self.setting}"
        return f"{self.setting} {_readable(self.setting, self.have)} -> {_readable(self.setting, self.want)}"


def differences(topic: Topic, held: Held | None) -> list[Change]:
    """Compare a topic's file with what the broker holds; None: it holds no such topic."""
    want = str(topic.partitions)
    if held is None:
        return [Change(topic=topic.name, action="create", setting=PARTITIONS, have=None, want=want)]
    found = []
    if held.partitions != topic.partitions:
        have = str(held.partitions)
        found.append(Change(topic=topic.name, action="repartition", setting=PARTITIONS, have=have, want=want))
    wanted = dict(topic.config)
    for setting, least in topic.least.items():
        value = held.settings.get(setting)
        wanted[setting] = str(least) if value is None or int(value) < least else value
    for setting, want in wanted.items():
        have_value = held.settings.get(setting)
        if have_value != want:
            action: Action = "shrink" if _shrinks(setting, have_value, want) else "configure"
            found.append(Change(topic=topic.name, action=action, setting=setting, have=have_value, want=want))
    return found


def refuse(changes: Iterable[Change], shrink: Collection[str]) -> None:
    """Check that nothing is thrown away that was not agreed to.

    Args:
        changes: the whole plan.
        shrink: topics that may lose messages.

    Raises:
        ConfigurationError: something shrinks or would be repartitioned; names every topic, setting, both values and
            the option that accepts it.
    """
    if unknown := set(shrink) - topics().keys():
        raise ConfigurationError(
            f"there is no topic {', '.join(sorted(unknown))} to shrink; valid: {', '.join(topics())}"
        )
    refused = [_refusal(change) for change in changes if change.action == "repartition"]
    refused += [_refusal(change) for change in changes if change.action == "shrink" and change.topic not in shrink]
    if refused:
        raise ConfigurationError("; ".join(refused))


def _refusal(change: Change) -> str:
    have, want = (_readable(change.setting, value) for value in (change.have, change.want))
    if change.action == "repartition":
        return (
            f"topic {change.topic} has {have} partitions on the broker and {want} in its file, "
            "which no option accepts: a change moves listeners to other partitions: make a new topic and cut over"
        )
    return (
        f"topic {change.topic}: {change.setting} is {have} on the broker and {want} in its file, which throws messages "
        f"away: accept it with `music topics apply --shrink {change.topic}`, or keep more in the file"
    )


def _shrinks(setting: str, have: str | None, want: str) -> bool:
    if have is None:
        return False
    if setting == _POLICY:
        # Each policy throws messages away by a rule of its own: compaction the older ones of a key, deletion the old.
        return not _policies(want) <= _policies(have)
    return setting in _KEEPS and _kept(want) < _kept(have)


def _policies(value: str) -> set[str]:
    return {each.strip() for each in value.split(",") if each.strip()}


def _kept(value: str) -> float:
    return float("inf") if int(value) == _FOR_EVER else int(value)


def _readable(setting: str, value: str | None) -> str:
    if value is None:
        return "not set"
    if setting in _KEEPS and int(value) == _FOR_EVER:
        return f"{value} (no limit)"
    if setting.endswith(".ms") and (span := int(value) * _MILLISECOND) >= _DAY:
        return f"{value} ({span / _DAY:g} days)"
    return value
