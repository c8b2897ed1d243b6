"""Alert intake: four kinds of documents, clear refusals, one alert a condition."""

from __future__ import annotations

import json

import pytest

from stratus.detection.alerts import merge_alerts, parse_alerts
from stratus.errors import AlertError
from stratus.model.alerts import Alert

LABELS = {"alertname": "HighErrors", "namespace": "shop", "service": "web", "severity": "critical"}
WEBHOOK = {
    "version": "4", "status": "firing", "receiver": "stratus", "groupKey": "{}", "commonLabels": {},
    "alerts": [{"status": "firing", "labels": LABELS, "annotations": {"summary": "many errors"},
                "startsAt": "2026-03-01T11:58:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f"}],
}  # fmt: skip
API_V2 = [
    {"labels": LABELS, "annotations": {}, "startsAt": "2026-03-01T11:58:00Z", "status": {"state": "active"}},
    {"labels": {**LABELS, "service": "cart"}, "startsAt": "2026-03-01T11:58:00Z", "status": {"state": "suppressed"}},
]
PROMETHEUS = {
    "status": "success",
    "data": {"alerts": [
        {"labels": LABELS, "annotations": {}, "state": "firing", "activeAt": "2026-03-01T11:58:00Z", "value": "1"},
        {"labels": {**LABELS, "service": "cart"}, "state": "pending", "activeAt": "2026-03-01T11:58:00Z"},
    ]},
}  # fmt: skip


@pytest.mark.parametrize("document", [WEBHOOK, API_V2, PROMETHEUS, {"labels": LABELS}])
def test_known_documents(document: object) -> None:
    for given in (document, json.dumps(document), json.dumps(document).encode()):
        (alert,) = parse_alerts(given)
        assert (alert.name, alert.namespace, alert.service) == ("HighErrors", "shop", "web")
        assert alert.severity == "critical"
        assert alert.status == "firing"
        assert "alertname" not in alert.labels


def test_times_with_nanoseconds_are_read() -> None:
    (alert,) = parse_alerts(WEBHOOK)
    assert alert.starts_at == pytest.approx(1772366280.123456)


def test_gos_zero_time_is_unknown() -> None:
    (alert,) = parse_alerts({"labels": LABELS, "startsAt": "0001-01-01T00:00:00Z"})
    assert alert.starts_at == 0.0


def test_our_own_alert_goes_round() -> None:
    alert = Alert(name="X", labels={"namespace": "shop"}, starts_at=5.0, source="detector")
    assert parse_alerts(alert.model_dump_json()) == (alert,)
    assert parse_alerts([alert]) == (alert,)


def test_sources_are_told_apart() -> None:
    assert parse_alerts(PROMETHEUS)[0].source == "prometheus"
    assert parse_alerts(WEBHOOK)[0].source == "alertmanager"


@pytest.mark.parametrize(
    ("word", "severity"),
    [("page", "critical"), ("P1", "critical"), ("Warning", "warning"), ("info", "info"), ("none", "none"),
     ("purple", "warning")],
)  # fmt: skip
def test_severities(word: str, severity: str) -> None:
    (alert,) = parse_alerts({"labels": {"alertname": "A", "severity": word}})
    assert alert.severity == severity


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("", "empty"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        ("42", "is a number"),
        ('"text"', "is a string"),
        ("null", "is null"),
        ('{"alerts": 3}', "`alerts` in the document is a number"),
        ('{"foo": 1}', "no `alertname`"),
        ('[{"labels": {}}]', "alert 1 has no `alertname`"),
        ('{"labels": 5, "name": "x"}', "`labels` of the document is a number"),
        ('{"labels": {"alertname": "x"}, "startsAt": "soon"}', "not an RFC 3339 timestamp"),
        ('{"status": "error", "error": "overload"}', "overload"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_bad_documents_are_refused_in_one_line(document: object, complaint: str) -> None:
    with pytest.raises(AlertError) as refused:
        parse_alerts(document)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_same_condition_is_kept_once() -> None:
    early = Alert(name="A", labels={"x": "1"}, starts_at=10.0, status="resolved")
    late = Alert(name="A", labels={"x": "1", "severity": "page"}, starts_at=20.0, annotations={"summary": "s"})
    other = Alert(name="A", labels={"x": "2"})
    merged = merge_alerts((early, other), (late,))
    assert len(merged) == 2
    assert merged[0].status == "firing"
    assert merged[0].starts_at == 10.0
    assert merged[0].annotations == {"summary": "s"}
    assert merge_alerts(merged, merged) == merged


def test_a_silenced_alert_starts_no_incident() -> None:
    from stratus.detection.anomaly import detect
    from stratus.model.evidence import Observation
    from stratus.settings import HealthSettings
    from stratus.telemetry.alertmanager import SUPPRESSED

    kinds = ("Pod", "Service", "Deployment")
    look = Observation(at=100.0, window=100.0, namespaces=("shop",), objects=dict.fromkeys(kinds, ()))
    loud = Alert(name="HighErrors", labels={"namespace": "shop", "service": "web"}, severity="critical", starts_at=50.0)
    quiet = loud.model_copy(update={"annotations": {SUPPRESSED: "silenced"}})
    found = detect(look, (quiet,), health=HealthSettings(), now=100.0)
    assert (found.anomalous, found.alerts, found.services) == (False, (), ())
    assert detect(look, (loud,), health=HealthSettings(), now=100.0).anomalous is True
    # who hands it in himself wants it looked at
    for merged in (merge_alerts((loud,), (quiet,)), merge_alerts((quiet,), (loud,))):
        assert detect(look, merged, health=HealthSettings(), now=100.0).alerts == merged
