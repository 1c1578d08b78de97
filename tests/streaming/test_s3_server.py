"""What a lake on S3 counts on, held against the server of these tests: what it does not promise, no lake can."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.fixtures.s3 import s3_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.s3 import S3Server

pytestmark = pytest.mark.heavy

WRITERS = 8


def winners(client: Any, bucket: str, key: str, **condition: str) -> list[bytes]:
    """What the writers that a conditional put let through wrote, all of them at once."""
    barrier = Barrier(WRITERS)

    def put(_number: int) -> bytes | None:
        # An ETag is the content's hash: only contents that differ tell one version from the next.
        body = os.urandom(1000)
        barrier.wait(10)
        try:
            client.put_object(Bucket=bucket, Key=key, Body=body, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return None
        return body

    with ThreadPoolExecutor(WRITERS) as pool:
        return [body for body in pool.map(put, range(WRITERS)) if body is not None]


def test_of_writers_who_make_the_same_object_one_wins(s3: S3Server) -> None:
    client, bucket = s3.client(), s3.make_bucket()
    for attempt in range(30):
        made = winners(client, bucket, f"made-{attempt}", IfNoneMatch="*")
        assert len(made) == 1
        held = client.get_object(Bucket=bucket, Key=f"made-{attempt}")
        assert held["Body"].read() == made[0]
        replaced = winners(client, bucket, f"made-{attempt}", IfMatch=held["ETag"])
        assert len(replaced) == 1
        assert client.get_object(Bucket=bucket, Key=f"made-{attempt}")["Body"].read() == replaced[0]


def test_ranges_and_parts(s3: S3Server) -> None:
    client, bucket = s3.client(), s3.make_bucket()
    where = {"Bucket": bucket, "Key": "a b/day=1/part%20"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(
                **where, UploadId=upload, PartNumber=number, Body=bytes([number]) * (5 << 20)
            )["ETag"],
        }
        for number in (1, 2)
    ]  # fmt: skip
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    edge = f"bytes={(5 << 20) - 1}-{5 << 20}"
    assert client.get_object(**where, Range=edge)["Body"].read() == b"\x01\x02"
    assert client.get_object(**where, Range="bytes=-1")["Body"].read() == b"\x02"
    upload = client.create_multipart_upload(**where)["UploadId"]
    tag = client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"other")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.complete_multipart_upload(
            **where, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]}, IfNoneMatch="*"
        )


def test_what_was_acknowledged_survives_a_kill_and_nothing_is_torn(tmp_path: Path) -> None:
    acknowledged: dict[str, str] = {}
    size = 200_000
    with s3_server(tmp_path) as server:
        client, bucket = server.client(), server.make_bucket()

        def write(writer: int) -> None:
            for number in range(10_000):
                body = os.urandom(size)
                try:
                    client.put_object(Bucket=bucket, Key=f"{writer}/{number}", Body=body)
                except (BotoCoreError, ClientError):
                    return
                acknowledged[f"{writer}/{number}"] = hashlib.sha256(body).hexdigest()

        with ThreadPoolExecutor(4) as pool:
            for writer in range(4):
                pool.submit(write, writer)
            time.sleep(1.5)
            server.kill()
        server.start()
        client = server.client()
        held = {
            each["Key"]: each["Size"]
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for each in page["Contents"]
        }
        assert acknowledged.keys() <= held.keys()
        assert set(held.values()) == {size}
        for key, digest in acknowledged.items():
            assert hashlib.sha256(client.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest() == digest
