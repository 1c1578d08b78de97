"""The faults: kills at random and at chosen moments, lost state, a new topic, full disks."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka.admin import AdminClient

from music_assets.stack.parts import ROOT
from music_assets.stack.process import wait_until
from streaming.errors import UnavailableError
from streaming.topics import event_topics
from streaming.topics.admin import apply
from streaming.upkeep import tend_all
from tests.chaos.scene import FAULTS, Scene, fault
from tests.chaos.watch import POINTS, Point, Watch
from tests.chaos.world import READY_SECONDS, World, freeze, named

__all__ = ["FAULTS"]

_POINT_SECONDS: Final = 120.0
"""Longest wait for a moment: the first batch of a fresh JVM on a busy machine."""

_TEND: Final = """
import sys
from streaming.settings import Settings
from streaming.upkeep import tend_all
tend_all(Settings(_env_file=None, lakehouse_path=sys.argv[1]))
"""

_SPOOL_FILE: Final = Point("spool", r"events\.sqlite-wal", change=True)
_FULL_SECONDS: Final = (6.0, 12.0)
_ERASING_SECONDS: Final = 4.0
"""About as long as an erasure takes."""
_NO_SPACE: Final = re.compile(rb"No space left|os error 28")
_HANG_SECONDS: Final = 15.0
"""Longest hang: what hangs for 30 s is restarted."""


def _spark(world: World) -> bool:
    return world.settings.stream_engine == "spark"


@fault("broker", share=9)
def broker(scene: Scene) -> str:
    scene.kill("broker", scene.target("kafka"))
    return ""


@fault("api", share=9)
def api(scene: Scene) -> str:
    scene.kill("api", scene.target("api"))
    return ""


@fault("postgres", share=2)
def postgres(scene: Scene) -> str:
    # Only the server itself: its children must notice.
    scene.kill("postgres", scene.target("postgres")[:1])
    return ""


@fault("redis", share=2)
def redis(scene: Scene) -> str:
    scene.kill("redis", scene.target("redis"))
    return ""


@fault("stream driver", share=4)
def driver(scene: Scene) -> str:
    scene.kill("stream driver", scene.target("streams")[:1])
    return ""


@fault("stream JVM", share=4, possible=_spark)
def jvm(scene: Scene) -> str:
    scene.target("streams")
    wait_until(lambda: scene.world.jvm() is not None, seconds=30)
    found = scene.world.jvm()
    scene.kill("stream JVM", [found] if found else [])
    return ""


@fault("api while it spools", share=3)
def api_while_it_spools(scene: Scene) -> str:
    """The broker hangs, the API writes to its spool and is killed in the middle of that."""
    scene.world.await_ready("kafka", "api")
    held, victim = scene.world.tree("kafka"), scene.world.tree("api")
    freeze(held)
    try:
        with Watch(_SPOOL_FILE, scene.world.settings.music_home) as watch:
            seen = watch.wait(_HANG_SECONDS)
        time.sleep(scene.rng.choice((0.0, 0.002, 0.02)))
        scene.kill("api while it spools", victim)
    finally:
        _go_on(held)
    return "" if seen else "nothing was spooled"


def _go_on(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def _freeze_at(scene: Scene, point: str) -> tuple[list[psutil.Process], Path | None]:
    """Stop the stream process at a point of a batch; return its processes and the file that showed the moment."""
    scene.world.await_ready("streams")
    tree = scene.world.tree("streams")
    with Watch(POINTS[point], scene.world.settings.storage.folder) as watch:
        seen = watch.wait(_POINT_SECONDS)
    freeze(tree)
    # The first look missed what was started since, such as Python workers.
    rest = [process for process in scene.world.tree("streams") if process not in tree]
    freeze(rest)
    return [*tree, *rest], seen


def mid_write(point: str, scene: Scene) -> str:
    """Kill the stream process, or half of it, at a point of a batch."""
    tree, seen = _freeze_at(scene, point)
    rows = scene.rows_without_ledger()
    scene.torn += rows > 0
    whom = scene.rng.choice(("all", "all", "driver", "JVM"))
    victims = {"all": tree, "driver": tree[:1], "JVM": named("java", tree) or tree}[whom]
    scene.kill(f"mid-write: {point}", victims)
    _go_on(tree)
    return f"{whom}; {f'{rows} rows without ledger' if rows else 'no row without ledger'}" + ("" if seen else ", late")


def _has(point: str) -> Callable[[World], bool]:
    return lambda world: bool(POINTS[point].folders_of(world.settings.storage.folder))


for _point in POINTS:
    fault(f"mid-write: {_point}", share=1, possible=_has(_point))(partial(mid_write, _point))


@fault("commit-log entry deleted", possible=_has("done"))
def commit_log_entry_deleted(scene: Scene) -> str:
    """The batch is in every table and Spark forgets it: it must do it again, and nothing may come of it."""
    tree, seen = _freeze_at(scene, "done")
    if seen is not None:
        seen.unlink()
        seen.with_name(f".{seen.name}.crc").unlink(missing_ok=True)
    scene.kill("commit-log entry deleted", tree)
    scene.await_progress()
    return f"of batch {seen.name}" if seen else "there was none"


@fault("checkpoint wiped")
def checkpoint_wiped(scene: Scene) -> str:
    """Silver has a half-done batch, and the checkpoint that knew of it is gone; the claims may be, too."""
    claims_too = scene.rng.random() < 0.5
    tree, _ = _freeze_at(scene, "silver")
    rows = scene.rows_without_ledger()
    scene.torn += rows > 0
    root = scene.world.settings.checkpoint_root
    for path in (path for job in root.iterdir() if job.is_dir() for path in job.iterdir()):
        if claims_too or path.name != "claims":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    scene.kill("checkpoint wiped", tree)
    scene.await_progress()
    return f"{'with' if claims_too else 'without'} the claims, {rows} rows without ledger"


@fault("claim index lost")
def claim_index_lost(scene: Scene) -> str:
    tree, _ = _freeze_at(scene, "ledger")
    folders = list(scene.world.settings.checkpoint_root.rglob("claims"))
    for folder in folders:
        shutil.rmtree(folder)
    scene.kill("claim index lost", tree)
    scene.await_progress()
    return f"{len(folders)} folder"


def _recreate(scene: Scene, topic: str) -> None:
    """Delete a topic and make it anew: another topic under the same name, which begins at offset 0 again."""
    servers = scene.world.settings.bootstrap_servers
    old = scene.world.topics()[topic].topic_id
    client = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    client.delete_topics([topic], operation_timeout=20)[topic].result()
    wait_until(lambda: topic not in scene.world.topics(), seconds=30)
    apply(servers)
    wait_until(lambda: scene.world.topics()[topic].topic_id != old, seconds=30)


@fault("topic re-created", kills=0)
def topic_recreated(scene: Scene) -> str:
    """All that is on a topic is stored, then the topic is made anew, and events it had before come again."""
    topic = scene.rng.choice(event_topics()).name
    with scene.load.paused():
        scene.world.become_current()
        _recreate(scene, topic)
    scene.load.repeat(topic)
    scene.await_progress()
    return topic


@fault("topic re-created unseen", kills=0)
def topic_recreated_unseen(scene: Scene) -> str:
    """As before, but the new topic is longer than the old one was before the stream process looks again."""
    topic = scene.rng.choice(event_topics()).name
    with scene.load.paused():
        scene.world.become_current()
        held, ends = scene.world.tree("streams"), scene.world.topics()[topic].end_offsets
        freeze(held)
        try:
            _recreate(scene, topic)
            while any(scene.world.topics()[topic].end_offsets[number] <= end for number, end in ends.items()):
                scene.load.repeat(topic)
        finally:
            _go_on(held)
    scene.await_progress()
    return f"{topic}, {sum(scene.world.topics()[topic].end_offsets.values())} messages"


@fault("lake's disk full", kills=0, possible=lambda world: "lake" in world.disks)
def lake_full(scene: Scene) -> str:
    """No byte can be written to the lake until a write has failed; then there is room, and nobody lends a hand."""
    scene.world.await_ready("streams")
    log, disk = scene.world.stack.supervisor.log("streams"), scene.world.disks["lake"]
    size, answered = log.stat().st_size, len(scene.load.truth.answered)
    disk.fill()
    try:
        seen = wait_until(lambda: _refusals(log, size) > 0, seconds=_POINT_SECONDS, pause=0.3)
        time.sleep(scene.rng.uniform(*_FULL_SECONDS))
        taken = len(scene.load.truth.answered) - answered
    finally:
        disk.release()
    scene.await_progress()
    return f"{'a write failed' if seen else 'nothing was written'}; {taken} events taken meanwhile"


def _refusals(log: Path, since: int) -> int:
    with log.open("rb") as file:
        file.seek(since)
        return len(_NO_SPACE.findall(file.read()))


@fault("spool's disk full", kills=0, possible=lambda world: "spool" in world.disks)
def spool_full(scene: Scene) -> str:
    """The broker hangs and the spool has no room: the API must say 503, and take everything again later."""
    scene.world.await_ready("kafka", "api")
    held, disk, before = scene.world.tree("kafka"), scene.world.disks["spool"], scene.load.truth.verdicts.repeated
    disk.fill()
    freeze(held)
    try:
        time.sleep(scene.rng.uniform(*_FULL_SECONDS))
    finally:
        _go_on(held)
        disk.release()
    scene.world.await_ready("kafka", "api")
    wait_until(lambda: scene.world.spooled() == 0, seconds=60)
    return f"{scene.load.truth.verdicts.repeated - before} requests repeated"


@fault("upkeep")
def upkeep(scene: Scene) -> str:
    """Tables are compacted while the stream writes to them: once killed in the middle, once to the end."""
    lake = scene.world.settings.storage.folder
    command = [sys.executable, "-c", _TEND, str(lake)]
    first = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    with Watch(POINTS["silver"], lake) as watch:
        watch.wait(_HANG_SECONDS)
    time.sleep(scene.rng.uniform(0, 0.5))
    if first.poll() is None:
        scene.kill("upkeep", [psutil.Process(first.pid)])
    before = scene.ledger_version()
    tended = tend_all(scene.world.settings)
    fewer = sum(care.files - care.files_after for care in tended)
    return f"{fewer} files fewer, {scene.ledger_version() - before} batches meanwhile"


@fault("erasure")
def erasure(scene: Scene) -> str:
    """A listener is erased while their events go on coming: killed in the middle, asked for again until it is done."""
    listeners = scene.world.listeners()
    heard = sorted({event["user_id"] for event in scene.load.truth.settled} & listeners.keys())
    listener = listeners[scene.rng.choice(heard)]
    scene.load.truth.erased.add(listener)
    name = f"chaos-{len(scene.load.truth.erased)}"
    scene.world.await_ready("streams")
    first = threading.Thread(target=_erase, args=(scene.world, listener, name))
    first.start()
    time.sleep(scene.rng.uniform(0, _ERASING_SECONDS))
    halfway = first.is_alive()
    scene.kill("erasure", scene.world.tree("streams"))
    first.join()
    if not wait_until(lambda: _erase(scene.world, listener, name), seconds=READY_SECONDS, pause=0.5):
        raise TimeoutError(f"the erasure was not done within {READY_SECONDS:.0f} s")
    scene.await_progress()
    return "killed half-way" if halfway else "killed when it was done"


def _erase(world: World, listener: str, name: str) -> bool:
    try:
        world.streams.erase([listener], name)
    except UnavailableError:
        return False
    return True
