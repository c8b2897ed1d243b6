"""Rehearsing and performing writes; the two are different objects, so that who may only rehearse cannot write."""

from __future__ import annotations

from dataclasses import replace

from stratus.cluster.kube.channel import Channel
from stratus.cluster.kube.requests import HttpRequest, request_of
from stratus.cluster.writer import WRITE_SECONDS
from stratus.errors import ClusterError, Conflict, Invalid
from stratus.model.actions import ApiWrite
from stratus.model.base import Json


class KubeRehearser:
    """A `ClusterRehearser`: everything it sends carries `dryRun=All`."""

    def __init__(self, channel: Channel) -> None:
        self.__channel = channel

    def dry_run(self, write: ApiWrite) -> Json:
        """Return what the server would make of a write, storing nothing."""
        return _send(self.__channel, write, request_of(write, dry_run=True), changes=False)


class KubeWriter:
    """A `ClusterWriter`. One write is one request, sent once."""

    def __init__(self, channel: Channel) -> None:
        self.__channel = channel

    def write(self, write: ApiWrite) -> Json:
        """Send one write and return the server's answer."""
        request = request_of(write, dry_run=False)
        bounded = replace(request, query={**request.query, "timeout": f"{WRITE_SECONDS:g}s"})
        return _send(self.__channel, write, bounded, changes=True)


def _send(channel: Channel, write: ApiWrite, request: HttpRequest, *, changes: bool) -> Json:
    try:
        return channel.json(
            request.method,
            request.path,
            query=request.query,
            body=request.body,
            content_type=request.content_type,
            changes=changes,
        )
    except Invalid as problem:
        if _may_be_precondition(write, problem) and not _still_as_expected(channel, write):
            raise Conflict(
                f"{write.target} has changed since it was read; read it again and decide anew ({problem})",
                status=409,
                reason="Conflict",
                body=problem.body,
            ) from problem
        raise


def _may_be_precondition(write: ApiWrite, problem: ClusterError) -> bool:
    """A failed `test` of a JSON patch is a 422 without details: only the object can say what failed."""
    guarded = bool(write.expect_uid or write.expect_version)
    return guarded and write.patch_type == "application/json-patch+json" and problem.status == 422


def _still_as_expected(channel: Channel, write: ApiWrite) -> bool:
    try:
        meta = channel.json("GET", write.path).get("metadata") or {}
    except ClusterError:
        return False
    return all(
        not expected or meta.get(key) == expected
        for key, expected in (("uid", write.expect_uid), ("resourceVersion", write.expect_version))
    )
