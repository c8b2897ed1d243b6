"""Options of writes: dryRun, fieldManager, fieldValidation, and what a DELETE carries in its body or query."""

from __future__ import annotations

from typing import Any

from stratus.sim.api.bodies import media_type, read_document
from stratus.sim.api.messages import Request
from stratus.sim.api.rest import DeleteOptions, Options
from stratus.sim.api.routing import Query
from stratus.sim.api.status import Problems, bad_request, invalid
from stratus.sim.schema.decode import DecodeError, Decoder
from stratus.sim.schema.types import named

Obj = dict[str, Any]
_META = "meta.k8s.io"
_KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def manager_of(request: Request, query: Query) -> str:
    """Return the field manager: the parameter, or the client's name from its User-Agent."""
    given = query.get("fieldManager")
    if given:
        return given
    agent = request.headers.get("user-agent", "")
    return agent.partition("/")[0][:128] or "unknown"


def write_options(request: Request, query: Query, verb: str) -> tuple[Options, str]:
    """Return the options of a create, update or patch, and the fieldValidation asked for.

    Raises:
        ApiError: 422 for options that cannot be.
    """
    problems = Problems()
    apply = verb == "patch" and media_type(request) == "application/apply-patch+yaml"
    if verb == "patch":
        if apply and not query.get("fieldManager"):
            problems.required("fieldManager", "is required for apply patch")
        if not apply and query.get("force"):
            problems.forbidden("force", "may not be specified for non-apply patch")
    if len(query.get("fieldManager").encode()) > 128:
        problems.too_long("fieldManager", 128)
    dry = query.all("dryRun")
    if dry and set(dry) != {"All"}:
        problems.unsupported("dryRun", dry, ["All"])
    validation = query.get("fieldValidation")
    if validation not in ("", "Ignore", "Strict", "Warn"):
        problems.unsupported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"])
    problems.raise_for(_META, _KINDS[verb], "")
    options = Options(dry_run=bool(dry), manager=manager_of(request, query), force=query.flag("force"))
    return options, validation or "Warn"


def check_list_options(query: Query, watch: bool) -> None:
    """Refuse options of a list or watch that contradict each other.

    Raises:
        ApiError: 422.
    """
    match, initial = query.get("resourceVersionMatch"), query.get("sendInitialEvents")
    if not match and not initial:
        return
    problems, field = Problems(), "resourceVersionMatch"
    if watch:
        if initial and match != "NotOlderThan":
            problems.forbidden(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        if match and not initial:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            problems.forbidden(field, text)
        if match and match != "NotOlderThan":
            problems.unsupported(field, match, ["NotOlderThan"])
        if match and query.get("continue"):
            problems.forbidden(field, "resourceVersionMatch is forbidden when continue is provided")
    else:
        version = query.get("resourceVersion")
        if match and not version:
            problems.forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        if match and query.get("continue"):
            problems.forbidden(field, "resourceVersionMatch is forbidden when continue is provided")
        if match and match not in ("Exact", "NotOlderThan"):
            problems.unsupported(field, match, ["Exact", "NotOlderThan", ""])
        if match == "Exact" and version == "0":
            problems.forbidden(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        if initial:
            problems.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    problems.raise_for(_META, "ListOptions", "")


def delete_options(request: Request, query: Query) -> DeleteOptions:
    """Return the options of a DELETE; a body, even an empty object, makes those in the query void.

    Raises:
        ApiError: 400 or 422.
    """
    given: Obj
    if request.body or request.obj is not None:
        parsed = read_document(request, "DeleteOptions", _META, "v1")
        try:
            given = Decoder().decode(named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"), parsed.value)
        except DecodeError as error:
            raise bad_request(f'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: {error}') from None
    else:
        given = {}
        if query.get("gracePeriodSeconds"):
            try:
                given["gracePeriodSeconds"] = int(query.get("gracePeriodSeconds"))
            except ValueError:
                text = f'strconv.ParseInt: parsing "{query.get("gracePeriodSeconds")}": invalid syntax'
                raise bad_request(text) from None
        if query.get("propagationPolicy"):
            given["propagationPolicy"] = query.get("propagationPolicy")
        if query.get("orphanDependents"):
            given["orphanDependents"] = query.flag("orphanDependents")
        if query.all("dryRun"):
            given["dryRun"] = query.all("dryRun")
    problems = Problems()
    policy = given.get("propagationPolicy") or ""
    orphan = given.get("orphanDependents")
    if policy and orphan is not None:
        problems.invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set")
    elif policy not in ("", "Foreground", "Background", "Orphan"):
        problems.unsupported("propagationPolicy", policy, ["Foreground", "Background", "Orphan", "nil"])
    dry = given.get("dryRun") or []
    if dry and set(dry) != {"All"}:
        problems.unsupported("dryRun", dry, ["All"])
    if problems:
        raise invalid(_META, "DeleteOptions", "", problems)
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    pre = given.get("preconditions") or {}
    return DeleteOptions(
        grace=given.get("gracePeriodSeconds"),
        policy=policy,
        uid=pre.get("uid") or "",
        resource_version=pre.get("resourceVersion") or "",
        dry_run=bool(dry),
    )
