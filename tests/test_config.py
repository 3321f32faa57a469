"""Settings, config.yaml and docs/configuration.md say the same; what is not a setting stops the start by name."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config import Settings, defaults, load_settings, variables
from darkroom.errors import InvalidConfig

TABLE_ROW = re.compile(r"^\| `(?P<key>[^`]+)` \| (?P<default>[^|]+) \| `(?P<variable>[^`]+)` \| (?P<words>[^|]+) \|$")


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def written(default: object) -> str:
    """As the file and the documentation write it."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default) or "empty"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def refusal(file: Path) -> str:
    with pytest.raises(InvalidConfig) as refused:
        load_settings(file)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_file_that_ships_holds_every_key_with_its_default(root: Path) -> None:
    assert yaml.safe_load((root / "config.yaml").read_text("utf-8")) == defaults()


def test_every_key_of_the_file_that_ships_has_a_comment(root: Path) -> None:
    lines = (root / "config.yaml").read_text("utf-8").splitlines()
    settings = [line for line in lines if re.match(r" *\w+: *[^ #]", line)]
    assert len(settings) == len(variables())
    assert [line for line in settings if " # " not in line] == []


def test_the_documentation_lists_every_key_with_its_default_and_variable(root: Path) -> None:
    lines = (root / "docs" / "configuration.md").read_text("utf-8").splitlines()
    rows = [row.groupdict() for row in map(TABLE_ROW.match, lines) if row]
    documented = [(row["key"], row["default"].strip("` "), row["variable"]) for row in rows]
    expected = [(key, written(default)) for key, default in flat(defaults())]
    assert documented == [(*pair, variable) for pair, variable in zip(expected, variables(), strict=True)]


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert load_settings(file).server == Settings.model_construct().server


def test_a_file_that_was_named_and_is_not_there_is_said_and_so_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "other.yaml", "other.yaml; allowed: a file that is there"),
        (tmp_path, f"{tmp_path.name} is a folder; allowed: a file that can be read"),
    ):
        with pytest.raises(InvalidConfig, match=words):
            load_settings(path, must_be_there=True)


def test_the_home_of_whoever_runs_it_may_be_written_as_a_sign(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    monkeypatch.setenv("DARKROOM_FOLDERS__CACHE", "~/cache")
    own = [{"name": "mine", "file": "~/flux.safetensors"}]
    content = {"folders": {"models": "~/weights", "history": "~"}, "models": {"own": own, "stores": ["~/large"]}}
    file.write_text(yaml.safe_dump(content), "utf-8")
    settings, home = load_settings(file), tmp_path / "me"
    assert vars(settings.folders) == {"models": home / "weights", "history": home, "cache": home / "cache"}
    assert (settings.models.own[0].file, settings.models.stores) == (home / "flux.safetensors", (home / "large",))


def test_the_file_wins_over_defaults_and_variables_win_over_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("server: {host: 0.0.0.0, port: 7000}\nlanguage: zh\n", "utf-8")
    monkeypatch.setenv("DARKROOM_SERVER__PORT", "8000")
    settings = load_settings(file)
    assert (settings.server.host, settings.server.port, settings.language) == ("0.0.0.0", 8000, "zh")


def test_several_names_stand_in_one_variable_with_commas_between(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_SERVER__NAMES", "studio.example.org, studio.lan")
    assert load_settings(file).server.names == ("studio.example.org", "studio.lan")


@pytest.mark.parametrize("variable", variables())
def test_every_variable_is_read(variable: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "needle")
    try:
        outcome = str(load_settings(file))
    except InvalidConfig as refused:
        outcome = str(refused)
    assert "needle" in outcome


def test_relative_folders_start_at_the_file_and_absolute_ones_stay(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    file.write_text(yaml.safe_dump({"folders": {"models": "weights", "history": str(elsewhere)}}), "utf-8")
    folders = load_settings(file).folders
    assert (folders.models, folders.history, folders.cache) == (tmp_path / "weights", elsewhere, tmp_path / "cache")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("server: {port: 0}", "server.port is 0; allowed: at least 1"),
        ("server: {port: 65536}", "server.port is 65536; allowed: at most 65535"),
        ("server: {port: many}", "server.port is many; allowed: a whole number"),
        ("server: {prot: 7000}", "server.prot is 7000; allowed: no such field"),
        ("server: {names: ['http://a.example']}", "server.names.0 is http://a.example; allowed: names such as "),
        ("server: {names: 5}", "server.names is 5; allowed: "),
        ("sever: {port: 7000}", "allowed: no such field"),
        ("engine: {device: gpu}", "engine.device is gpu; allowed: one of auto, cpu, cuda"),
        ("engine: {idle_minutes: .nan}", "engine.idle_minutes is nan; allowed: "),
        ("engine: {compile: fast}", "engine.compile is fast; allowed: one of auto, on, off"),
        ("engine: {threads: -1}", "engine.threads is -1; allowed: at least 0"),
        ("language: fr", "language is fr; allowed: one of auto, en, zh"),
        ("logging: {level: loud}", "logging.level is loud; allowed: one of debug, info, warning, error"),
        (
            "webhooks: {on_job_done: 'ftp://a.example'}",
            "webhooks.on_job_done is ftp://a.example; allowed: an address su",
        ),
        ("webhooks: {on_job_done: 'http://a:99999/'}", "webhooks.on_job_done is http://a:99999/; allowed: an address "),
        ("webhooks: {on_queue_empty: 'http://me@a/'}", "webhooks.on_queue_empty is http://me@a/; allowed: an address "),
        ("webhooks: {timeout_seconds: 0}", "webhooks.timeout_seconds is 0; allowed: more than 0"),
        ("keep_in_vram: maybe", "keep_in_vram is maybe; allowed: true or false"),
        ("keep_in_vram: 2", "keep_in_vram is 2; allowed: true or false"),
        ("offload: {enabled: [1]}", "offload.enabled is [1]; allowed: true or false"),
        ("conversion: {enabled: sometimes}", "conversion.enabled is sometimes; allowed: true or false"),
        ("conversion: {cache: /tmp}", "conversion.cache is /tmp; allowed: no such field"),
        ("offload: {enable: true}", "offload.enable is True; allowed: no such field"),
        ("memory_management: {expandable_segments: some}", "memory_management.expandable_segments is some; allowed: "),
        ("memory: {profil: 8}", "memory.profil is 8; allowed: no such field"),
        ("memory: {profile: 10}", "memory.profile is 10; allowed: "),
        ("memory: {profile: true}", "memory.profile is True; allowed: "),
        ("memory: {vram_limit_gb: -1}", "memory.vram_limit_gb is -1; allowed: at least 0"),
        ("memory: {vram_limit_gb: .nan}", "memory.vram_limit_gb is nan; allowed: "),
        ("memory: {ram_limit_gb: much}", "memory.ram_limit_gb is much; allowed: a number"),
        ("memory: {vae_tile: 240}", "memory.vae_tile is 240; allowed: auto, off, or pixels: a multiple of 16, at lea"),
        ("memory: {vae_tile: 264}", "memory.vae_tile is 264; allowed: auto, off, or pixels: "),
        ("memory: {vae_tile: 512.0}", "memory.vae_tile is 512.0; allowed: auto, off, or pixels: "),
        ("memory: {vae_tile: on}", "memory.vae_tile is True; allowed: auto, off, or pixels: "),
        ("presets: {dmo: {fast: {steps: 4}}}", "presets.dmo is dmo; allowed: one of majicflus-v1, "),
        ("presets: {demo: {quick: {}}}", "presets.demo.quick is quick; allowed: one of fast, standard, fine"),
        ("presets: {demo: {fast: {step: 4}}}", "presets.demo.fast.step is 4; allowed: no such field"),
        ("presets: {demo: {fast: {steps: 0}}}", "presets.demo.fast.steps is 0; allowed: at least 1"),
        ("presets: {demo: {fast: {steps: 101}}}", "presets.demo.fast.steps is 101; allowed: at most 100"),
        ("presets: {demo: {fast: {steps: 4.5}}}", "presets.demo.fast.steps is 4.5; allowed: a whole number"),
        ("presets: {demo: {fine: {step_cache: 2}}}", "presets.demo.fine.step_cache is 2; allowed: at most 1"),
        (
            "presets: {demo: {fine: {prompt_tokens: 9}}}",
            "presets.demo.fine.prompt_tokens is 9; allowed: a multiple of 16",
        ),
        ("presets: {demo: {fine: {guidance: 31}}}", "presets.demo.fine.guidance is 31; allowed: at most 30"),
        ("presets: {demo: {fine: {guidance: .nan}}}", "presets.demo.fine.guidance is nan; allowed: "),
        ("presets: {demo: {fast: 4}}", "presets.demo.fast is 4; allowed: "),
        ("presets: {demo: 4}", "presets.demo is 4; allowed: "),
        ("presets: {5: 4}", "presets.5 is 5; allowed: "),
        ("presets: 4", "presets is 4; allowed: "),
        ("models: {source: civitai}", "models.source is civitai; allowed: "),
        ("models: {own: {}}", "models.own is {}; allowed: "),
        ("models: {own: [{name: demo, file: a}]}", "models.own.0.name is demo; allowed: small letters, digits, "),
        ("models: {own: [{name: ../x, file: a}]}", "models.own.0.name is ../x; allowed: small letters, digits, "),
        ("models: {own: [{name: x, file: ../a}]}", "models.own.0.file is ../a; allowed: a file below folders.models"),
        ("models: {own: [{name: x, file: a}, {name: x, file: b}]}", "allowed: each name once"),
        (
            "models: {own: [{name: x, file: a, like: sdxl}]}",
            "models.own.0.like is sdxl; allowed: one of majicflus-v1, ",
        ),
        ("models: {own: [{name: x, file: a, link: 'javascript:1'}]}", "models.own.0.link is javascript:1; allowed: "),
        ("models: {own: [{name: x}]}", "models.own.0.file is missing; allowed: a value"),
        ("server: 5", "server is 5; allowed: "),
        ("server: [", "config.yaml is wrong in line 1: "),
        (
            "server:\n  port: 1\n bad",
            "config.yaml is wrong in line 3: expected <block end>, but found '<scalar>'; allowed: a",
        ),
        (
            "server: {host: ''}",
            "server.host is empty; allowed: an address of this machine, such as 127.0.0.1; 0.0.0.0 is ",
        ),
        ('server: {host: "a\\0b"}', "server.host is a\N{REPLACEMENT CHARACTER}b; allowed: an address of this machine"),
        ("server: {5: 1}", "server.5 is 5; allowed: no such field"),
        ("folders: {models: 5}", "folders.models is 5; allowed: a path"),
        ('folders: {models: "a\\0b"}', "folders.models is a\N{REPLACEMENT CHARACTER}b; allowed: a path"),
        ("folders: {models: ~no_such_person/x}", "folders.models is ~no_such_person/x; allowed: a path"),
        ("models: {folders: [~no_such_person/x]}", "models.folders.0 is ~no_such_person/x; allowed: a path"),
        (
            "models: {own: [{name: x, file: a, huggingface: {repository: a, path: b}}]}",
            "models.own.0.huggingface.repository is a; allowed: a repository as owner/name",
        ),
        (
            "models: {own: [{name: x, file: a, sha256: 1a}]}",
            "models.own.0.sha256 is 1a; allowed: the 64 small digits and letters of a SHA-256",
        ),
        ("language: 2024-13-45", "config.yaml is month must be in 1..12; allowed: a YAML file"),
        ("language: " + "[" * 5000, "config.yaml is nested too deep; allowed: a YAML file"),
        ("- server", "config.yaml is "),
        ("only words", "config.yaml is "),
        ("6006: port", "config.yaml is "),
    ],
)
def test_what_is_wrong_in_the_file_is_named(content: str, words: str, file: Path) -> None:
    file.write_text(content, "utf-8")
    assert words in refusal(file)


@pytest.mark.parametrize(
    ("written", "read"), [("auto", "auto"), ("off", "off"), ("'off'", "off"), ("512", 512), ("'512'", 512)]
)
def test_a_tile_may_be_written_as_yaml_reads_it(written: str, read: str | int, file: Path) -> None:
    file.write_text(f"memory: {{vae_tile: {written}}}", "utf-8")
    assert load_settings(file).memory.vae_tile == read


@pytest.mark.parametrize(("written", "read"), [("8", "8"), ("'8'", "8"), ("cpu", "cpu"), ("auto", "auto")])
def test_a_profile_may_be_written_as_a_number(written: str, read: str, file: Path) -> None:
    file.write_text(f"memory: {{profile: {written}}}", "utf-8")
    assert load_settings(file).memory.profile == read


def test_variables_reach_the_memory_settings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PROFILE", "8"), ("VAE_TILE", "512"), ("VRAM_LIMIT_GB", "7.5")):
        monkeypatch.setenv(f"DARKROOM_MEMORY__{name}", value)
    memory = load_settings(file).memory
    assert (memory.profile, memory.vae_tile, memory.vram_limit_gb) == ("8", 512, 7.5)


def test_a_file_that_is_not_text_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\xff")
    assert refusal(file).startswith("config.yaml is ")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("DARKROOM_SERVER__PROT", "allowed: DARKROOM_SERVER__PORT"),
        ("DARKROOM_SERVER_PORT", "allowed: DARKROOM_SERVER__PORT"),
        ("darkroom_langage", "allowed: DARKROOM_LANGUAGE"),
        ("DARKROOM_NONSENSE", "DARKROOM_DATABASE_URL"),
        ("DARKROOM_SERVER", "allowed: DARKROOM_SERVER__"),
    ],
)
def test_a_variable_that_does_not_exist_is_named_without_its_value(
    variable: str, meant: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "hunter2")
    words = refusal(file)
    assert words.startswith(f"{variable} is set; ")
    assert meant in words
    assert "hunter2" not in words


def test_all_unknown_variables_are_named_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_NONSENSE", "1")
    monkeypatch.setenv("DARKROOM_SERVER__PROT", "1")
    words = refusal(file)
    assert "DARKROOM_NONSENSE" in words
    assert "DARKROOM_SERVER__PROT" in words


def test_settings_cannot_be_changed_once_loaded(file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(file).server.port = 1  # type: ignore[misc]
