"""The objects that `kubectl create KIND` makes of flags: configuration, workloads, services, ingress."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable

from stratus.cluster.kubectl.context import Context, pairs, refuse
from stratus.model.base import Json

_RULE = re.compile(
    r"^(?P<host>[^/]*)(?P<path>/[^=*]*)(?P<star>\*?)=(?P<service>[^:,]+):(?P<port>[^,]+)(?P<rest>(?:,.*)?)$"
)
_KEY = re.compile(r"^[-._a-zA-Z0-9]{1,253}$")


def _object(api_version: str, kind: str, name: str, **rest: object) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}


def _literals(ctx: Context) -> dict[str, str]:
    data = pairs(ctx.parsed.many("from-literal"), "a literal")
    for key in data:
        if not _KEY.match(key):
            raise refuse("bad_value", f"{key!r} is not a key for data", "use A-Za-z0-9-_.")
    return {key: _unquoted(value) for key, value in data.items()}


def _unquoted(value: str) -> str:
    """Drop one pair of quotes around a literal, as kubectl does."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def config_map(ctx: Context, name: str) -> Json:
    """`create configmap NAME --from-literal=K=V`."""
    data = _literals(ctx)
    return _object("v1", "ConfigMap", name, **({"data": data} if data else {}))


def secret(ctx: Context, name: str) -> Json:
    """`create secret generic NAME --from-literal=K=V`."""
    data = {key: b64encode(value.encode()).decode() for key, value in _literals(ctx).items()}
    body = _object("v1", "Secret", name, **({"data": data} if data else {}))
    if ctx.parsed.one("type"):
        body["type"] = ctx.parsed.one("type")
    return body


def registry_secret(ctx: Context, name: str) -> Json:
    """`create secret docker-registry NAME --docker-username=U --docker-password=P`."""
    user, password = _needed(ctx, "docker-username"), _needed(ctx, "docker-password")
    entry = {"username": user, "password": password}
    if ctx.parsed.one("docker-email"):
        entry["email"] = ctx.parsed.one("docker-email")
    entry["auth"] = b64encode(f"{user}:{password}".encode()).decode()
    server = ctx.parsed.one("docker-server", "https://index.docker.io/v1/")
    document = json.dumps({"auths": {server: entry}}, separators=(",", ":"))
    data = {".dockerconfigjson": b64encode(document.encode()).decode()}
    return _object("v1", "Secret", name, data=data, type="kubernetes.io/dockerconfigjson")


def namespace(ctx: Context, name: str) -> Json:
    """`create namespace NAME`."""
    return _object("v1", "Namespace", name)


def service_account(ctx: Context, name: str) -> Json:
    """`create serviceaccount NAME`."""
    return _object("v1", "ServiceAccount", name)


def deployment(ctx: Context, name: str) -> Json:
    """`create deployment NAME --image=I [--replicas=N] [--port=P] [-- COMMAND]`."""
    images = ctx.parsed.many("image")
    if not images or not all(images):
        raise refuse("missing_argument", "--image is needed", "write --image=IMAGE")
    if len(images) > 1 and ctx.parsed.tail:
        raise refuse("bad_value", "A command is possible with one image only", "give one --image")
    containers: list[Json] = [{"name": _container_name(image), "image": image} for image in images]
    if ctx.parsed.tail:
        containers[0]["command"] = list(ctx.parsed.tail)
    if "port" in ctx.parsed:
        containers[0]["ports"] = [{"containerPort": ctx.number("port", least=1)}]
    labels = {"app": name}
    body = _object("apps/v1", "Deployment", name)
    body["metadata"]["labels"] = labels
    body["spec"] = {
        "replicas": ctx.number("replicas", default=1, least=0),
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    return body


def _container_name(image: str) -> str:
    """Name a container after the last part of its image, without tag and digest."""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
    return re.sub(r"[^a-z0-9-]+", "-", name).strip("-") or "container"


def job(ctx: Context, name: str) -> Json:
    """`create job NAME --image=I [-- COMMAND]`, or `--from=cronjob/NAME`."""
    if ctx.parsed.one("from"):
        return _job_from(ctx, name)
    spec = {"template": {"spec": _one_shot(ctx, name, "Never")}}
    return _object("batch/v1", "Job", name, spec=spec)


def _job_from(ctx: Context, name: str) -> Json:
    kind, _, source = ctx.parsed.one("from").partition("/")
    resource = ctx.resource(kind)
    if resource.kind != "CronJob" or not source or ctx.parsed.tail or "image" in ctx.parsed:
        raise refuse("bad_value", "--from takes a CronJob and nothing else", "write --from=cronjob/NAME")
    ref = ctx.ref(resource, source)
    found = ctx.reader.get(ref)
    if found is None:
        raise refuse("not_found", f"{ref} does not exist", "check name and namespace")
    template = found["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    owner = {
        "apiVersion": resource.api_version,
        "kind": "CronJob",
        "name": source,
        "uid": found["metadata"]["uid"],
        "controller": True,
    }
    body = _object("batch/v1", "Job", name, spec=template["spec"])
    body["metadata"].update(
        annotations={**(meta.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"},
        ownerReferences=[owner],
    )
    if meta.get("labels"):
        body["metadata"]["labels"] = meta["labels"]
    return body


def cron_job(ctx: Context, name: str) -> Json:
    """`create cronjob NAME --image=I --schedule=S [-- COMMAND]`."""
    restart = ctx.parsed.one("restart", "OnFailure")
    job_spec = {"template": {"spec": _one_shot(ctx, name, restart)}}
    template = {"metadata": {"name": name}, "spec": job_spec}
    spec = {"schedule": _needed(ctx, "schedule"), "jobTemplate": template}
    return _object("batch/v1", "CronJob", name, spec=spec)


def _one_shot(ctx: Context, name: str, restart: str) -> Json:
    container: Json = {"name": name, "image": _needed(ctx, "image")}
    if ctx.parsed.tail:
        container["command"] = list(ctx.parsed.tail)
    return {"containers": [container], "restartPolicy": restart}


def service(ctx: Context, name: str) -> Json:
    """`create service clusterip|nodeport|loadbalancer|externalname NAME --tcp=PORT[:TARGET]`."""
    kind = ctx.parsed.verb.rpartition(" ")[2]
    spec: Json = {"selector": {"app": name}}
    ports = [_port(text) for text in ctx.parsed.many("tcp")]
    cluster_ip = ctx.parsed.one("clusterip")
    if not ports and kind != "externalname" and cluster_ip != "None":
        raise refuse("missing_argument", "--tcp is needed", "write --tcp=PORT:TARGETPORT")
    if "node-port" in ctx.parsed:
        for port in ports:
            port["nodePort"] = ctx.number("node-port", least=1)
    if ports:
        spec["ports"] = ports
    spec["type"] = {
        "clusterip": "ClusterIP",
        "nodeport": "NodePort",
        "loadbalancer": "LoadBalancer",
        "externalname": "ExternalName",
    }[kind]
    if cluster_ip:
        spec["clusterIP"] = cluster_ip
    if kind == "externalname":
        spec["externalName"] = _needed(ctx, "external-name")
    body = _object("v1", "Service", name, spec=spec)
    body["metadata"]["labels"] = {"app": name}
    return body


def _port(text: str) -> Json:
    port, _, target = text.partition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise refuse("bad_value", f"--tcp={text} is not a port", "write --tcp=PORT:TARGETPORT")
    goal: int | str = int(target) if target.isdigit() else target or int(port)
    return {"name": text.replace(":", "-"), "protocol": "TCP", "port": int(port), "targetPort": goal}


def ingress(ctx: Context, name: str) -> Json:
    """`create ingress NAME --rule=host/path=service:port[,tls[=secret]]`."""
    spec: Json = {}
    if ctx.parsed.one("class"):
        spec["ingressClassName"] = ctx.parsed.one("class")
    if ctx.parsed.one("default-backend"):
        service_name, _, port = ctx.parsed.one("default-backend").partition(":")
        spec["defaultBackend"] = _backend(service_name, port)
    by_host: dict[str, list[Json]] = {}
    tls: list[Json] = []
    for text in ctx.parsed.many("rule"):
        rule = _RULE.match(text)
        if rule is None:
            raise refuse("bad_value", f"--rule={text} is not a rule", "write HOST/PATH=SERVICE:PORT[,tls[=SECRET]]")
        path = {
            "path": rule["path"],
            "pathType": "Prefix" if rule["star"] else "Exact",
            "backend": _backend(rule["service"], rule["port"]),
        }
        by_host.setdefault(rule["host"], []).append(path)
        option, _, secret_name = rule["rest"].lstrip(",").partition("=")
        if option == "tls":
            entry: Json = {"hosts": [rule["host"]]} if rule["host"] else {}
            tls.append({**entry, "secretName": secret_name} if secret_name else entry)
        elif option:
            raise refuse("bad_value", f"--rule={text} has an unknown option {option!r}", "only ,tls[=SECRET] is known")
    if not by_host and "defaultBackend" not in spec:
        raise refuse("missing_argument", "--rule or --default-backend is needed", "write --rule=HOST/PATH=SERVICE:PORT")
    if tls:
        spec["tls"] = tls
    if by_host:
        spec["rules"] = [
            {**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in by_host.items()
        ]
    body = _object("networking.k8s.io/v1", "Ingress", name, spec=spec)
    if ctx.parsed.many("annotation"):
        body["metadata"]["annotations"] = pairs(ctx.parsed.many("annotation"), "an annotation")
    return body


def _backend(name: str, port: str) -> Json:
    which: Json = {"number": int(port)} if port.isdigit() else {"name": port}
    return {"service": {"name": name, "port": which}}


def _needed(ctx: Context, flag: str) -> str:
    value = ctx.parsed.one(flag)
    if not value:
        raise refuse("missing_argument", f"--{flag} is needed", f"write --{flag}=VALUE")
    return value


GENERATORS: dict[str, Callable[[Context, str], Json]] = {
    "configmap": config_map,
    "secret generic": secret,
    "secret docker-registry": registry_secret,
    "namespace": namespace,
    "serviceaccount": service_account,
    "deployment": deployment,
    "job": job,
    "cronjob": cron_job,
    "service clusterip": service,
    "service nodeport": service,
    "service loadbalancer": service,
    "service externalname": service,
    "ingress": ingress,
}
