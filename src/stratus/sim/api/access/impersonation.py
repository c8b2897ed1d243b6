"""Acting as somebody else: who may, and who one then is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from stratus.sim.api.access.tokens import account_groups
from stratus.sim.api.messages import User
from stratus.sim.api.status import bad_request

_ACCOUNT = "system:serviceaccount:"
_EXTRA = "impersonate-extra-"


def impersonated(user: User, headers: Mapping[str, str], authorize: Callable[..., None]) -> User:
    """Return who a request is made for: the user, or whom its headers name when the user may impersonate them.

    Args:
        user: who asks.
        headers: names in lower case; several groups are joined by commas.
        authorize: (user, verb, resource, namespace, name, group=, subresource=), raising what refuses.

    Raises:
        ApiError: 403, or 400 for groups without a user.
    """
    wanted = headers.get("impersonate-user", "")
    asked = [g.strip() for g in headers.get("impersonate-group", "").split(",") if g.strip()]
    extra = {unquote(k[len(_EXTRA) :]): v for k, v in headers.items() if k.startswith(_EXTRA)}
    uid = headers.get("impersonate-uid", "")
    if not wanted:
        if asked or extra or uid:
            raise bad_request("requested groups, extra or uid impersonation without impersonating a user")
        return user
    parts = wanted.split(":")
    groups = list(asked)
    if wanted.startswith(_ACCOUNT) and len(parts) == 4:
        authorize(user, "impersonate", "serviceaccounts", parts[2], parts[3])
        if not groups:
            groups = list(account_groups(parts[2])[:2])
    else:
        authorize(user, "impersonate", "users", "", wanted)
    for group in asked:
        authorize(user, "impersonate", "groups", "", group)
    for key, value in extra.items():
        authorize(user, "impersonate", "userextras", "", value, group="authentication.k8s.io", subresource=key)
    if uid:
        authorize(user, "impersonate", "uids", "", uid, group="authentication.k8s.io")
    everybody = "system:unauthenticated" if wanted == "system:anonymous" else "system:authenticated"
    if everybody not in groups:
        groups.append(everybody)
    return User(wanted, tuple(groups), uid, {k: (v,) for k, v in extra.items()})
