"""What is asked and answered about sessions."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from music_assets.accounts import MOST_PASSWORD
from streaming.events import NO_CONTROL


class SignIn(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"account": "ada", "password": "correct horse battery"}}
    )

    account: str = Field(
        min_length=1, max_length=100, pattern=NO_CONTROL, description="The account, as `music account create` named it."
    )
    password: SecretStr = Field(min_length=1, max_length=MOST_PASSWORD, description="Its password.")


class SessionAnswer(BaseModel):
    """Who is signed in, and what they may."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "mode": "keys", "signed_in": True, "account": "ada", "user_id": "user1", "operator": False,
                "csrf": "3f6a0e…",
            }
        }
    )  # fmt: skip

    mode: Literal["open", "keys"] = Field(
        description="`open`: whoever is on this machine may do everything, nobody signs in. `keys`: one must sign in."
    )
    signed_in: bool = Field(description="Whether what the account may can be asked for now.")
    account: str | None = Field(description="The account; null: none.")
    user_id: str | None = Field(description="The listener of the account; null: it has none.")
    operator: bool = Field(description="Whether the operator's endpoints open.")
    csrf: str | None = Field(
        description="To be sent as `X-CSRF-Token` with every request but GET and HEAD; null: none is needed."
    )
