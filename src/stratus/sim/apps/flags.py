"""Feature flags and settings at work: which program is told what, and what that changes about it."""

from __future__ import annotations

from stratus.sim.apps.effects import Flag, Mods, read_flags
from stratus.sim.apps.process import Proc
from stratus.sim.apps.routes import Routes
from stratus.sim.apps.runtime import AppRuntime


class Flags:
    """Flags as programs get them: from the process they ask, which reads them from a file in its container."""

    def __init__(self, routes: Routes, runtime: AppRuntime) -> None:
        self.routes = routes
        self.runtime = runtime
        self._served: dict[tuple[str, str], dict[str, Flag]] = {}

    def look(self) -> None:
        """Read the files anew when they are asked for."""
        self._served.clear()

    def mods(self, proc: Proc) -> Mods | None:
        """Return what flags and settings change about a program now."""
        if not proc.program.effects:
            return None
        found: Mods | None = None
        told: dict[str, Flag] | None = None
        for number, effect in enumerate(proc.program.effects):
            strength = 0.0
            if effect.setting is not None:
                strength = 1.0 if number in proc.switched else 0.0
            elif effect.flag:
                if told is None:
                    told = self._told(proc)
                flag = told.get(effect.flag)
                strength = flag.strength(effect) if flag is not None else 0.0
            if strength > 0.0:
                found = found or Mods()
                found.add(effect, strength)
        return found

    def _told(self, proc: Proc) -> dict[str, Flag]:
        """Return the flags that a program is told; none when nobody answers it."""
        if proc.program.flag_file:
            return self.served(proc)
        name = proc.program.flags
        if name not in proc.addresses:
            return {}
        where, _ = self.routes.find(proc, name, *proc.addresses[name])
        if not isinstance(where, list):
            return {}
        for server, _ in where:
            if server is not None and server.program.flag_file:
                return self.served(server)
        return {}

    def served(self, server: Proc) -> dict[str, Flag]:
        """Return the flags that a process serves."""
        key = (server.uid, server.container)
        found = self._served.get(key)
        if found is None:
            text = self.runtime.text_of(server, server.program.flag_file)
            found = self._served[key] = read_flags(text) if text is not None else {}
        return found
