"""State of databases: users, their roles, and how much a query costs; and the shell commands that change it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import ClassVar

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores.base import Boot, Caller, State, Trouble
from stratus.sim.runtime import ExecResult

CLIENTS = frozenset({"mongo", "mongosh"})
#: Roles that allow reading and writing, beyond the plain ones.
_ACCOUNTS = frozenset(
    {"createUser", "dropUser", "grantRolesToUser", "revokeRolesFromUser", "updateUser", "changeUserPassword"}
)
_GREAT = frozenset({"root", "dbOwner", "readWriteAnyDatabase", "__system"})
_GRANTING = frozenset({"root", "userAdminAnyDatabase", "dbOwner", "__system"})


@dataclass(slots=True)
class User:
    """A user and its roles as `role@database`."""

    password: str
    roles: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Database(State):
    """One datastore's state.

    Attributes:
        auth: whether logins and roles are checked.
    """

    kind: ClassVar[str] = "mongodb"

    auth: bool = False
    users: dict[str, User] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    @classmethod
    def fresh(cls, datastore: Datastore) -> Database:
        """Return the state a datastore has at first."""
        users = {a.name: User(a.password, list(a.roles)) for a in datastore.accounts}
        return cls(auth=datastore.auth, users=users, names=list(datastore.names))

    def boot(self, datastore: Datastore, boot: Boot) -> None:
        """Begin anew: users stay, whether logins are checked is said at the start."""
        self.auth = datastore.auth or "--auth" in boot.argv

    def trouble(self, caller: Caller, now: float) -> Trouble | None:
        """Return what is the matter with a caller's requests."""
        if not self.auth:
            return None
        if not caller.logs_in:
            text = self.refusal("", "", "readWrite", "test", caller.operation)
        else:
            asked = f'{caller.operation}: "{caller.database}"'
            text = self.refusal(caller.user, caller.password, caller.role, caller.database, asked)
        return Trouble(text) if text else None

    def drop_user(self, name: str) -> None:
        """Remove a user."""
        self.users.pop(name, None)

    def revoke(self, name: str, roles: tuple[str, ...]) -> None:
        """Take roles from a user."""
        if name in self.users:
            self.users[name].roles = [r for r in self.users[name].roles if r not in roles]

    # checks

    def login(self, user: str, password: str) -> str:
        """Return the server's refusal of a login; empty when it is accepted."""
        found = self.users.get(user)
        if not self.auth:
            return ""
        if found is None:
            return f'UserNotFound: Could not find user "{user}" for db "admin"'
        if found.password != password:
            return "AuthenticationFailed: SCRAM authentication failed, storedKey mismatch"
        return ""

    def may(self, user: str, role: str, database: str) -> bool:
        """Tell whether a user holds a role in a database."""
        if not self.auth:
            return True
        found = self.users.get(user)
        for held in found.roles if found is not None else ():
            name, _, where = held.partition("@")
            if name in _GREAT and where in ("admin", database):
                return True
            if name == role and where == database:
                return True
        return False

    def refusal(self, user: str, password: str, role: str, database: str, command: str) -> str:
        """Return what a client is told when it cannot log in or may not run a command; empty when all is well."""
        if self.login(user, password):
            return (
                "connection() error occurred during connection handshake: auth error: sasl conversation error: unable "
                'to authenticate using mechanism "SCRAM-SHA-256": (AuthenticationFailed) Authentication failed.'
            )
        if not self.may(user, role, database):
            return f"(Unauthorized) not authorized on {database} to execute command {{ {command} }}"
        return ""


# the command line client


class _Refusal(Exception):
    pass


def run_client(database: Database, argv: list[str], stdin: str) -> ExecResult:
    """Play `mongo [DB] [-u USER -p PASSWORD] --eval SCRIPT`; a script may also come on standard input."""
    options, rest = _options(argv[1:])
    script = options.get("eval") or stdin
    name = (rest[0] if rest else options.get("authenticationDatabase") or "test").rpartition("/")[2] or "test"
    user = options.get("u") or options.get("username") or ""
    if user:
        refused = database.login(user, options.get("p") or options.get("password") or "")
        if refused:
            return ExecResult("", "Error: Authentication failed. :\nconnect@src/mongo/shell/mongo.js\n", 1)
    if not script:
        return ExecResult("MongoDB shell version v4.4.6\n", "", 0)
    if name == "admin" and options.get("authenticationDatabase"):
        name = rest[0] if rest else "admin"
    out: list[str] = []
    try:
        for where, statement in _statements(script, name):
            out.append(_statement(database, user, where, statement))
    except _Refusal as error:
        return ExecResult("\n".join(o for o in out if o), f"uncaught exception: Error: {error}\n", 1)
    text = "\n".join(o for o in out if o)
    return ExecResult(text + "\n" if text else "", "", 0)


def client_words(argv: list[str]) -> list[str] | None:
    """Return the client's words when a command runs it, directly or through `sh -c`; else None."""
    if argv and argv[0].rpartition("/")[2] in CLIENTS:
        return argv
    if len(argv) >= 3 and argv[0].rpartition("/")[2] in ("sh", "bash") and argv[1] in ("-c", "-lc", "-ec"):
        try:
            words = shlex.split(argv[2])
        except ValueError:
            return None
        if words and words[0].rpartition("/")[2] in CLIENTS:
            return words
    return None


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    rest: list[str] = []
    waiting = ""
    for word in words:
        if waiting:
            options[waiting] = word
            waiting = ""
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if equals:
                options[name] = value
            elif name not in ("quiet", "norc"):
                waiting = name
        elif word.startswith("-") and len(word) > 1:
            if len(word) > 2:
                options[word[1]] = word[2:]
            else:
                waiting = word[1]
        else:
            rest.append(word)
    return options, rest


def _statements(script: str, name: str) -> list[tuple[str, str]]:
    """Split a script into (database, statement); `use X` and `getSiblingDB` change the database."""
    found: list[tuple[str, str]] = []
    depth, quote, piece = 0, "", ""
    for c in script + ";":
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "({[":
            depth += 1
        elif c in ")}]":
            depth -= 1
        if c in ";\n" and depth <= 0 and not quote:
            text = piece.strip()
            piece = ""
            switch = re.fullmatch(r"use\s+([\w-]+)", text) or re.fullmatch(
                r"""db\s*=\s*db\.getSiblingDB\(['"]([\w-]+)['"]\)""", text
            )
            if switch:
                name = switch.group(1)
                continue
            sibling = re.match(r"""db\.getSiblingDB\(['"]([\w-]+)['"]\)(\..*)""", text, re.DOTALL)
            if sibling:
                found.append((sibling.group(1), "db" + sibling.group(2)))
            elif text:
                found.append((name, text))
        else:
            piece += c
    if piece.strip(" ;\n"):
        raise _Refusal("SyntaxError: missing ) or quote at the end of the script")
    return found


def _document(text: str) -> object:
    """Read a JavaScript literal (unquoted keys, single quotes) as data."""
    fixed = re.sub(r"'((?:[^'\\]|\\.)*)'", lambda m: json.dumps(m.group(1)), text)
    fixed = re.sub(r"([{,]\s*)([A-Za-z_$][\w$]*)\s*:", r'\1"\2":', fixed)
    fixed = re.sub(r",\s*([}\]])", r"\1", fixed)
    try:
        return json.loads(fixed)
    except ValueError:
        raise _Refusal(f"SyntaxError: cannot read {text}") from None


def _roles(given: object, where: str) -> list[str]:
    found = []
    for entry in given if isinstance(given, list) else [given]:
        if isinstance(entry, dict):
            found.append(f"{entry.get('role', '')}@{entry.get('db', where)}")
        else:
            found.append(f"{entry}@{where}")
    return found


def _statement(database: Database, user: str, where: str, text: str) -> str:
    call = re.fullmatch(r"(?:printjson\()?\s*db\.(\w+)\((.*?)\)\)?", text, re.DOTALL)
    if call is None:
        if re.fullmatch(r"show (dbs|databases)", text):
            return "\n".join(f"{n:<20}0.000GB" for n in ["admin", *database.names])
        if text.startswith("db."):
            _need(database, user, "readWrite", where, text)
            return ""
        raise _Refusal(f"ReferenceError: {text.split('(')[0][:40]} is not defined")
    name, body = call.groups()
    arguments = _document(f"[{body}]")
    assert isinstance(arguments, list)
    if name in _ACCOUNTS:
        return _account(database, user, where, name, arguments)
    if name in ("getUsers", "getUser"):
        _need_granting(database, user, name, where)
        shown = [_shown(n, u) for n, u in sorted(database.users.items())]
        if name == "getUser":
            shown = [s for s in shown if s["user"] == str(arguments[0] if arguments else "")]
            return json.dumps(shown[0], indent=1) if shown else "null"
        return json.dumps(shown, indent=1)
    if name in ("adminCommand", "runCommand"):
        return '{ "ok" : 1 }'
    if name in ("version", "serverStatus", "stats", "getName", "auth"):
        return {"version": "4.4.6", "getName": where, "auth": "1"}.get(name, '{ "ok" : 1 }')
    _need(database, user, "readWrite", where, name)
    return ""


def _shown(name: str, user: User) -> dict[str, object]:
    roles = [{"role": r.partition("@")[0], "db": r.partition("@")[2]} for r in user.roles]
    return {"_id": f"admin.{name}", "user": name, "db": "admin", "roles": roles}


def _need(database: Database, user: str, role: str, where: str, command: str) -> None:
    if not database.may(user, role, where):
        raise _Refusal(f"not authorized on {where} to execute command {{ {command[:60]} }}")


def _need_granting(database: Database, user: str, command: str, where: str) -> None:
    held = {r.partition("@")[0] for r in database.users[user].roles} if user in database.users else set()
    if database.auth and not held & _GRANTING:
        raise _Refusal(f"not authorized on {where} to execute command {{ {command} }}")


def _account(database: Database, user: str, where: str, name: str, arguments: list[object]) -> str:
    _need_granting(database, user, name, where)
    if name == "createUser":
        spec = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
        created = str(spec.get("user", ""))
        if not created:
            raise _Refusal("couldn't add user: 'user' must not be empty")
        if created in database.users:
            raise _Refusal(f'couldn\'t add user: User "{created}@{where}" already exists')
        database.users[created] = User(str(spec.get("pwd", "")), _roles(spec.get("roles", []), where))
        return f'Successfully added user: {{ "user" : "{created}" }}'
    target = str(arguments[0]) if arguments else ""
    found = database.users.get(target)
    if found is None:
        if name == "dropUser":
            return "false"
        raise _Refusal(f'Could not find user "{target}" for db "{where}"')
    if name == "dropUser":
        del database.users[target]
        return "true"
    if name == "changeUserPassword":
        found.password = str(arguments[1]) if len(arguments) > 1 else found.password
    elif name == "updateUser":
        spec = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], dict) else {}
        found.password = str(spec.get("pwd", found.password))
        if "roles" in spec:
            found.roles = _roles(spec["roles"], where)
    else:
        roles = _roles(arguments[1] if len(arguments) > 1 else [], where)
        kept = [r for r in found.roles if r not in roles]
        found.roles = kept if name == "revokeRolesFromUser" else kept + roles
    return ""
