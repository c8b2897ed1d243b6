"""One connection of the HTTP server: how it answers what is no request."""

from __future__ import annotations

import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

#: Where aiohttp would tell of each misshapen request with a trace; anybody could fill a disk with that.
QUIET = logging.getLogger("stratus.sim.http.requests")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
#: What a request line, a header and all headers may be: service account tokens and long selectors fit.
LINE, FIELD, HEADERS = 64 * 1024, 64 * 1024, 256


class Handler(RequestHandler):
    """A connection whose errors are told with the status that fits, and end it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as a request."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; the connection ends")
        if status == HTTPStatus.BAD_REQUEST and (isinstance(exc, LineTooLong) or "headers" in (message or "")):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        text = f"{status} {HTTPStatus(status).phrase}"
        answer = web.Response(status=status, text=text, content_type="text/plain")
        answer.force_close()
        return answer
