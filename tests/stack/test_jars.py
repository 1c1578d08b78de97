from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from music_assets.stack import jars
from streaming.errors import StackError

if TYPE_CHECKING:
    from tests.fixtures.s3 import S3Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two jars as pinned."""
    (tmp_path / "jars").mkdir()
    for name in ("a.jar", "b.jar"):
        (tmp_path / "jars" / name).write_bytes(name.encode())
    return tmp_path / "jars"


@pytest.fixture
def pinned(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_whole_folder_is_not_damaged(folder: Path, pinned: dict[str, str]) -> None:
    assert jars.damaged(folder, pinned) == []


def test_a_truncated_jar_is_found(folder: Path, pinned: dict[str, str]) -> None:
    os.truncate(folder / "a.jar", 2)

    assert jars.damaged(folder, pinned) == ["a.jar"]


def test_a_missing_jar_is_found(folder: Path, pinned: dict[str, str]) -> None:
    (folder / "b.jar").unlink()

    assert jars.damaged(folder, pinned) == ["b.jar"]


def test_a_jar_nobody_pinned_is_found(folder: Path, pinned: dict[str, str]) -> None:
    (folder / "c.jar").touch()

    assert jars.damaged(folder, pinned) == ["c.jar"]


def test_every_pinned_jar_is_there_and_proved(make_settings) -> None:
    root = make_settings().jars_path

    assert {name: jars.damaged(root / name, jars.checksums()[name]) for name in jars.EMBEDDED} == {
        "kafka": [],
        "spark": [],
    }


def test_a_half_fetched_jar_is_fetched_again(tmp_path: Path, make_settings) -> None:
    for name in jars.EMBEDDED:
        shutil.copytree(make_settings().jars_path / name, tmp_path / "jars" / name)
    broken = next((tmp_path / "jars" / "spark").glob("commons-pool2-*.jar"))
    os.truncate(broken, 1000)
    (tmp_path / "jars" / "spark.unfinished" / "jars").mkdir(parents=True)

    assert jars.fetch(tmp_path / "jars") == ["spark"]
    assert jars.damaged(broken.parent, jars.checksums()["spark"]) == []
    assert not (tmp_path / "jars" / "spark.unfinished").exists()
    assert jars.fetch(tmp_path / "jars") == []


def test_jars_that_are_not_the_pinned_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_something_else(_name: str, unfinished: Path) -> str:
        (unfinished / "jars").mkdir(parents=True)
        (unfinished / "jars" / "evil.jar").touch()
        return ""

    monkeypatch.setattr(jars, "_ivy", fetch_something_else)

    with pytest.raises(StackError, match=r"^jars for .* not fetched or not the pinned ones: "):
        jars.fetch(tmp_path)
    assert not (tmp_path / "kafka").exists()


def pyspark_jars() -> Path:
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "jars"


def test_s3a_has_the_version_of_hadoop_in_spark() -> None:
    spark = next(pyspark_jars().glob("hadoop-client-api-*.jar")).stem.removeprefix("hadoop-client-api-")

    assert f"hadoop-aws-{spark}.jar" in jars.checksums()[jars.S3]


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_jars_for_s3_are_all_that_s3a_needs_beside_spark(tmp_path: Path, s3: S3Server, make_settings) -> None:
    """Write, copy, list, read and delete through s3a: a class that is missing shows only when it is used."""
    root = make_settings().jars_path
    jars.fetch(root, [jars.S3])
    assert jars.damaged(root / jars.S3, jars.checksums()[jars.S3]) == []
    options = {"endpoint": s3.endpoint, "endpoint.region": "us-east-1", "path.style.access": "true",
               "access.key": s3.access_key, "secret.key": s3.secret_key,
               # Small, so that uploads by part are tried as well.
               "multipart.size": "5M", "multipart.threshold": "6M"}  # fmt: skip
    properties = "".join(
        f"<property><name>fs.s3a.{name}</name><value>{value}</value></property>" for name, value in options.items()
    )
    (tmp_path / "core-site.xml").write_text(f"<configuration>{properties}</configuration>")
    lake = f"s3a://{s3.make_bucket()}"
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20 << 20))

    def shell(*arguments: str) -> str:
        path = f"{tmp_path}:{pyspark_jars()}/*:{root / jars.S3}/*"
        command = ["java", "-cp", path, "org.apache.hadoop.fs.FsShell", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    shell("-put", str(source), f"{lake}/a")
    shell("-mv", f"{lake}/a", f"{lake}/b")
    assert str(source.stat().st_size) in shell("-ls", f"{lake}/")
    shell("-get", f"{lake}/b", str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    shell("-rm", "-r", "-skipTrash", f"{lake}/b")
    assert shell("-ls", f"{lake}/") == ""
