"""The command `music`: looks into every part of the platform and runs it.

Heavy imports are inside the commands, so that `--help` and errors come at once.
"""

import errno
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from music_assets.backfill import backfill
from music_assets.bench import cli as bench_cli
from music_assets.commands import (
    account,
    deadletter,
    identity,
    imports,
    key,
    listener,
    model,
    quality,
    rebuild,
    screen,
    source,
    warehouse,
)
from music_assets.demo import cli as demo_cli
from music_assets.settings import settings
from streaming.errors import ConfigurationError, MusicError
from streaming.printable import printable

if TYPE_CHECKING:
    from confluent_kafka import Message

_UNWRITABLE: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR}
)
"""What a full or forbidden folder says; any other error of the system is a fault of ours and keeps its traceback."""

main = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An open music data platform: from a listen to a recommendation.",
)
topics = typer.Typer(no_args_is_help=True, help="The event log.")
lake = typer.Typer(no_args_is_help=True, help="The tables of the lake.")
stream = typer.Typer(no_args_is_help=True, help="The streaming jobs.")
db = typer.Typer(no_args_is_help=True, help="The operational database.")
main.add_typer(topics, name="topics")
main.add_typer(lake, name="lake")
main.add_typer(stream, name="stream")
main.add_typer(db, name="db")
main.add_typer(backfill, name="backfill")
main.add_typer(deadletter.app, name="deadletter")
main.add_typer(rebuild.app, name="rebuild")
main.add_typer(source.app, name="source")
main.add_typer(imports.app, name="import")
main.add_typer(identity.app, name="identity")
main.add_typer(quality.app, name="quality")
main.add_typer(listener.app, name="listener")
main.add_typer(model.app, name="model")
main.add_typer(key.app, name="key")
main.add_typer(account.app, name="account")
main.add_typer(bench_cli.bench, name="bench")
main.add_typer(warehouse.app, name="warehouse")
main.command()(demo_cli.demo)
main.command()(demo_cli.simulate)


def app() -> None:
    """Run a command; what the platform knows to be wrong is one line on the standard error."""
    try:
        main()
    except MusicError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _fail(f"{error.filename or settings().music_home} cannot be written: {error.strerror}")


def _fail(sentence: str) -> NoReturn:
    typer.secho(sentence, fg=typer.colors.RED, err=True)
    sys.exit(1)


@main.command()
def jars() -> None:
    """Fetch the pinned jars of the broker and of Spark, where they are missing or damaged."""
    from music_assets.stack.jars import fetch, needed
    from music_assets.stack.preflight import check_java

    check_java()
    fetched = fetch(settings().jars_path, needed(settings()))
    typer.echo(f"jars: {'fetched ' + ', '.join(fetched) if fetched else 'all there'} ({settings().jars_path})")


@main.command()
def up(parts: Annotated[list[str] | None, typer.Argument(help="Some parts only.")] = None) -> None:
    """Start the embedded stack and wait until every part answers."""
    from music_assets.stack import Stack

    stack = Stack(settings())
    names = [part.name for part in stack.parts]
    unknown = sorted(set(parts or []) - set(names))
    if unknown:
        raise ConfigurationError(f"there is no part {', '.join(unknown)}; valid: {', '.join(names)}")
    stack.up(parts or None)
    _show_parts()


@main.command()
def down() -> None:
    """Stop everything the stack started."""
    from music_assets.stack import Stack

    Stack(settings()).down()
    typer.echo("down: nothing of the stack is left running")


@main.command()
def status() -> None:
    """Show every part, how far the lake is behind the topics, and the ledger."""
    from music_assets.stack import report

    _show_parts()
    newest = report.newest_events(settings())
    screen.show(
        ["topic", "lag", "received", "stored", "duplicate", "dead-lettered", "id conflicts", "erased", "newest event"],
        [
            [line.topic, "broker away" if line.lag is None else line.lag, line.totals.received, line.totals.stored,
             line.totals.duplicate, line.totals.dead_lettered, line.totals.event_id_conflicts, line.totals.erased,
             newest[line.topic].isoformat(timespec="seconds") if line.topic in newest else ""]
            for line in report.topic_lines(settings())
        ],
    )  # fmt: skip
    for sentence in report.stream_lines(settings()):
        typer.echo(sentence)
    moment = report.last_batch(settings())
    typer.echo(f"last batch: {moment.isoformat(timespec='seconds') if moment else 'none yet'}")


def _show_parts() -> None:
    from music_assets.stack import Stack

    screen.show(
        ["part", "state", "pid", "up for", "address"],
        [
            [part.name, part.state, str(part.pid or ""), f"{part.uptime_seconds} s" if part.pid else "", part.address]
            for part in Stack(settings()).status()
        ],
    )


@topics.command("list")
def topics_list() -> None:
    """List the topics with what the broker holds."""
    from streaming.topics import topics as registered
    from streaming.topics.admin import describe

    states = describe(settings().bootstrap_servers)
    rows: list[list[Any]] = []
    for topic in registered().values():
        state = states.get(topic.name)
        held = sum(state.end_offsets.values()) - sum(state.first_offsets.values()) if state else "missing"
        kept = "compacted" if topic.compacted else f"{topic.retention_days} days"
        rows.append([topic.name, topic.partitions, kept, held, topic.event, f"silver/{topic.table}"])
    screen.show(["topic", "partitions", "kept", "messages", "event", "table"], rows)


@topics.command("peek")
def topics_peek(
    topic: Annotated[str, typer.Argument(help="Its name.")],
    limit: Annotated[int, typer.Option(min=1, help="Messages at most.")] = 10,
) -> None:
    """Print the newest messages of a topic, one JSON object a line."""
    from streaming.topics.peek import peek

    for message in peek(settings().bootstrap_servers, topic, limit=limit):
        typer.echo(json.dumps(_message(message), ensure_ascii=False))


def _message(message: "Message") -> dict[str, Any]:
    key, value = message.key(), message.value()
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "key": printable(key),
        "value": printable(value),
        "headers": {name: printable(content) for name, content in dict(message.headers() or {}).items()},
    }


@topics.command("apply")
def topics_apply(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    shrink: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="A topic that may lose messages; can be repeated.")
    ] = None,
) -> None:
    """Make the broker's topics what their files say; what would lose messages is refused."""
    from streaming.topics.admin import apply, compare
    from streaming.topics.plan import refuse

    servers, accepted = settings().bootstrap_servers, shrink or []
    changes = compare(servers) if dry_run else apply(servers, shrink=accepted)
    for change in changes:
        typer.echo(f"{change.action} {change.topic}: {change.detail}")
    typer.echo(f"{len(changes)} changes{' wanted' if dry_run else ''}")
    refuse(changes, accepted)


@lake.command("show")
def lake_show(
    table: Annotated[str, typer.Argument(help="Such as silver/events_listens or lake/ledger.")],
    where: Annotated[str, typer.Option(help="SQL condition, such as \"item_id = 'track:1'\".")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 20,
) -> None:
    """Show rows of a lake table and how many there are."""
    from music_assets.stack.look import rows

    found = rows(settings().storage, table, where=where, limit=limit)
    screen.show(found.columns, found.rows)
    typer.echo(f"{len(found.rows)} of {found.total} rows, version {found.version}")


@stream.command("resume")
def stream_resume(
    *, accept: Annotated[bool, typer.Option("--accept", help="Take the bad messages as dead letters.")] = False
) -> None:
    """Let silver go on after it halted because too many messages of a topic broke their contract."""
    from streaming.halt import resume

    halt = resume(settings(), accept=accept)
    if halt is None:
        typer.echo("silver is not halted")
        return
    what = "its bad messages become dead letters" if accept else "its messages are judged anew"
    typer.echo(f"silver goes on with {halt.topic}: {what}")


@lake.command("erase")
def lake_erase(
    listener: Annotated[list[str] | None, typer.Option(help="A listener id; may be given more than once.")] = None,
    file: Annotated[
        typer.FileText | None, typer.Option("--from", help="Listener ids, one a line; - is the standard input.")
    ] = None,
    erasure_id: Annotated[str, typer.Option(help="Name of the request; by default a random one.")] = "",
) -> None:
    """Remove listeners from the lake for good and keep them out; repeat it after an error.

    The shell remembers what is on its command line: ids in a file or on the standard input are not.
    """
    from uuid import uuid4

    import structlog

    from streaming.control import StreamClient
    from streaming.jobs.erase import erase_alone

    # The standard output is the receipt's.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ids = [*(listener or []), *(line.strip() for line in (file or ()) if line.strip())]
    name = erasure_id or str(uuid4())
    client = StreamClient(settings().stream_port)
    receipt = client.erase(ids, name) if client.alive() else erase_alone(settings(), ids, name)
    typer.echo(receipt.model_dump_json(indent=2))


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the newest migration."""
    from music_assets.migrations import upgrade

    upgrade(settings().database)
    typer.echo("the database is at the newest migration")
