"""Prometheus behind an MCP server whose tools are `get_metrics(query)` and `get_alerts()`, as SREGym serves it."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Callable
from typing import Any

from stratus.errors import TelemetryUnreachable, UsageError
from stratus.kit.text import line
from stratus.telemetry.base import Telemetry
from stratus.telemetry.http import HttpSource, Query

Call = Callable[[str, dict[str, Any]], str]
"""Calls a tool with arguments and returns the text that it answers."""


class McpSource(HttpSource):
    """Speaks to tools where others speak HTTP: the same questions and answers as Prometheus' API.

    There is no tool for ranges, for another moment than now, or for label values: ranges are asked for as subqueries,
    and a moment is put into the query with `@`.
    """

    def __init__(self, call: Call, url: str) -> None:
        super().__init__(url, name="Prometheus over MCP")
        self._call = call

    def get(self, path: str, query: Query | None = None) -> Any:
        """Answer as Prometheus' HTTP API would.

        Raises:
            TelemetryUnreachable: no answer, or one that cannot be understood.
        """
        asked = dict(query or {})
        if path.endswith("/alerts"):
            said = self._call("get_alerts", {})
            alerts = [] if said.strip() == "No firing alerts" else self._read(said, list, path)
            return {"status": "success", "data": {"alerts": alerts}}
        text = str(asked.get("query", ""))
        if path.endswith("/query_range"):
            start, end, step = (float(str(asked[k])) for k in ("start", "end", "step"))
            wide = f"({text})[{round(end - start) + round(step)}s:{round(step)}s] @ {end:.3f}"
            data = self._read(self._call("get_metrics", {"query": wide}), dict, path)
            for row in data.get("result") or ():
                row["values"] = [v for v in row.get("values") or () if start - step / 2 <= float(v[0]) <= end + 0.001]
            return {"status": "success", "data": data}
        if path.endswith("/query"):
            if asked.get("time") is not None:
                text = f"last_over_time(({text})[1s:1s] @ {float(str(asked['time'])):.3f})"
            return {"status": "success", "data": self._read(self._call("get_metrics", {"query": text}), dict, path)}
        raise TelemetryUnreachable(f"{self.name} has no tool for {path}")

    def _read(self, text: str, kind: type, path: str) -> Any:
        """Read an answer: the server prints what it has, as Python or as JSON writes it."""
        for reader in (json.loads, ast.literal_eval):
            try:
                found = reader(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(found, kind):
                return found
        raise TelemetryUnreachable(f"{self.name} answered {path} with {line(text, 120)!r}")


def prometheus_over_mcp(url: str, call: Call | None = None) -> Telemetry:
    """Return metrics and alerts from an MCP server's SSE address; nothing is asked yet.

    Args:
        url: such as `http://127.0.0.1:9954/prometheus/sse`.
        call: asks in place of a connection to that address.

    Raises:
        UsageError: the package `mcp` is not installed.
    """
    from stratus.telemetry.prometheus import PrometheusAlerts, PrometheusMetrics

    source = McpSource(call or caller(url), url)
    return Telemetry(
        metrics=PrometheusMetrics(source),
        alerts=PrometheusAlerts(source),
        names={"metrics": f"Prometheus over MCP {url}", "alerts": f"Prometheus over MCP {url}"},
    )


def caller(url: str) -> Call:
    """Return what calls the tools of an MCP server, one connection a call.

    Raises:
        UsageError: the package `mcp` is not installed.
    """
    try:
        from mcp import ClientSession
        from mcp.client.sse import sse_client
    except ImportError:
        raise UsageError("SREGym's servers speak MCP: install the package `mcp` (the extra `sregym`)") from None

    async def ask(tool: str, arguments: dict[str, Any]) -> str:
        async with sse_client(url) as streams, ClientSession(*streams) as session:
            await session.initialize()
            answer = await session.call_tool(tool, arguments)
            return "".join(str(getattr(part, "text", "")) for part in answer.content)

    def call(tool: str, arguments: dict[str, Any]) -> str:
        try:
            return asyncio.run(ask(tool, arguments))
        except Exception as error:  # the client lets through whatever its HTTP library raises
            raise TelemetryUnreachable(f"the MCP server at {url} does not answer: {line(str(error))}") from error

    return call
