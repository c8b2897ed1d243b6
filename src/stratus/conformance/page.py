"""The matrix as a page of Markdown, without anything that depends on the machine it was made on."""

from __future__ import annotations

from stratus.conformance.matrix import FileResult, Matrix, Score

INTRODUCTION = """\
# Agreement with a real Kubernetes

<!-- Made by `stratus conformance --golden DIR --markdown`; do not edit. -->

Requests, kubectl commands and lifecycles recorded from a real Kubernetes 1.36 are replayed on the embedded cluster, and
what comes out is compared with what was recorded. Only what differs from run to run is made alike before comparing:
uids, versions, times, generated names, and addresses and ports that a server allocates. Everything that still differs
is listed below.

"""

EXPLANATION = """\
## How to read it

A case **passes** when everything compared for its file agrees. A *measure* is one part of that, counted apart; the
share asked for is what a release must reach (`--check` ends with 1 when one is missed). A case out of scope is not
counted, and its reason is listed.

Before each recorded kubectl command the cluster is pieced together from what the recorded changes and answers show, so
it holds less than the recorded one did: objects that no recorded command changed are taken from their likes in other
namespaces, and pods that never changed are made up. What controllers do besides what the command asks for is therefore
told (`indirect`), and no share of it is asked for.

The **lifecycles** were recorded on a busy machine, several scenarios at a time, and some of what they show hangs on
how long a node took: a status that is replaced before it was written is never seen, and a container that starts slowly
is met by what would otherwise have come later. Each scenario is therefore replayed twice, both times with the same one
seed:

- *at the recorded pace* (this decides whether it passes): moments are read off the recording, and nothing else. A
  command has its effect when it had reached the server; a kubelet has a sandbox up, starts or stops a container, tries
  again, notices an end and writes a status when the recorded one did, provided that this is not more than two seconds
  later than it could. Which states, reasons and texts there are then is up to the emulation. What it passes through
  without writing it must be a step that a pod made in one of the recordings;
- *at its own pace* (measure `own pace`), at which nodes are as fast as they are when there is little to do.

`sequences` counts the recorded sequences, of pods and of the events about one object, that came about; a scenario
passes when all of its sequences did and no other.

`stratus conformance --golden DIR --json FILE` writes the same as JSON. Its keys stay as they are; new ones may come.

| key | meaning |
|---|---|
| `schema` | version of this description: 1 |
| `against` | `embedded`, or `live` with `--against KUBECONFIG` |
| `total`, `passed`, `rate` | counted cases, those that pass, their share (four digits) |
| `met` | every share asked for is reached |
| `files.NAME` | one file of recordings: `total`, `passed`, `rate`, and `least` and `met` where a share is asked for |
| `files.NAME.about` | what is compared |
| `files.NAME.measures.NAME` | parts counted apart: `total`, `passed`, `rate`, `least`, `met` |
| `files.NAME.parts.NAME` | counted within the cases (`sequences`, `sequences_own_pace`): `total`, `passed`, `rate` |
| `files.NAME.kinds.KIND` | `total`, `passed`, `rate` per kind or group of commands |
| `files.NAME.failing` | list of `case`, `kind`, `reason`, `measures`: cases in which something differs |
| `files.NAME.out_of_scope` | list of `case`, `kind`, `reason`: cases not counted |
| `missing` | files that the folder does not have |
| `not_replayed` | files that the right-hand side cannot be given, with the reason |
"""


def page(matrix: Matrix) -> str:
    """Return the page."""
    parts = [INTRODUCTION, "## Files\n\n", _files(matrix), "\n"]
    parts += [_file(file) for file in matrix.files]
    if matrix.missing:
        parts.append("## Missing\n\n" + "".join(f"- {name}\n" for name in matrix.missing) + "\n")
    if matrix.not_replayed:
        listed = "".join(f"- {name}: {why}\n" for name, why in matrix.not_replayed.items())
        parts.append(f"## Not replayed\n\n{listed}\n")
    parts.append(EXPLANATION)
    return "".join(parts)


def _files(matrix: Matrix) -> str:
    lines = ["| file | measure | passed | of | rate | asked for |", "|---|---|--:|--:|--:|--:|"]
    for file in matrix.files:
        lines.append(_row(file.name, "all of it", file.score))
        lines += [_row("", _words(name), score) for name, score in {**file.measured(), **file.parts()}.items()]
    lines.append(_row("**together**", "", matrix.score))
    return "\n".join(lines) + "\n"


def _row(file: str, measure: str, score: Score) -> str:
    asked = "" if score.least is None else f"{score.least:.0%}"
    return f"| {file} | {measure} | {score.passed} | {score.total} | {score.rate:.1%} | {asked} |"


def _file(file: FileResult) -> str:
    lines = [f"## {file.name}", "", f"Compared: {file.about}.", "", "| kind | passed | of |", "|---|--:|--:|"]
    lines += [f"| {name} | {score.passed} | {score.total} |" for name, score in file.kinds().items()]
    failing = [o for o in file.counted if not o.passed or not all(o.measures.values())]
    if failing:
        lines += ["", "Differences:", ""]
        for outcome in failing:
            missed = [_words(name) for name, good in outcome.measures.items() if not good]
            apart = f" ({', '.join(missed)})" if missed else ""
            lines.append(f"- {_code(outcome.case)}{apart}: {_code(outcome.reason)}")
    if file.left_out:
        lines += ["", "Not counted:", ""]
        lines += [f"- {_code(o.case)}: {o.reason}" for o in file.left_out]
    return "\n".join(lines) + "\n\n"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _code(text: str, limit: int = 300) -> str:
    short = " ".join(text.split())
    short = short if len(short) <= limit else f"{short[:limit]}..."
    return f"`` {short} ``" if "`" in short else f"`{short}`"
