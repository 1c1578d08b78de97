"""Fetches the pinned jars of the broker and of Spark, once, and proves every one by its checksum.

The Ivy that ships inside pyspark does the fetching, so Java is all it takes. A folder is filled aside,
verified and moved into place whole: what lies there is complete, and what is damaged is fetched again.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from music_assets.stack.parts import DEPLOY
from streaming.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from streaming.settings import Settings

EMBEDDED: Final = ("kafka", "spark")
"""What every stack needs."""
S3: Final = "s3"
"""What Spark needs as well for a lake on S3."""
_PINS: Final = DEPLOY / "jars"


def checksums(file: Path = _PINS / "checksums.sha256") -> dict[str, dict[str, str]]:
    """Return the SHA-256 of every jar: set, then file name, to hexadecimal digest."""
    sums: dict[str, dict[str, str]] = {name: {} for name in (*EMBEDDED, S3)}
    for line in file.read_text(encoding="utf-8").splitlines():
        digest, path = line.split(maxsplit=1)
        folder, name = path.split("/", 1)
        sums[folder][name] = digest
    return sums


def damaged(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Return the names of the jars in a folder that are missing, damaged or should not be there."""
    present = {path.name for path in folder.glob("*.jar")}
    wrong = {name for name in present & expected.keys() if _digest(folder / name) != expected[name]}
    return sorted((present ^ expected.keys()) | wrong)


def needed(settings: Settings) -> tuple[str, ...]:
    """Return the names of the sets that these settings ask for."""
    return EMBEDDED if settings.storage.store is None else (*EMBEDDED, S3)


def fetch(root: Path, sets: Collection[str] = EMBEDDED) -> list[str]:
    """Make sure that every pinned jar of some sets lies below `root`; return the sets that had to be fetched.

    Args:
        root: where each set has its folder.
        sets: names of sets.

    Raises:
        StackError: Java is missing, or a jar cannot be had, or is not the one that was pinned.
    """
    expected = checksums()
    with _alone(root):
        missing = [name for name in sets if damaged(root / name, expected[name])]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: _fetch(root, name, expected[name]), missing))
    return missing


def _fetch(root: Path, name: str, expected: Mapping[str, str]) -> None:
    unfinished = root / f"{name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    output = _ivy(name, unfinished)
    wrong = damaged(unfinished / "jars", expected)
    if wrong:
        failed = next((line.strip() for line in output.splitlines() if "UNRESOLVED" in line or "ERROR" in line), "")
        raise StackError(
            f"jars for {name} not fetched or not the pinned ones: {', '.join(wrong[:3])} {failed}".rstrip()
        )
    shutil.rmtree(root / name, ignore_errors=True)
    (unfinished / "jars").rename(root / name)
    shutil.rmtree(unfinished)


def _ivy(name: str, folder: Path) -> str:
    """Let Ivy fetch one set; each has a cache of its own, so that both can run at once."""
    java = shutil.which("java")
    if java is None:
        raise StackError("Java is missing: install Java 17 and put `java` on the PATH")
    arguments = {
        "-settings": _PINS / "ivysettings.xml",
        "-ivy": _PINS / "ivy.xml",
        "-confs": name,
        "-cache": folder / "cache",
        "-retrieve": folder / "jars" / "[artifact]-[revision].[ext]",
    }
    options = [str(part) for pair in arguments.items() for part in pair]
    # A damaged download ends here as an exit code or, at the latest, as a wrong checksum.
    done = subprocess.run(
        [java, "-XX:TieredStopAtLevel=1", "-jar", str(_ivy_jar()), *options],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout + done.stderr


def _ivy_jar() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise StackError("the package pyspark is not installed: run `make` for the environment")
    return next((Path(spec.origin).parent / "jars").glob("ivy-*.jar"))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one process at a time fetch into a folder."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
