"""The bare side of `music bench serve`: what FastAPI costs when it says one word."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/hello")
async def hello() -> dict[str, str]:
    """Say it."""
    return {"hello": "world"}
