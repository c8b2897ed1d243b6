"""The HTTP side: `POST /webhook`, `GET /incidents`, `GET /healthz`, `GET /metrics`."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from stratus.detection.alerts import parse_alerts
from stratus.errors import AlertError
from stratus.model.reports import IncidentState
from stratus.serve.intake import Intake

if TYPE_CHECKING:
    from aiohttp import web

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a webhook body."""


def make_app(intake: Intake) -> web.Application:
    """Return the aiohttp application over an intake; starting and stopping the intake is the caller's."""
    from aiohttp import web

    async def webhook(request: web.Request) -> web.Response:
        try:
            ids = intake.take(parse_alerts(await request.text()))
        except AlertError as error:
            return web.json_response({"error": str(error)}, status=400)
        except queue.Full:
            return web.json_response({"error": "too many incidents wait; send again later"}, status=429)
        return web.json_response({"incidents": ids}, status=202)

    async def incidents(_request: web.Request) -> web.Response:
        rows = [
            {"id": i.id, "status": i.status, "alerts": i.alerts, "state": i.report.state if i.report else None}
            for i in intake.incidents()
        ]
        return web.json_response(rows)

    async def incident(request: web.Request) -> web.Response:
        found = next((i for i in intake.incidents() if i.id == request.match_info["id"]), None)
        if found is None:
            return web.json_response({"error": "no such incident"}, status=404)
        return web.Response(text=found.model_dump_json(by_alias=True), content_type="application/json")

    async def page(request: web.Request) -> web.Response:
        from stratus.reporting.html import html

        found = next((i for i in intake.incidents() if i.id == request.match_info["id"]), None)
        if found is None or found.report is None:
            return web.Response(text="no report of that incident (yet)", status=404)
        return web.Response(text=html(found.report), content_type="text/html")

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text=exposition(intake), content_type="text/plain")

    app = web.Application(client_max_size=BODY_LIMIT)
    app.add_routes(
        [
            web.post("/webhook", webhook),
            web.get("/incidents", incidents),
            web.get("/incidents/{id}", incident),
            web.get("/incidents/{id}/report", page),
            web.get("/healthz", health),
            web.get("/metrics", metrics),
        ]
    )
    return app


def exposition(intake: Intake) -> str:
    """Return what Prometheus scrapes: incidents by state, attempts by verdict, seconds of MTTR."""
    found = intake.incidents()
    ended = [i.report for i in found if i.report is not None]
    lines = ["# TYPE stratus_incidents gauge"]
    for status in ("queued", "working", "ended", "failed"):
        lines.append(f'stratus_incidents{{status="{status}"}} {sum(i.status == status for i in found)}')
    lines.append("# TYPE stratus_reports_total counter")
    for state in IncidentState:
        lines.append(f'stratus_reports_total{{state="{state.value}"}} {sum(r.state == state for r in ended)}')
    lines.append("# TYPE stratus_attempts_total counter")
    for verdict in ("RESOLVED", "IMPROVED", "UNCHANGED", "REGRESSED", "UNKNOWN"):
        count = sum(a.verdict == verdict for r in ended for a in r.attempts)
        lines.append(f'stratus_attempts_total{{verdict="{verdict}"}} {count}')
    total = sum(r.mttr.total for r in ended if r.state == IncidentState.RESOLVED)
    lines += ["# TYPE stratus_mttr_seconds_sum counter", f"stratus_mttr_seconds_sum {total:.3f}"]
    return "\n".join(lines) + "\n"
