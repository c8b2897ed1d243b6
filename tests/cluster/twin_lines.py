"""Command lines of every family of verbs, made at random, with flags in all combinations, right and wrong."""

from __future__ import annotations

import json
import shlex

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

WORKLOADS = st.sampled_from(
    ["deploy/web", "deploy/api", "sts/db", "ds/agent", "cronjob/tick", "pod/solo", "deploy --all"]
).map(str.split)
KEYS = st.sampled_from(["tier", "app", "new", "example.com/k", "a.b", "Bad key"])
VALUES = st.sampled_from(["x", "1", "true", "v-1.2", "", "-bad", "with space", "a=b", 'quo"te', "päss"])
AMOUNTS = st.sampled_from(["cpu=100m", "memory=64Mi", "cpu=1,memory=1Gi", "cpu=0", "ephemeral-storage=1Gi", "cpu=x"])
CONTAINERS = st.sampled_from(["main", "side", "prepare", "*", "nope"])
IMAGES = st.sampled_from(["nginx", "nginx:1.27", "r.local:5000/a/b:v1", "a@sha256:" + "0" * 64])


def _set_of(flags: dict[str, SearchStrategy[str]], most: int = 3) -> SearchStrategy[list[str]]:
    """Draw some of the flags with a value each."""
    chosen = st.lists(st.sampled_from(sorted(flags)), unique=True, max_size=most)
    return chosen.flatmap(
        lambda names: st.tuples(*(flags[n].map(lambda v, n=n: f"--{n}={v}") for n in names)).map(list)
    )


def _words(*parts: SearchStrategy[str] | SearchStrategy[list[str]] | str) -> SearchStrategy[str]:
    drawn = st.tuples(*(st.just(p) if isinstance(p, str) else p for p in parts))
    return drawn.map(lambda ws: shlex.join([w for p in ws for w in (p if isinstance(p, list) else [p])]))


def _documents() -> SearchStrategy[str]:
    leaf = st.sampled_from([None, 0, 1, 7, True, "x", "Always", [], {}])
    spec = st.dictionaries(
        st.sampled_from(["replicas", "paused", "revisionHistoryLimit", "minReadySeconds", "progressDeadlineSeconds"]),
        leaf,
        max_size=3,
    )
    item = st.fixed_dictionaries(
        {"name": CONTAINERS},
        optional={
            "image": IMAGES,
            "command": st.just(["x"]),
            "env": st.lists(
                st.fixed_dictionaries(
                    {"name": st.sampled_from("ABZ")}, optional={"value": VALUES, "$patch": st.just("delete")}
                ),
                max_size=2,
            ),
        },
    )
    pod = st.fixed_dictionaries({"spec": st.fixed_dictionaries({"containers": st.lists(item, max_size=2)})})
    body = st.fixed_dictionaries(
        {},
        optional={
            "spec": st.one_of(spec, st.fixed_dictionaries({"template": pod})),
            "metadata": st.fixed_dictionaries(
                {"labels": st.dictionaries(st.sampled_from(["tier", "n"]), st.sampled_from(["x", None]))}
            ),
        },
    )
    return body.map(json.dumps)


_SAFE_KEY = KEYS.filter(lambda k: " " not in k)
LINES: SearchStrategy[str] = st.one_of(
    _words(
        "scale",
        st.sampled_from(["deploy/web", "sts/db", "rs/web-2"]),
        _set_of(
            {
                "replicas": st.sampled_from(["0", "1", "9", "-1", "x"]),
                "current-replicas": st.sampled_from(["1", "2", "3", "-1"]),
            }
        ),
    ),
    _words("set", "image", WORKLOADS, st.tuples(CONTAINERS, IMAGES).map("=".join)),
    _words(
        "set",
        "env",
        WORKLOADS,
        st.lists(
            st.tuples(st.sampled_from(["A", "B", "NEW", "x.y"]), VALUES).map("=".join),
            min_size=1,
            max_size=3,
            unique_by=lambda p: p[0],
        ),
        _set_of({"containers": CONTAINERS, "overwrite": st.sampled_from(["true", "false"])}),
    ),
    _words("set", "resources", WORKLOADS, _set_of({"limits": AMOUNTS, "requests": AMOUNTS, "containers": CONTAINERS})),
    _words(
        "label",
        st.sampled_from(["deploy/web", "cm/conf", "pod/solo"]),
        st.tuples(KEYS, VALUES).map("=".join),
        _set_of({"overwrite": st.sampled_from(["true", "false"])}),
    ),
    _words(
        "annotate",
        st.sampled_from(["deploy/web", "cm/conf", "pod/solo"]),
        st.tuples(KEYS, VALUES).map("=".join),
        _set_of({"overwrite": st.sampled_from(["true", "false"])}),
    ),
    _words(
        "taint",
        "node",
        "NS-n2",
        st.tuples(
            _SAFE_KEY,
            st.sampled_from(["", "=v"]),
            st.sampled_from([":NoSchedule", ":NoExecute", ":Bad", "", "-", ":NoSchedule-"]),
        ).map("".join),
        _set_of({"overwrite": st.sampled_from(["true", "false"])}),
    ),
    _words(
        "patch",
        "deploy",
        "web",
        _set_of({"type": st.sampled_from(["merge", "strategic"])}),
        _documents().map(lambda d: ["-p", d]),
    ),
    _words(
        "expose",
        st.sampled_from(["deploy/web", "pod/solo", "svc/web", "rs/web-2", "sts/db"]),
        _set_of(
            {
                "port": st.sampled_from(["80", "80,443", "x"]),
                "target-port": st.sampled_from(["8080", "http"]),
                "type": st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
                "name": st.just("fresh"),
                "protocol": st.sampled_from(["UDP", "TCP"]),
                "session-affinity": st.just("ClientIP"),
                "selector": st.just("a=b"),
                "labels": st.just("c=d"),
            },
            most=6,
        ),
    ),
    _words(
        "autoscale",
        st.sampled_from(["deploy/web", "sts/db", "ds/agent"]),
        _set_of(
            {
                "min": st.sampled_from(["0", "1", "5"]),
                "max": st.sampled_from(["1", "4"]),
                "name": st.just("fresh"),
                "cpu": st.sampled_from(["70%", "500m", "70"]),
                "memory": st.sampled_from(["64Mi", "80%"]),
            },
            most=5,
        ),
    ),
    _words(
        "create",
        "deployment",
        "fresh",
        _set_of(
            {"image": IMAGES, "replicas": st.sampled_from(["0", "2", "-1"]), "port": st.sampled_from(["80", "0", "x"])}
        ),
    ),
    _words(
        "create",
        "cronjob",
        "fresh",
        _set_of(
            {
                "image": IMAGES,
                "schedule": st.sampled_from(["* * * * *", "@daily"]),
                "restart": st.sampled_from(["Never", "OnFailure", "Always"]),
            }
        ),
    ),
    _words(
        "create",
        "service",
        st.sampled_from(["clusterip", "nodeport", "loadbalancer"]),
        "fresh",
        _set_of(
            {
                "tcp": st.sampled_from(["80", "80:8080", "80:http", "0", "x"]),
                "clusterip": st.just("None"),
                "node-port": st.just("30999"),
            }
        ),
    ),
    _words(
        "create",
        st.sampled_from(["configmap", "secret"]).map(lambda k: [k, *(["generic"] if k == "secret" else [])]),
        "fresh",
        st.lists(
            st.tuples(st.sampled_from(["a", "b.c", "bad key"]), VALUES).map(lambda p: f"--from-literal={p[0]}={p[1]}"),
            max_size=3,
            unique_by=lambda p: p[:17],
        ),
    ),
    _words(
        "create",
        "role",
        "fresh",
        _set_of(
            {
                "verb": st.sampled_from(["get", "get,list", "*"]),
                "resource": st.sampled_from(["pods", "pods/log", "deployments.apps,pods", "nopes"]),
                "resource-name": st.just("web"),
            }
        ),
    ),
    _words(
        "create",
        "rolebinding",
        "fresh",
        _set_of(
            {
                "role": st.just("reader"),
                "clusterrole": st.just("view"),
                "user": st.just("u"),
                "serviceaccount": st.sampled_from(["NS:robot", "robot"]),
            }
        ),
    ),
    _words(
        "create",
        "quota",
        "fresh",
        _set_of(
            {
                "hard": st.sampled_from(["cpu=1", "pods=2,memory=1Gi", "x"]),
                "scopes": st.sampled_from(["BestEffort", "NotTerminating,BestEffort"]),
            }
        ),
    ),
    _words(
        "create",
        "pdb",
        "fresh",
        _set_of(
            {
                "selector": st.just("a=b"),
                "min-available": st.sampled_from(["1", "50%", "x"]),
                "max-unavailable": st.sampled_from(["1", "20%"]),
            }
        ),
    ),
    _words(
        "run",
        "fresh",
        _set_of(
            {
                "image": IMAGES,
                "port": st.sampled_from(["80", "x"]),
                "restart": st.sampled_from(["Always", "Never", "OnFailure"]),
                "labels": st.just("a=b,c=d"),
                "env": st.just("A=1"),
                "expose": st.just("true"),
                "privileged": st.just("true"),
                "annotations": st.just("k=v"),
            },
            most=6,
        ),
    ),
    _words(
        "delete",
        st.sampled_from(["cm conf", "deploy web", "pods -l", "svc web"]).map(
            lambda t: ["pods", "-l", "app=web"] if t.endswith("-l") else t.split()
        ),
        "--wait=false",
        _set_of(
            {
                "cascade": st.sampled_from(["background", "foreground", "orphan"]),
                "grace-period": st.sampled_from(["5", "30"]),
                "now": st.just("true"),
            }
        ),
    ),
    _words(
        "rollout",
        "undo",
        st.sampled_from(["deploy/web", "sts/db"]),
        _set_of({"to-revision": st.sampled_from(["0", "1", "2", "3", "-1"])}),
    ),
)
"""Command lines of every family of verbs, with flags in all combinations, right and wrong."""
