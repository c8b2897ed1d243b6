"""What programs write to their logs about the traffic of one tick."""

from __future__ import annotations

from stratus.sim.apps.dialects import spoken
from stratus.sim.apps.process import Proc
from stratus.sim.apps.runtime import AppRuntime, noise
from stratus.sim.apps.serving import Serving


class Telling:
    """Turns the failures and the load of a tick into log lines."""

    def __init__(self, serving: Serving, runtime: AppRuntime, seed: int) -> None:
        self.serving = serving
        self.runtime = runtime
        self.seed = seed

    def write(
        self,
        live: list[Proc],
        lines: dict[tuple[int, str, str, str], float],
        asked: dict[int, dict[str, float]],
    ) -> None:
        """Write the lines of the tick that ends now: failures (at most three of each kind), slowness, normal work."""
        by_id = {id(p): p for p in live}
        now, seconds, tick = self.serving.now, self.serving.seconds, self.serving.tick
        for (owner, target, operation, message), rate in sorted(lines.items(), key=lambda e: (e[0][1:], -e[1])):
            proc = by_id.get(owner)
            if proc is None:
                continue
            style = proc.program.logs
            count = min(rate * seconds, 3.0)
            whole = int(count) + (noise(self.seed, proc.uid, target, message, tick) < count - int(count))
            for number in range(whole):
                at = now - seconds * (whole - number) / (whole + 1)
                host, port = proc.addresses.get(target, ("", 0))
                template = style.error if target else style.failed
                told = message if target else spoken(proc.program.client, message)
                told = told.replace('"', '\\"') if '"{message}"' in template else told
                proc.write(at, template, target=target, operation=operation, message=told, address=f"{host}:{port}")
            if target and whole:
                self._denied(proc, target, operation, message)
        for proc in live:
            ops = asked.get(id(proc))
            if ops:
                self._normal(proc, max(sorted(ops), key=lambda name: ops[name]))

    def _normal(self, proc: Proc, busiest: str) -> None:
        style, now = proc.program.logs, self.serving.now
        if style.slow and (proc.backlog > 0.2 * proc.capacity or proc.busy > 0.9 or proc.line > 1.0):
            found = self.serving.outcomes.get((id(proc), busiest))
            ms = round((found.own[0] if found is not None else 0.0) * 1000)
            proc.write(now - 0.4, style.slow, operation=busiest, ms=ms)
        if proc.mods is not None and proc.mods.log and self.serving.tick % 3 == 0:
            proc.write(now - 0.3, *proc.mods.log)
        if style.access and self.serving.tick % 12 == int(12 * noise(proc.uid, proc.container)):
            proc.write(now - 0.2, *style.access, operation=busiest, rate=f"{proc.rps:.1f}")

    def _denied(self, proc: Proc, target: str, operation: str, message: str) -> None:
        """Let a datastore tell of a login, an operation or a plain connection that it refused."""
        answer = self.serving.answers.get((id(proc), target, operation))
        if answer is None:
            return
        login = proc.program.targets[target].login
        for _, server in answer.branches:
            store = server.program.datastore
            if store is None or not store.denied:
                continue
            plain = server.demands_tls and target not in proc.tls
            trouble = None if plain else self.runtime.trouble(proc, target, server, operation)
            if plain or (trouble is not None and trouble.text == message):
                user = proc.logins[target][0] if login is not None else ""
                reason = "SSLHandshakeFailed: The server is configured to only allow SSL connections" if plain else ""
                text = reason or message
                if store.kind == "mongodb":
                    # Its log is JSON.
                    text = text.replace('"', '\\"')
                elif any("FATAL:" in line or "ERROR:" in line for line in store.denied):
                    text = text.removeprefix("FATAL:  ").removeprefix("ERROR:  ")
                server.write(self.serving.now, *store.denied, user=user, reason=text)
