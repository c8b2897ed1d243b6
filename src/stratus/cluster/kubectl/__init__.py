"""kubectl command lines as typed reads and writes: parsed by our grammar, compiled against a reader.

`compile_command` is what the rest of Stratus uses; `parse_command` stops after the grammar.
"""

from stratus.cluster.kubectl.compiler import compile_command
from stratus.cluster.kubectl.grammar import Parsed, parse_command

__all__ = ["Parsed", "compile_command", "parse_command"]
