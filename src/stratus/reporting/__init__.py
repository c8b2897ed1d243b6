"""Reporting: the report of an incident, its renderings, notification drafts, and the ticket for the knowledge base."""

from __future__ import annotations

from stratus.model.reports import RENDERERS, Report


def embedded_html(report: Report) -> str:
    """Render a report for a notebook cell: the full page in a frame of its own, so that its style stays inside."""
    from html import escape

    from stratus.reporting.html import html

    page = escape(html(report), quote=True)
    return f'<iframe srcdoc="{page}" style="width:100%;height:900px;border:0" sandbox></iframe>'


if embedded_html not in RENDERERS:
    RENDERERS.append(embedded_html)
