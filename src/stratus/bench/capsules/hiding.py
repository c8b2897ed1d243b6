"""Takes out of a capsule what must not leave: secrets by their names, and by what they look like."""

from __future__ import annotations

import re
from typing import Any

from stratus.kit.text import redact, secretive

HIDDEN = "[redacted]"
#: What looks like a secret name and is none: names of fields, of mounted volumes and of references to keys.
_HARMLESS = re.compile(
    r"^(secretName|secretKeyRef|secretRef|imagePullSecrets|automountServiceAccountToken|tokenExpirationSeconds"
    r"|serviceAccountToken|secrets|tokens(_in|_out)?|serviceAccountTokenVolumeProjection)$"
)
_NUMERIC = (int, float, bool, type(None))


class Hider:
    """Goes through JSON and counts what it hides."""

    def __init__(self) -> None:
        self.count = 0

    def hide(self, value: Any, name: str = "") -> Any:
        """Return a value without secrets.

        Numbers, and what lies below fields whose name only sounds secret, stay as they are.
        """
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list | tuple):
            return [self.hide(item, name) for item in value]
        if not isinstance(value, str) or not value:
            return value
        if name and secretive(name) and not _HARMLESS.match(name):
            self.count += value != HIDDEN
            return HIDDEN
        safe = redact(value) if "\n" not in value else "\n".join(redact(part) for part in value.split("\n"))
        self.count += safe != value
        return safe

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        # A variable of a container: its name stands beside its value.
        if (
            set(value) <= {"name", "value"}
            and isinstance(value.get("value"), str)
            and secretive(str(value.get("name")))
        ):
            self.count += bool(value["value"]) and value["value"] != HIDDEN
            return {**value, "value": HIDDEN if value["value"] else ""}
        if value.get("kind") == "Secret" and isinstance(value.get("data"), dict):
            self.count += sum(bool(v) for v in value["data"].values())
            value = {**value, "data": dict.fromkeys(value["data"], "")}
            value.pop("stringData", None)
        return {k: v if isinstance(v, _NUMERIC) else self.hide(v, str(k)) for k, v in value.items()}
