"""Detection: AlertMonitor, TelemetryCollection, AnomalyDetection."""

from __future__ import annotations

from stratus.detection.alerts import merge_alerts, parse_alerts
from stratus.detection.anomaly import detect
from stratus.detection.collection import collect
from stratus.errors import TelemetryUnreachable
from stratus.flow.nodes.story import spent, told
from stratus.flow.rooms import Rooms, RoomsFor
from stratus.flow.state import State
from stratus.model.alerts import Alert
from stratus.model.reports import IncidentState
from stratus.transaction.health import settled
from stratus.transaction.verdict import conditions_of

#: Seconds between two looks at a rollout under way.
AGAIN = 5.0


class DetectionNodes:
    """The three agents that decide whether there is an incident."""

    def __init__(self, rooms_for: RoomsFor) -> None:
        self.rooms_for = rooms_for

    def alert_monitor(self, state: State) -> State:
        """Take in alerts: those given, and those that the alert source says are firing."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        given = parse_alerts(state["alerts"]) if state.get("alerts") else ()
        firing: tuple[Alert, ...] = ()
        missing = {name: why for name, why in state.get("missing", {}).items() if name != "alerts"}
        if rooms.telemetry.alerts is not None:
            try:
                firing = rooms.telemetry.alerts.firing(tuple(state.get("namespaces", ())))
            except TelemetryUnreachable as error:
                missing["alerts"] = str(error)
        alerts = merge_alerts(given, firing)
        line = (
            f"{len(alerts)} alert(s) taken in: " + ", ".join(sorted({a.name for a in alerts}))
            if alerts
            else ("no alert given; looking for what is wrong")
        )
        return {
            "state": IncidentState.DETECTING,
            "started_at": state.get("started_at") or rooms.clock.now(),
            "verified": alerts,
            "missing": missing,
            "timeline": told(state, rooms, "AlertMonitor", line),
            "spent": spent(state, "detect", watch()),
        }

    def telemetry_collection(self, state: State) -> State:
        """Look at objects, metrics, traces, logs and events, all at one moment."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        settings = rooms.settings
        observation = collect(
            rooms.reader,
            rooms.telemetry,
            namespaces_of(state),
            now=rooms.clock.now(),
            window=settings.window,
            step=settings.step,
            baseline=settings.baseline,
            protected=settings.policy.protected_namespaces,
        )
        observation = observation.model_copy(update={"alerts": tuple(state.get("verified", ()))})
        count = sum(len(found) for kind, found in observation.objects.items() if kind != "Change")
        sources = [
            name for name in ("metrics", "logs", "traces", "alerts") if getattr(rooms.telemetry, name) is not None
        ]
        lines = [
            f"{count} objects in {len(observation.namespaces)} namespace(s), {len(observation.series)} service series"
        ]
        lines.append("telemetry: " + (", ".join(sources) if sources else "none; health comes from objects"))
        return {
            "observation": observation,
            "missing": {**state.get("missing", {}), **observation.missing},
            "timeline": told(state, rooms, "TelemetryCollection", *lines),
            "spent": spent(state, "detect", watch()),
        }

    def anomaly_detection(self, state: State) -> State:
        """Decide: an incident, none, or not to be known."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        now = rooms.clock.now()
        verified = state.get("verified", ())
        observation = state["observation"]
        detection = detect(observation, verified, health=rooms.settings.health, now=now)
        moving = False
        # A change under way shows what it does only when it has settled or stopped: until then nothing is known well.
        until = now + rooms.settings.health.settle_max / 2
        while detection.anomalous is False and not settled(observation.objects) and rooms.clock.now() < until:
            moving = True
            rooms.clock.sleep(AGAIN)
            observation = self.telemetry_collection({**state, "missing": {}})["observation"]
            detection = detect(observation, verified, health=rooms.settings.health, now=rooms.clock.now())
        times = spent(state, "detect", watch())
        again = "detection" in state
        if detection.onset and not again:
            times["detect"] += max(0.0, state["started_at"] - detection.onset)
        news: State = {
            "detection": detection,
            "verified": detection.alerts,
            # what was normal is known from the first look; later ones see the incident itself as the past
            "conditions": state["conditions"] if again else conditions_of(detection, observation),
            "observation": observation,
            "spent": times,
        }
        if moving:
            waited = f"a rollout was under way; looked again for {rooms.clock.now() - now:.0f} s"
            state = {**state, "timeline": told(state, rooms, "AnomalyDetection", waited)}
        if detection.anomalous is None:
            news["ending"] = "telemetry and objects do not tell whether something is wrong"
            news["state"] = IncidentState.NEEDS_HUMAN
            news["timeline"] = told(state, rooms, "AnomalyDetection", news["ending"], severity="warning")
        elif not detection.anomalous and (
            silent := silent_sources(rooms, {**_only_alerts(state.get("missing", {})), **detection.missing})
        ):
            # Asked and not answered is unknown, and unknown is never healthy.
            news["ending"] = f"nothing wrong is seen, but a configured source does not answer: {silent[0]}"
            news["state"] = IncidentState.NEEDS_HUMAN
            news["timeline"] = told(state, rooms, "AnomalyDetection", news["ending"], severity="warning")
        elif not detection.anomalous:
            news["ending"] = "nothing is wrong any more" if again else "nothing is wrong"
            news["state"] = IncidentState.HEALTHY
            news["timeline"] = told(state, rooms, "AnomalyDetection", news["ending"], severity="good")
        else:
            lines = [f"incident: {', '.join(detection.services[:5]) or 'no service named'}"]
            lines += [anomaly.summary for anomaly in detection.anomalies[:4]]
            news["timeline"] = told(state, rooms, "AnomalyDetection", *lines, severity="bad")
        return news


def _only_alerts(missing: dict[str, str]) -> dict[str, str]:
    return {name: why for name, why in missing.items() if name == "alerts"}


def silent_sources(rooms: Rooms, missing: dict[str, str]) -> list[str]:
    """Return why configured sources of health gave nothing; one that was never configured is not among them."""
    return [missing[n] for n in ("metrics", "alerts") if n in missing and getattr(rooms.telemetry, n) is not None]


def namespaces_of(state: State) -> tuple[str, ...]:
    """Return where to look: what was asked for, else the alerts' namespaces, else everywhere allowed (empty)."""
    if state.get("namespaces"):
        return tuple(state["namespaces"])
    detection = state.get("detection")
    if detection is not None and detection.namespaces:
        return detection.namespaces
    return tuple(sorted({alert.namespace for alert in state.get("verified", ()) if alert.namespace}))
