"""What a terminal does between the keys of its user and the program that reads lines."""

from __future__ import annotations

#: Longest line that is kept while it is typed.
LINE_LIMIT = 4096
INTERRUPT, END = "\x03", "\x04"
_ERASE, _KILL, _WORD = "\x7f\x08", "\x15", "\x17"


class Terminal:
    """A terminal in line mode with echo: `type` takes keys and returns what the program gets.

    Escape sequences (arrows and the like) are swallowed. `screen` collects what the user sees of their typing.
    """

    def __init__(self) -> None:
        self._line = ""
        self._escape = ""
        self.screen = ""

    def type(self, keys: str) -> list[str]:
        """Return lines (each with its line end), `INTERRUPT` for Ctrl-C and `END` for Ctrl-D on an empty line."""
        out: list[str] = []
        for key in keys:
            if self._escape:
                self._escape += key
                if self._escape == "\x1b[" or (self._escape[1] == "[" and not ("@" <= key <= "~")):
                    continue
                self._escape = ""
            elif key == "\x1b":
                self._escape = key
            elif key in "\r\n":
                self.screen += "\r\n"
                out.append(self._line + "\n")
                self._line = ""
            elif key == INTERRUPT:
                self.screen += "^C\r\n"
                self._line = ""
                out.append(INTERRUPT)
            elif key == END:
                if self._line:
                    out.append(self._line)
                    self._line = ""
                else:
                    out.append(END)
            elif key in _ERASE:
                self._erase(1 if self._line else 0)
            elif key == _KILL:
                self._erase(len(self._line))
            elif key == _WORD:
                kept = self._line.rstrip()
                self._erase(len(self._line) - (kept.rfind(" ") + 1))
            elif (key >= " " or key == "\t") and len(self._line) < LINE_LIMIT:
                self._line += key
                self.screen += key
        return out

    def _erase(self, count: int) -> None:
        if count:
            self._line = self._line[:-count]
            self.screen += "\b \b" * count

    def seen(self) -> str:
        """Return and forget what the typing has put on the screen."""
        text, self.screen = self.screen, ""
        return text


def shown(text: str) -> str:
    """Return a program's output as a terminal passes it on."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n")
