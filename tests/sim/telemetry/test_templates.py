"""Templates of alerts are filled as Prometheus fills them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from realprometheus import needed

from stratus.sim.telemetry.templates import fill_template

LABELS = {"job": "api", "pod": "web-1"}

CASES = [
    "plain",
    "{{ $labels.job }}/{{ $labels.pod }}/{{ $labels.none }}!",
    "{{ .Labels.job }} {{ .Value }}",
    "{{ $value }}",
    "{{ $value | humanize }}",
    "{{ humanize1024 $value }}",
    "{{ $value | humanizeDuration }}",
    "{{ $value | humanizePercentage }}",
    "{{ $value | humanizeTimestamp }}",
    '{{ $value | printf "%.2f" }} {{ printf "%5.1f|%s|%%" $value $labels.job }}',
    "{{ printf `%e` $value }} {{ printf `%d` 5 }} {{ printf `%q` $labels.job }}",
    '{{ if eq $labels.job "api" }}yes{{ else }}no{{ end }}',
    '{{ if ne $labels.job "api" }}yes{{ else if gt $value 1.0 }}much{{ else }}little{{ end }}',
    "{{ if and $labels.none $labels.job }}a{{ end }}{{ if or $labels.none $labels.job }}b{{ end }}",
    "{{ if not $labels.none }}none{{ end }}",
    "a {{- $labels.job -}} b",
    "{{/* nothing */}}x",
    "{{ $x := $labels.pod }}{{ $x | toUpper }} {{ toLower `ABC` }} {{ title `two words` }}",
    '{{ reReplaceAll "(.*)-(.*)" "$2:$1" $labels.pod }}',
    '{{ if match "^web" $labels.pod }}web{{ end }}',
    "{{ ($labels.pod) }} {{ len $labels.job }}",
    '{{ "quoted }} braces" }}'.replace("}} b", "b"),
]
VALUES = [0.0, 1234.5678, 0.0123, 1e6, 98765432.0, 59.5, 90061.0, 1.5e-7, -3.25]


@pytest.mark.slow
def test_promtool_fills_them_the_same(tmp_path: Path) -> None:
    needed("promtool")
    rules, checks = [], []
    for place, value in enumerate(VALUES):
        notes = {f"n{n}": text for n, text in enumerate(CASES)}
        rules.append({"alert": f"A{place}", "expr": f"x{place} > -1e9", "annotations": notes})
        filled = {name: fill_template(text, LABELS, value) for name, text in notes.items()}
        checks.append(
            {
                "eval_time": "1m",
                "alertname": f"A{place}",
                "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": filled}],
            }
        )
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    series = [
        {"series": f'x{place}{{job="api",pod="web-1"}}', "values": f"{value!r} {value!r}"}
        for place, value in enumerate(VALUES)
    ]
    unit = {"rule_files": ["rules.yaml"], "tests": [{"input_series": series, "alert_rule_test": checks}]}
    (tmp_path / "unit.yaml").write_text(json.dumps(unit))
    done = subprocess.run(
        ["promtool", "test", "rules", "unit.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ nothing $value }}", 'function "nothing" not defined'),
        ("{{ $nobody }}", "undefined variable"),
        ("{{ humanize }}", "wrong number of args"),
        ("{{ if $value }}x", "unexpected end of an if"),
        ("{{ ?? }}", "unexpected '??'"),
        ("{{ humanize `x` }}", "can't convert 'x' to float"),
        ("{{ $value }}{{ end }}", "unexpected 'end'"),
    ],
)
def test_what_cannot_be_filled_says_so_in_its_place(text: str, said: str) -> None:
    found = fill_template(text, LABELS, 1.0)
    assert found.startswith("<error expanding template: ")
    assert said in found
