"""Alerts from Alertmanager's API v2."""

from __future__ import annotations

from stratus.model.alerts import Alert
from stratus.telemetry.alertdata import alert_of, in_namespaces
from stratus.telemetry.http import HttpSource

SUPPRESSED = "stratus.dev/suppressed"
"""Annotation of an alert that fires but is silenced or inhibited: `silenced` or `inhibited`."""


class AlertmanagerAlerts:
    """The `Alerts` port.

    Silenced alerts are told too: a silence stops messages, it heals nothing. Inhibited ones are left out, because the
    alert that inhibits them is there.
    """

    def __init__(self, source: HttpSource) -> None:
        self._source = source

    def firing(self, namespaces: tuple[str, ...] = ()) -> tuple[Alert, ...]:
        """Return alerts that fire now.

        Raises:
            TelemetryUnreachable: Alertmanager does not answer, or not as one.
        """
        path = "/api/v2/alerts"
        rows = self._source.get(
            path, {"active": "true", "silenced": "true", "inhibited": "true", "unprocessed": "true"}
        )
        if not isinstance(rows, list):
            raise self._source.odd(path)
        found = []
        try:
            for row in rows:
                status = row.get("status") or {}
                if status.get("inhibitedBy"):
                    continue
                notes = dict(row.get("annotations") or {})
                if status.get("silencedBy"):
                    notes[SUPPRESSED] = "silenced"
                found.append(alert_of(row["labels"], notes, row.get("startsAt"), "alertmanager"))
        except (KeyError, TypeError, AttributeError) as problem:
            raise self._source.odd(path) from problem
        return in_namespaces(found, namespaces)
