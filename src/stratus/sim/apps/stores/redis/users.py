"""ACL: users and what they may do."""

from __future__ import annotations

from stratus.sim.apps.stores.redis.replies import NIL, OK, RedisError, Reply, bulk, many, number
from stratus.sim.apps.stores.redis.session import Session, command
from stratus.sim.apps.stores.redis.state import RedisUser, digest
from stratus.sim.apps.stores.redis.tables import categories, commands


def described(name: str, user: RedisUser) -> str:
    """Return a user as ACL LIST shows it."""
    words = ["user", name, "on" if user.enabled else "off"]
    words += ["nopass"] if user.nopass else [f"#{p}" for p in user.passwords]
    words += [f"~{k}" for k in user.keys]
    words += [f"&{c}" for c in user.channels] or ["resetchannels"]
    return " ".join([*words, *user.commands])


def _apply(user: RedisUser, rule: str) -> str:
    """Apply one rule; return what is wrong with it."""
    word, rest = rule.lower(), rule[1:]
    if word in ("on", "off"):
        user.enabled = word == "on"
    elif word == "nopass":
        user.nopass, user.passwords = True, []
    elif word == "resetpass":
        user.nopass, user.passwords = False, []
    elif word in ("allkeys", "~*"):
        user.keys = ["*"]
    elif word == "resetkeys":
        user.keys = []
    elif word in ("allchannels", "&*"):
        user.channels = ["*"]
    elif word == "resetchannels":
        user.channels = []
    elif word in ("allcommands", "+@all"):
        user.commands = ["+@all"]
    elif word in ("nocommands", "-@all"):
        user.commands = ["-@all"]
    elif word == "reset":
        fresh = RedisUser(False)
        user.enabled, user.nopass, user.passwords, user.commands = False, False, [], fresh.commands
        user.keys, user.channels = [], []
    elif rule[0] == ">":
        user.nopass = False
        user.passwords += [digest(rest)] if digest(rest) not in user.passwords else []
    elif rule[0] == "<":
        if digest(rest) not in user.passwords:
            return "The password you are trying to remove from the user does not exist"
        user.passwords.remove(digest(rest))
    elif rule[0] == "#" and len(rest) == 64:
        user.passwords += [rest]
    elif rule[0] == "~":
        user.keys.append(rest)
    elif rule[0] == "&":
        user.channels.append(rest)
    elif rule[0] in "+-":
        known = rest[1:] in categories() if rest.startswith("@") else rest.lower().partition("|")[0] in commands()
        if not known:
            return "Unknown command or category name in ACL"
        user.commands.append(rule.lower())
    else:
        return "Syntax error"
    return ""


@command("acl")
def _acl(session: Session, words: list[str]) -> Reply:
    sub = words[1].lower()
    users = session.state.users
    if sub == "whoami":
        return bulk(session.user)
    if sub == "users":
        return many(sorted(users))
    if sub == "list":
        return many([described(n, u) for n, u in sorted(users.items())])
    if sub == "setuser":
        return _setuser(session, words)
    if sub == "deluser":
        if "default" in words[2:]:
            raise RedisError("ERR The 'default' user cannot be removed")
        return number(sum(users.pop(n, None) is not None for n in words[2:]))
    if sub == "getuser":
        found = users.get(words[2]) if len(words) > 2 else None
        if found is None:
            return NIL
        flags = tuple(
            f for f, on in (("on", found.enabled), ("off", not found.enabled), ("nopass", found.nopass)) if on
        )
        return many(
            [
                "flags", flags, "passwords", tuple(found.passwords), "commands", " ".join(found.commands),
                "keys", " ".join(f"~{k}" for k in found.keys), "channels", " ".join(f"&{c}" for c in found.channels),
                "selectors", (),
            ]
        )  # fmt: skip
    if sub == "cat":
        if len(words) == 2:
            return many(sorted(categories()))
        if words[2].lower() not in categories():
            raise RedisError(f"ERR Unknown category '{words[2]}'")
        return many(sorted(c.name for c in commands().values() if words[2].lower() in c.categories))
    if sub == "log":
        return many([]) if len(words) < 3 or words[2].lower() != "reset" else OK
    if sub in ("save", "load"):
        raise RedisError(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL "
            "SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in "
            "order to store users in the Redis configuration."
        )
    return many([])


def _setuser(session: Session, words: list[str]) -> Reply:
    name = words[2]
    user = session.state.users[name].clone() if name in session.state.users else RedisUser(False)
    for rule in words[3:]:
        problem = _apply(user, rule) if rule else "Syntax error"
        if problem:
            raise RedisError(f"ERR Error in ACL SETUSER modifier '{rule}': {problem}")
    session.state.users[name] = user
    return OK
