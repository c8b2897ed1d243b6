"""Users and their roles, as the shell changes them."""

from __future__ import annotations

from typing import Any

from stratus.sim.apps.stores.mongodb.session import NOTHING, Refused, Session
from stratus.sim.apps.stores.mongodb.state import User

COMMANDS = frozenset(
    {
        "createUser",
        "dropUser",
        "grantRolesToUser",
        "revokeRolesFromUser",
        "updateUser",
        "changeUserPassword",
        "getUsers",
    }
    | {"getUser", "auth", "dropAllUsers", "removeUser"}
)


def roles(given: Any, where: str) -> list[str]:
    """Return roles as `role@database`."""
    found = []
    for entry in given if isinstance(given, list) else [given]:
        if isinstance(entry, dict):
            found.append(f"{entry.get('role', '')}@{entry.get('db', where)}")
        else:
            found.append(f"{entry}@{where}")
    return found


def shown(name: str, user: User) -> dict[str, Any]:
    """Return a user as it is shown, without its password."""
    held = [{"role": r.partition("@")[0], "db": r.partition("@")[2]} for r in user.roles]
    mechanisms = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
    return {"_id": f"admin.{name}", "user": name, "db": "admin", "roles": held, "mechanisms": mechanisms}


def call(session: Session, where: str, name: str, arguments: list[Any]) -> Any:
    """Carry out one of the shell's methods about users."""
    state = session.state
    first = arguments[0] if arguments else None
    if name == "auth":
        user, password = (first.get("user"), first.get("pwd")) if isinstance(first, dict) else [*arguments, "", ""][:2]
        if state.login(str(user), str(password)):
            raise Refused("Authentication failed.", 18, "AuthenticationFailed")
        session.user = str(user)
        return 1
    if name in ("getUsers", "getUser"):
        session.need("users", where, "usersInfo: 1")
        found = [shown(n, u) for n, u in sorted(state.users.items())]
        if name == "getUsers":
            return found if not session.modern else {"users": found, "ok": 1}
        return next((u for u in found if u["user"] == str(first)), "null")
    session.need("users", where, name)
    if name == "createUser":
        return _create(session, where, first if isinstance(first, dict) else {})
    if name == "dropAllUsers":
        count = len(state.users)
        state.users.clear()
        return count
    target = str(first)
    user_ = state.users.get(target)
    if user_ is None:
        if name in ("dropUser", "removeUser"):
            return False
        raise Refused(f'Could not find user "{target}" for db "{where}"', 11, "UserNotFound")
    if name in ("dropUser", "removeUser"):
        del state.users[target]
        return True
    second = arguments[1] if len(arguments) > 1 else None
    if name == "changeUserPassword":
        user_.password = str(second)
    elif name == "updateUser":
        spec = second if isinstance(second, dict) else {}
        user_.password = str(spec.get("pwd", user_.password))
        if "roles" in spec:
            user_.roles = roles(spec["roles"], where)
    else:
        changed = roles(second if second is not None else [], where)
        kept = [r for r in user_.roles if r not in changed]
        user_.roles = kept if name == "revokeRolesFromUser" else kept + changed
    return NOTHING if not session.modern else {"ok": 1}


def _create(session: Session, where: str, spec: dict[str, Any]) -> Any:
    name = str(spec.get("user", ""))
    if not name:
        raise Refused("couldn't add user: 'user' must not be empty", 2, "BadValue")
    if name in session.state.users:
        raise Refused(f'couldn\'t add user: User "{name}@{where}" already exists', 51003, "Location51003")
    if "pwd" not in spec:
        raise Refused("couldn't add user: Missing required field pwd", 2, "BadValue")
    session.state.users[name] = User(str(spec["pwd"]), roles(spec.get("roles", []), where))
    if session.modern:
        return {"ok": 1}
    public = {k: v for k, v in spec.items() if k != "pwd"}
    return f"Successfully added user: {session.shown(public)}"


def command(session: Session, where: str, name: str, body: dict[str, Any]) -> Any:
    """Carry out a command about users that is written as a document."""
    subject = body[name]
    if name == "usersInfo":
        session.need("users", where, "usersInfo: 1")
        wanted = subject if isinstance(subject, str) else None
        users = sorted(session.state.users.items())
        return {"users": [shown(n, u) for n, u in users if wanted in (None, n)], "ok": 1}
    if name == "createUser":
        call(session, where, name, [{"user": subject, **body}])
    elif name in ("grantRolesToUser", "revokeRolesFromUser"):
        call(session, where, name, [subject, body.get("roles", [])])
    elif name == "updateUser":
        call(session, where, name, [subject, body])
    elif name == "dropUser" and not call(session, where, name, [subject]):
        raise Refused(f"User '{subject}@{where}' not found", 11, "UserNotFound")
    return {"ok": 1}
