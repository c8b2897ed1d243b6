"""Everything that watches one cluster, made when somebody first looks: until then only notes are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stratus.sim.store import Store
from stratus.sim.telemetry.history import History
from stratus.sim.telemetry.objectlog import ObjectLog
from stratus.sim.telemetry.rules import Rules

if TYPE_CHECKING:
    from stratus.sim.apps.runtime import AppRuntime
    from stratus.sim.telemetry.alerting import Alerting
    from stratus.sim.telemetry.promql.evaluator import Engine
    from stratus.sim.telemetry.recorder import Recorder


class Observatory:
    """The series, queries and alerts of one cluster.

    Attributes:
        log: what objects there were when.
        rules: the alert rules, `history` the traffic.
    """

    def __init__(
        self, rules: Rules, store: Store, history: History, runtime: AppRuntime, now: Callable[[], float], begun: float
    ) -> None:
        self.rules = rules
        self.history = history
        self.runtime = runtime
        self.now = now
        self.begun = begun
        self.log = ObjectLog(store, now)
        self._recorder: Recorder | None = None
        self._engine: Engine | None = None
        self._alerting: Alerting | None = None
        history.before_drop = self.catch_up

    def close(self) -> None:
        """Stop following the store."""
        self.log.close()

    def copy_state(self, other: Observatory) -> None:
        """Take over what another observatory knows, for a copy of its cluster."""
        self.begun = other.begun
        self.log.take_over(other.log)
        if other._recorder is not None:
            self.recorder.copy_state(other._recorder)
        if other._alerting is not None:
            self.alerting.copy_state(other._alerting)

    def catch_up(self) -> None:
        """Work everything out up to now."""
        self.alerting.catch_up(self.now())

    def scrape(self) -> str:
        """Return what a Prometheus that scrapes the cluster is given now."""
        from stratus.sim.telemetry.exposition import exposition

        return exposition(self.recorder.present())

    @property
    def recorder(self) -> Recorder:
        """Return the series."""
        if self._recorder is None:
            from stratus.sim.telemetry.recorder import Recorder

            self._recorder = Recorder(self.log, self.history, self.runtime, self.now, self.begun)
        return self._recorder

    @property
    def engine(self) -> Engine:
        """Return what answers queries over the series, without a look at the alerts first."""
        if self._engine is None:
            from stratus.sim.telemetry.promql.evaluator import Engine

            self._engine = Engine(self.recorder)
        return self._engine

    @property
    def alerting(self) -> Alerting:
        """Return the state of the rules."""
        if self._alerting is None:
            from stratus.sim.telemetry.alerting import Alerting

            self._alerting = Alerting(self.rules, self.recorder, self.engine, self.begun)
        return self._alerting
