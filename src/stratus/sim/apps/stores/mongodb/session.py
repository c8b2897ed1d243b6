"""One shell's session: evaluates a script over the server's state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stratus.sim.apps.stores.mongodb.documents import QueryError, legacy, modern
from stratus.sim.apps.stores.mongodb.script import Node, ScriptError, read
from stratus.sim.apps.stores.mongodb.state import Database


class Refused(Exception):
    """The server refuses a command; `code` is its number, `name` what the code is called."""

    def __init__(self, message: str, code: int = 13, name: str = "Unauthorized") -> None:
        super().__init__(message)
        self.code, self.name = code, name


class Quit(Exception):
    """The shell ends."""


@dataclass
class Handle:
    """Something of the shell that has methods: a database, a collection, a cursor, the replica set, a constructor."""

    kind: str
    database: str = ""
    name: str = ""
    rows: list[Any] = field(default_factory=list)
    shown: int | None = None


#: A statement's value that is not printed.
NOTHING = Handle("nothing")


@dataclass
class Session:
    """A shell connected to a server.

    Attributes:
        modern: it is mongosh, and prints as that does.
        evaluated: the script was given on the command line: only what its last statement is worth is printed.
    """

    state: Database
    now: float
    user: str
    database: str
    peer: str
    modern: bool = False
    evaluated: bool = False
    waited: float = 0.0
    out: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def moment(self) -> float:
        """Return the session's present."""
        return self.now + self.waited

    def shown(self, value: Any, *, flat: bool = False) -> str:
        """Return a value as the shell prints it."""
        return modern(value) if self.modern else legacy(value, flat=flat)

    def need(self, action: str, database: str, command: str) -> None:
        """Refuse what the user has no role for.

        Raises:
            Refused: it has none.
        """
        self.state.commands += 1
        if not self.state.can(self.user, action, database):
            raise Refused(f"not authorized on {database} to execute command {{ {command[:80]} }}")

    # evaluation

    def run(self, text: str) -> None:
        """Run a script; what its statements are worth is printed.

        Raises:
            ScriptError, Refused, QueryError: it goes no further.
        """
        nodes = read(text)
        for number, node in enumerate(nodes, 1):
            value = self.evaluate(node)
            said = self._printed(value) if not self.evaluated or number == len(nodes) else None
            if said is not None:
                self.out.append(said)

    def _printed(self, value: Any) -> str | None:
        if value is NOTHING or (value is None and not self.modern):
            return None
        if isinstance(value, Handle):
            return self._handle(value)
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        return self.shown(value)

    def _handle(self, value: Handle) -> str | None:
        if value.kind == "cursor":
            rows = value.rows[:20]
            if self.modern:
                return modern(rows)
            more = ['Type "it" for more'] if len(value.rows) > 20 else []
            lines = [legacy(r, flat=not value.shown) for r in rows] + more
            return "\n".join(lines) if lines else None
        if value.kind == "collection":
            return f"{value.database}.{value.name}"
        return value.database or f"[object {value.kind}]"

    def evaluate(self, node: Node) -> Any:
        """Return what a part of a script is worth."""
        return getattr(self, f"_eval_{node.kind}")(node)

    def _eval_literal(self, node: Node) -> Any:
        return node.value

    def _eval_array(self, node: Node) -> list[Any]:
        return [self.evaluate(p) for p in node.parts]

    def _eval_object(self, node: Node) -> dict[str, Any]:
        return {k: self.evaluate(v) for k, v in node.parts}

    def _eval_assign(self, node: Node) -> Handle:
        value = self.evaluate(node.parts[0])
        if node.value == "db" and isinstance(value, Handle):
            self.database = value.database
        else:
            self.names[node.value] = value
        return NOTHING

    def _eval_arrow(self, node: Node) -> Handle:
        return Handle("arrow", rows=[node, dict(self.names)])

    def apply(self, arrow: Handle, arguments: list[Any]) -> Any:
        """Return what a function makes of some arguments; it sees the names that were known where it was written."""
        node, known = arrow.rows
        before = self.names
        self.names = {**before, **known, **dict(zip(node.value, arguments, strict=False))}
        try:
            return self.evaluate(node.parts[0])
        finally:
            self.names = before

    def _eval_choice(self, node: Node) -> Any:
        return self.evaluate(node.parts[1 if self.evaluate(node.parts[0]) else 2])

    def _eval_unary(self, node: Node) -> Any:
        value = self.evaluate(node.parts[0])
        if node.value == "!":
            return not value
        return -value if node.value == "-" and isinstance(value, int | float) else value

    def _eval_binary(self, node: Node) -> Any:
        left = self.evaluate(node.parts[0])
        if node.value == "&&":
            return self.evaluate(node.parts[1]) if left else left
        if node.value == "||":
            return left if left else self.evaluate(node.parts[1])
        right = self.evaluate(node.parts[1])
        if node.value == "+" and (isinstance(left, str) or isinstance(right, str)):
            return _text(left) + _text(right)
        if node.value in ("==", "==="):
            return left == right
        if node.value in ("!=", "!=="):
            return left != right
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            return None
        if node.value in ("/", "%") and right == 0:
            return None
        numbers = {
            "+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right,
            "%": lambda: left % right, "<": lambda: left < right, ">": lambda: left > right,
            "<=": lambda: left <= right,
            ">=": lambda: left >= right,
        }  # fmt: skip
        result: Any = numbers[node.value]()  # type: ignore[no-untyped-call]
        return result

    def _eval_command(self, node: Node) -> Any:
        from stratus.sim.apps.stores.mongodb.commands import show

        if node.value == "use":
            self.database = node.parts[0]
            return f"switched to db {self.database}"
        return show(self, node.parts[0])

    def _eval_name(self, node: Node) -> Any:
        if node.value == "db":
            return Handle("db", self.database)
        if node.value in self.names:
            return self.names[node.value]
        if node.value in ("rs", "sh", "JSON", "Object", "Date", "Math", "EJSON", "console"):
            return Handle(node.value)
        raise ScriptError(f"ReferenceError: {node.value} is not defined :\n@(shell eval):1:1")

    def _eval_index(self, node: Node) -> Any:
        value, key = (self.evaluate(p) for p in node.parts)
        if isinstance(value, Handle):
            if value.kind == "db":
                return Handle("collection", value.database, str(key))
            value = value.rows
        if isinstance(value, dict):
            return value.get(str(key))
        inside = isinstance(value, list | str) and isinstance(key, int) and 0 <= key < len(value)
        return value[key] if inside else None

    def _eval_member(self, node: Node) -> Any:
        value = self.evaluate(node.parts[0])
        if isinstance(value, Handle):
            if value.kind == "db":
                return Handle("collection", value.database, node.value)
            if value.kind == "collection":
                return Handle("collection", value.database, f"{value.name}.{node.value}")
            return None
        if isinstance(value, dict):
            return value.get(node.value)
        if node.value == "length" and isinstance(value, list | str):
            return len(value)
        if value is None:
            raise ScriptError(f"TypeError: cannot read property '{node.value}' of undefined :\n@(shell eval):1:1")
        return None

    def _eval_call(self, node: Node) -> Any:
        from stratus.sim.apps.stores.mongodb.commands import call_function, call_method

        target, *given = node.parts
        if target.kind == "name":
            return call_function(self, target.value, given)
        if target.kind != "member":
            raise ScriptError("TypeError: this is not a function :\n@(shell eval):1:1")
        owner = self.evaluate(target.parts[0])
        arguments = [_argument(self, g) for g in given]
        return call_method(self, owner, target.value, arguments)


def _argument(session: Session, node: Node) -> Any:
    """Return what an argument is worth; a function's name stands for itself."""
    if node.kind == "name" and node.value in ("printjson", "print", "tojson"):
        return Handle("function", name=node.value)
    return session.evaluate(node)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    if isinstance(value, Handle):
        return value.database if value.kind == "db" else f"{value.database}.{value.name}"
    return str(value) if isinstance(value, str | int | float) else "[object Object]"


def run(state: Database, request: dict[str, Any], now: float, peer: str) -> dict[str, Any]:
    """Run a shell's script.

    Args:
        state: the server.
        request: `user`, `password`, `database`, `script`, `modern`, `tls`.
        now: the moment; `peer`: the client's address.

    Returns:
        `refused` (empty when connected), `out`, `error` (empty when all went well) and `seconds`.
    """
    for number in [n for n, o in state.operations.items() if o.until <= now]:
        del state.operations[number]
    answer: dict[str, Any] = {"refused": "", "out": "", "error": "", "seconds": 0.0, "version": state.version}
    user = request.get("user") or ""
    if user and state.auth and state.login(user, request.get("password") or ""):
        return {**answer, "refused": "Authentication failed."}
    session = Session(
        state,
        now,
        user,
        request.get("database") or "test",
        peer,
        bool(request.get("modern")),
        bool(request.get("eval")),
    )
    try:
        session.run(request.get("script") or "")
    except Quit:
        pass
    except Refused as error:
        answer["error"] = _refusal(session, error)
    except ScriptError as error:
        answer["error"] = str(error) if not session.modern else str(error).partition(" :\n")[0]
    except QueryError as error:
        answer["error"] = _refusal(session, Refused(str(error), 2, "BadValue"))
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        answer["error"] = "TypeError: the arguments are not what the method takes"
    except RecursionError:
        answer["error"] = "InternalError: too much recursion"
    answer["out"] = "".join(f"{line}\n" for line in session.out)
    answer["seconds"] = session.waited
    return answer


def _refusal(session: Session, error: Refused) -> str:
    if session.modern:
        return f"MongoServerError: {error}"
    if error.code in (0, 51003):
        return f"Error: {error} :\n_getErrorWithCode@src/mongo/shell/utils.js:25:13"
    body = legacy({"ok": 0, "errmsg": str(error), "code": error.code, "codeName": error.name})
    return f"Error: error: {body}"
