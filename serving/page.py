"""The built web page at `/app/`: files with a hash in their name are kept by a browser, all else is asked for again."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

PATH: Final = "/app"
DIST: Final = Path(__file__).parent / "web" / "dist"
_INDEX: Final = "index.html"
_HASHED: Final = "assets/"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


class Page(StaticFiles):
    """The page's files.

    Args:
        folder: where the build puts them; it may come later.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self._folder = folder

    @property
    def is_built(self) -> bool:
        """Whether there is a page."""
        return (self._folder / _INDEX).is_file()

    async def check_config(self) -> None:
        """Start without a folder: whether there is one is asked at each request."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or the page itself for an address that the page makes of its own.

        Raises:
            HTTPException: there is no such file, or no page.
        """
        if not self.is_built:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the web page is not built: `make web` builds it")
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != HTTPStatus.NOT_FOUND or Path(path).suffix:
                raise
            path = _INDEX
            response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = _FOR_EVER if path.startswith(_HASHED) else _ASK_AGAIN
        return response
