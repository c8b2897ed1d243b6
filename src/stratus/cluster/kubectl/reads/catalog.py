"""`kubectl api-resources`, `version`, `auth can-i`: what a server has and lets one do."""

from __future__ import annotations

from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer
from stratus.cluster.kubectl.reads.columns import table
from stratus.cluster.kubectl.reads.getting import as_json, as_yaml
from stratus.errors import UnknownNameError


def resources(look: Look) -> ReadAnswer:
    """Run `api-resources`."""
    form = look.option("output")
    verbs = {v for v in look.option("verbs").split(",") if v}
    group = look.read.options.get("api-group")
    kinds = {c for c in look.option("categories").split(",") if c}
    found = [
        r
        for r in look.reader.resources()
        if (group is None or r.group == group)
        and ("namespaced" not in look.read.options or r.namespaced is look.on("namespaced"))
        and verbs <= set(r.verbs)
        and kinds <= set(r.categories)
    ]
    found = sorted(found, key=lambda r: (r.group, r.plural))
    if look.option("sort-by") in ("name", "kind"):
        found = sorted(found, key=lambda r: r.plural if look.option("sort-by") == "name" else r.kind)
    if form == "name":
        return ReadAnswer(text="".join(f"{r.full_name}\n" for r in found))
    header = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    rows = [[r.plural, ",".join(r.short_names), r.api_version, str(r.namespaced).lower(), r.kind] for r in found]
    if form == "wide":
        header += ["VERBS", "CATEGORIES"]
        rows = [[*row, ",".join(sorted(r.verbs)), ",".join(r.categories)] for row, r in zip(rows, found, strict=True)]
    return ReadAnswer(text=table(header, rows, headers=not look.on("no-headers")))


def version(look: Look) -> ReadAnswer:
    """Run `version`: the server's, since no kubectl is at work here."""
    if look.on("client"):
        return ReadAnswer(complaint="(no kubectl runs here; the server's version is shown without --client)")
    held = {"serverVersion": {"gitVersion": look.reader.identity().version}}
    if look.option("output"):
        return ReadAnswer(text=as_json(held) if look.option("output") == "json" else as_yaml(held))
    return ReadAnswer(text=f"Server Version: {held['serverVersion']['gitVersion']}\n")


def can_i(look: Look) -> ReadAnswer:
    """Run `auth can-i`: `no` is an answer with exit code 1, not a failure."""
    if look.on("list"):
        return _rights(look)
    verb, word, *_ = [*look.words, ""]
    space = "" if look.everywhere else look.read.namespace
    warning = ""
    if word.startswith("/"):
        printer = look.printer()
        if printer is None:
            raise Failed("error: what is no resource cannot be asked for here")
        allowed = printer.can_reach(verb, word)
    else:
        kind, _, _name = word.partition("/")
        resource, sub = kind, look.option("subresource")
        if kind != "*":
            try:
                known = look.reader.resource(kind)
                resource, space = known.full_name, space if known.namespaced else ""
                if not known.namespaced:
                    warning = f"Warning: resource '{known.plural}' is not namespace scoped"
                    warning += f" in group '{known.group}'" if known.group else ""
            except UnknownNameError:
                warning = f"Warning: the server doesn't have a resource type '{kind}'"
        allowed = look.reader.can_i(verb, resource, space, subresource=sub)
    text = "" if look.on("quiet") else "yes\n" if allowed else "no\n"
    return ReadAnswer(text=text, complaint=warning, exit_code=0 if allowed else 1)


def _rights(look: Look) -> ReadAnswer:
    printer = look.printer()
    if printer is None:
        raise Failed("error: the rights cannot be listed here")
    rules = printer.rules(look.read.namespace)
    rows = []
    for rule in rules.get("resourceRules") or ():
        for resource in rule.get("resources") or ():
            for group in rule.get("apiGroups") or [""]:
                plural, slash, sub = resource.partition("/")
                name = f"{plural}.{group}{slash}{sub}" if group else resource
                rows.append([name, "[]", _bracketed(rule.get("resourceNames")), _bracketed(rule.get("verbs"))])
    for rule in rules.get("nonResourceRules") or ():
        urls = rule.get("nonResourceURLs") or ()
        rows += [["", f"[{url}]", "[]", _bracketed(rule.get("verbs"))] for url in urls]
    header = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]
    said = "warning: the list may be incomplete" if rules.get("incomplete") else ""
    return ReadAnswer(text=table(header, rows, headers=not look.on("no-headers")), complaint=said)


def _bracketed(words: list[str] | None) -> str:
    return f"[{' '.join(words or ())}]"
