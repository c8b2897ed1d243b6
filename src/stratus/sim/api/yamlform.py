"""Objects as YAML, written the way the server writes it: sorted, blocks for texts of several lines."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts plain where they are texts plainly, else in double quotes."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        tag = "tag:yaml.org,2002:str"
        if "\n" in value:
            return dumper.represent_scalar(tag, value, style="|")
        plain = dumper.resolve(yaml.ScalarNode, value, (True, False)) == tag
        return dumper.represent_scalar(tag, value, style=None if plain and value else '"')

    Dumper.add_representer(str, text)
    return Dumper


def dump_yaml(obj: Any) -> str:
    """Return an object of plain JSON values as a YAML document."""
    import yaml

    text: str = yaml.dump(obj, Dumper=_dumper(), sort_keys=True, allow_unicode=True)
    return text
