"""Reading a cluster: the only request that is no GET is the question what one may do."""

from __future__ import annotations

import threading
from typing import Any

from stratus.cluster.kube.channel import Answer, Channel
from stratus.cluster.kube.discovery import AGGREGATED, Catalogue, aggregated_rows, legacy_rows
from stratus.cluster.kube.requests import check_segments
from stratus.errors import ClusterError, Forbidden, Invalid, NotFound, UnknownNameError
from stratus.model.base import Json
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef

PAGE = 500
Objects = list[Json]
Rows = list[ApiResource]
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_NO_LOG = ("is waiting to start", "previous terminated container", "ContainerCreating", "not found", "is terminated")


class KubeReader:
    """A `ClusterReader` on the official client."""

    def __init__(self, channel: Channel) -> None:
        self.__channel = channel
        self.__catalogue: Catalogue | None = None
        self.__identity: ClusterIdentity | None = None
        self.__lock = threading.Lock()

    def identity(self) -> ClusterIdentity:
        """Say which cluster this is; the uid stays empty where kube-system may not be read."""
        if self.__identity is None:
            version = self.__json("/version")
            try:
                system = self.__json("/api/v1/namespaces/kube-system")
            except (Forbidden, NotFound):
                system = {}
            text = str(version.get("gitVersion") or "")
            self.__identity = ClusterIdentity(
                server=self.__channel.server,
                uid=str((system.get("metadata") or {}).get("uid") or ""),
                version=text,
                embedded="stratus" in text,
            )
        return self.__identity

    def resources(self) -> tuple[ApiResource, ...]:
        """Return the preferred version of every resource; asked once, then remembered."""
        return self.__known().preferred

    def resource(self, word: str) -> ApiResource:
        """Resolve a word to a resource; an unknown one is looked up once more on the server before it is refused."""
        with self.__lock:
            fresh = self.__catalogue is None
        try:
            return self.__known().find(word)
        except UnknownNameError:
            if fresh:
                raise
        return self.__known(again=True).find(word)  # a CustomResourceDefinition may have come since

    def get(self, ref: ObjectRef) -> Json | None:
        """Return the object, or None when it (or its kind) does not exist."""
        resource = self.resource(f"{ref.api_version}/{ref.kind}")
        check_segments(ref.name, ref.namespace)
        if not ref.name:
            raise Invalid(f"A {ref.kind} without a name cannot be read", status=400, reason="BadRequest")
        try:
            return self.__json(resource.path(ref.namespace, ref.name))
        except NotFound:
            return None

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        """Return all objects of a kind, page by page."""
        resource = self.resource(kind)
        check_segments(namespace or "")
        query = {"limit": str(PAGE)}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        path = resource.path(namespace or "")
        try:
            items = self.__pages(path, query)
        except ClusterError as problem:
            if problem.status != 410:
                raise
            items = self.__pages(path, {k: v for k, v in query.items() if k != "limit"})  # too slow for its snapshot
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in items]

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        previous: bool = False,
        tail_lines: int = 200,
        since_seconds: int | None = None,
        timestamps: bool = False,
    ) -> str:
        """Return a container's log; empty when there is none. A pod that does not exist is `NotFound`."""
        check_segments(namespace, pod)
        query = {"tailLines": str(tail_lines)}
        for name, wanted in (("previous", previous), ("timestamps", timestamps)):
            if wanted:
                query[name] = "true"
        if container:
            query["container"] = container
        if since_seconds is not None:
            query["sinceSeconds"] = str(max(1, since_seconds))
        path = self.resource("v1/Pod").path(namespace, pod, "log")
        try:
            return self.__get(path, query=query, accept="text/plain, application/json;q=0.5, */*;q=0.1").text
        except Invalid as problem:
            if problem.status == 400 and any(sign in str(problem) for sign in _NO_LOG):
                return ""
            raise

    def table(
        self, kind: str, namespace: str | None = None, *, name: str = "", labels: str = "", fields: str = ""
    ) -> Json:
        """Return a Table of objects with their metadata, all pages put together."""
        resource = self.resource(kind)
        check_segments(namespace or "", name)
        chosen = {"labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in chosen.items() if value} | {"includeObject": "Object"}
        return self.__json(resource.path(namespace or "", name), query=query, accept=_TABLE)

    def part(self, ref: ObjectRef, subresource: str) -> Json | None:
        """Return a subresource of an object, or None when there is none."""
        check_segments(ref.name, ref.namespace, subresource)
        resource = self.resource(f"{ref.api_version}/{ref.kind}")
        try:
            return self.__json(resource.path(ref.namespace, ref.name, subresource))
        except NotFound:
            return None

    def openapi(self, api_version: str) -> Json:
        """Return the OpenAPI v3 document of a group version; empty when the server has none."""
        check_segments(*api_version.split("/"))
        try:
            return self.__json(f"/openapi/v3/{'apis' if '/' in api_version else 'api'}/{api_version}")
        except NotFound:
            return {}

    def rules(self, namespace: str) -> Json:
        """Return what this identity may do in a namespace."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        answer = self.__channel.json("POST", _RULES, body=review)
        return answer.get("status") or {}

    def can_reach(self, verb: str, url: str) -> bool:
        """Ask whether this identity may use a path that is no resource."""
        return self.__allowed({"nonResourceAttributes": {"verb": verb, "path": url}})

    def can_i(self, verb: str, resource: str, namespace: str = "", *, subresource: str = "") -> bool:
        """Ask whether this identity may do something; `resource` is `plural[.group]`."""
        plural, _, group = resource.partition(".")
        asked = {"verb": verb, "group": group, "resource": plural, "namespace": namespace, "subresource": subresource}
        return self.__allowed({"resourceAttributes": {key: value for key, value in asked.items() if value}})

    def __allowed(self, spec: Json) -> bool:
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        answer = self.__channel.json("POST", _REVIEW, body=review)
        return bool((answer.get("status") or {}).get("allowed"))

    def __get(self, path: str, **more: Any) -> Answer:
        return self.__channel.call("GET", path, **more)

    def __json(self, path: str, **more: Any) -> Json:
        return self.__channel.json("GET", path, **more)

    def __pages(self, path: str, query: dict[str, str]) -> Objects:
        items: Objects = []
        token = ""
        while True:
            page = self.__json(path, query={**query, "continue": token} if token else query)
            items += page.get("items") or ()
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                return items

    def __known(self, *, again: bool = False) -> Catalogue:
        with self.__lock:
            if self.__catalogue is None or again:
                self.__catalogue = Catalogue([*self.__rows_of("/api"), *self.__rows_of("/apis")])
            return self.__catalogue

    def __rows_of(self, root: str) -> Rows:
        document = self.__json(root, accept=f"{AGGREGATED},application/json")
        if document.get("kind") == "APIGroupDiscoveryList":
            return aggregated_rows(document)
        if root == "/api":
            versions = [str(v) for v in document.get("versions") or ()]
        else:
            versions = [
                str(v["groupVersion"]) for group in document.get("groups") or () for v in _preferred_first(group)
            ]
        rows: Rows = []
        for version in versions:
            try:
                rows += legacy_rows(self.__json(f"{root}/{version}"))
            except ClusterError as problem:
                if problem.status not in (404, 503):  # an aggregated API that is down hides only itself
                    raise
        return rows


def _preferred_first(group: Json) -> Objects:
    preferred = group.get("preferredVersion")
    return sorted(group["versions"], key=lambda version: bool(version != preferred))
