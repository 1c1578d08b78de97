"""How to talk to an object store: delta-rs, Arrow, Hadoop and boto3 each ask in their own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from streaming.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_REGION: Final = "us-east-1"
"""What a server that knows no regions is asked in; one that does answers with its own."""
_SECONDS: Final = 10
"""A store that is there connects, and begins to answer, within this."""
_NOT_FOUND: Final = 404
_BROKEN: Final = 500
_FORBIDDEN: Final = (401, 403, _NOT_FOUND)
"""Some servers do not find a key that they do not know."""


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """How to talk to an object store; what is None, the libraries look for as AWS says.

    Attributes:
        endpoint: its address, `http://` or `https://`; None: AWS itself.
        access_key: id of the key.
        secret_key: its secret.
    """

    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)

    def delta_options(self) -> dict[str, str]:
        """Return the options of delta-rs: a commit is put only if its number is free, so one of two writers wins."""
        chosen = {
            "aws_endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "aws_region": _REGION if self.endpoint else None,
            "aws_allow_http": "true" if self._plain else None,
            "conditional_put": "etag",
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def hadoop_options(self) -> dict[str, str]:
        """Return the options of Hadoop's s3a."""
        chosen = {
            "fs.s3a.endpoint": self.endpoint,
            "fs.s3a.endpoint.region": _REGION if self.endpoint else None,
            "fs.s3a.access.key": self.access_key,
            "fs.s3a.secret.key": self.secret_key,
            "fs.s3a.path.style.access": "true" if self.endpoint else None,
            "fs.s3a.connection.ssl.enabled": "false" if self._plain else None,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def client(self) -> Any:
        """Return a boto3 client, for what the file systems cannot do: conditional writes and buckets."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=_REGION if self.endpoint else None,
            config=Config(retries={"total_max_attempts": 2}, connect_timeout=_SECONDS, read_timeout=_SECONDS),
        )

    def files(self) -> FileSystem:
        """Return Arrow's file system, whose paths begin with the bucket."""
        return _files(self)

    def check(self, bucket: str, root: str) -> None:
        """Make sure that a bucket can be used, and make it if it is missing.

        Args:
            bucket: its name.
            root: the lake in it, for the message.

        Raises:
            UnavailableError: the object store does not answer.
            ConfigurationError: it refuses the settings.
        """
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        client = self.client()
        try:
            try:
                client.head_bucket(Bucket=bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != _NOT_FOUND:
                    raise
                client.create_bucket(Bucket=bucket)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status >= _BROKEN:
                raise UnavailableError(f"the object store at S3_ENDPOINT={self._address} answers {status}") from error
            raise ConfigurationError(self._refused(root, status)) from error
        except NoCredentialsError as error:
            raise ConfigurationError("S3_ACCESS_KEY and S3_SECRET_KEY are empty and AWS knows no others") from error
        except (BotoCoreError, ValueError) as error:
            raise UnavailableError(
                f"the object store does not answer at S3_ENDPOINT={self._address}; start it, or set the address"
            ) from error

    def _refused(self, root: str, status: int) -> str:
        at = f"the object store at S3_ENDPOINT={self._address}"
        if status in _FORBIDDEN:
            return f"{at} refuses S3_ACCESS_KEY and S3_SECRET_KEY for the bucket of LAKEHOUSE_PATH={root}"
        return f"{at} answers {status} for the bucket of LAKEHOUSE_PATH={root}; valid: s3a://bucket/prefix"

    @property
    def _plain(self) -> bool:
        return bool(self.endpoint and self.endpoint.startswith("http://"))

    @property
    def _address(self) -> str:
        return self.endpoint or "AWS"


@cache
def _files(store: ObjectStore) -> FileSystem:
    # Here, because a lake on a disk should not pay for loading it.
    from pyarrow.fs import S3FileSystem

    chosen = {
        "endpoint_override": store.endpoint,
        "access_key": store.access_key,
        "secret_key": store.secret_key,
        "region": _REGION if store.endpoint else None,
    }
    return S3FileSystem(
        **{name: value for name, value in chosen.items() if value is not None},
        connect_timeout=_SECONDS,
        request_timeout=_SECONDS,
    )
