"""Names to chat models: known, unknown, not installed, without a key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stratus.errors import UnknownNameError, UsageError
from stratus.llm import providers
from stratus.llm.providers import chat_model, known_providers, provider_rows
from stratus.settings import ModelSettings

SETTINGS = ModelSettings(temperature=0.0, timeout=7.0, max_tokens=99)


def test_unknown_provider_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        chat_model("opnai:gpt-4o", SETTINGS, {})
    for name in known_providers():
        assert name in str(caught.value)


@pytest.mark.parametrize("name", ["openai", "openai:", "scripted:"])
def test_a_name_without_model_says_how_to_write_it(name: str) -> None:
    with pytest.raises(UsageError, match="names no model"):
        chat_model(name, SETTINGS, {"OPENAI_API_KEY": "k"})


def test_openai_without_key_and_address_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY, or OPENAI_BASE_URL"):
        chat_model("openai:gpt-4o", SETTINGS, {})


def test_openai_takes_settings_and_never_retries_by_itself() -> None:
    model = chat_model("openai:gpt-4o", SETTINGS, {"OPENAI_API_KEY": "k"})
    assert (model.model_name, model.temperature, model.request_timeout) == ("gpt-4o", 0.0, 7.0)
    assert (model.max_tokens, model.max_retries) == (99, 0)
    assert model.openai_api_key.get_secret_value() == "k"


def test_openai_with_an_address_needs_no_key() -> None:
    model = chat_model("openai:local", SETTINGS, {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    assert model.openai_api_base == "http://127.0.0.1:9/v1"
    assert model.openai_api_key.get_secret_value()


def test_azure_says_which_variable_is_missing() -> None:
    with pytest.raises(UsageError, match="AZURE_OPENAI_ENDPOINT"):
        chat_model("azure_openai:gpt-4o", SETTINGS, {"AZURE_OPENAI_API_KEY": "k"})


@pytest.mark.parametrize("provider", sorted(set(provider_rows()) - {"openai", "azure_openai"}))
def test_a_missing_package_is_named(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = provider_rows()[provider]
    monkeypatch.setitem(sys.modules, row.module, None)  # what an absent package looks like to import
    environ = dict.fromkeys(row.key, "k")
    with pytest.raises(UsageError, match=f"pip install {row.package}"):
        chat_model(f"{provider}:some-model", SETTINGS, environ)


def test_a_model_name_may_hold_colons(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    class Fake:
        def __init__(self, **kwargs: object) -> None:
            seen.update(kwargs)

    monkeypatch.setattr(providers, "_load_class", lambda row: Fake)
    chat_model("ollama:qwen2.5:1.5b", SETTINGS, {})
    assert seen == {
        "model": "qwen2.5:1.5b",
        "temperature": 0.0,
        "num_predict": 99,
        "client_kwargs": {"timeout": 7.0},
    }


def test_a_bad_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**kwargs: object) -> None:
        raise ValueError("first line\nsecond line")

    monkeypatch.setattr(providers, "_load_class", lambda row: broken)
    with pytest.raises(UsageError, match=r"cannot be set up: first line$"):
        chat_model("ollama:x", SETTINGS, {})


PROBE = """
import sys
import stratus.llm, stratus.llm.providers, stratus.llm.thinker, stratus.llm.answers, stratus.llm.failures
heavy = [m for m in sys.modules if m.split('.')[0] in ('openai', 'langchain_openai', 'langchain_core', 'httpx')]
assert not heavy, heavy
import os
before = dict(os.environ)
from pathlib import Path
from stratus.llm.providers import chat_model
from stratus.settings import ModelSettings
model = chat_model('scripted:' + sys.argv[1], ModelSettings())
model.invoke('hello')
assert dict(os.environ) == before
from langsmith.utils import tracing_is_enabled
assert not tracing_is_enabled()
"""


def test_importing_is_light_and_tracing_stays_off(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("rules:\n  - answer: hi\n")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("LANGSMITH", "LANGCHAIN"))}
    done = subprocess.run([sys.executable, "-c", PROBE, str(script)], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
