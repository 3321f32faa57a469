"""Settings: every choice of whoever runs Darkroom, from config.yaml and DARKROOM_ variables.

An unknown key or a wrong value stops the start with one line. Must not know: what the settings are used for.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from darkroom.errors import InvalidConfig, Problem, shown
from darkroom.request import problems_of

VARIABLE_PREFIX = "DARKROOM_"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """Where the page is served."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 6006


class FolderSettings(_Section):
    """Relative paths start at the folder of config.yaml."""

    models: Path = Path("models")
    history: Path = Path("history")


class EngineSettings(_Section):
    """The process that holds the model."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    idle_minutes: Annotated[float, Field(ge=0, le=10_080)] = 10


class Settings(BaseSettings):
    """All settings. `database_url` empty means SQLite, in the history folder."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=VARIABLE_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    server: ServerSettings = ServerSettings()
    folders: FolderSettings = FolderSettings()
    engine: EngineSettings = EngineSettings()
    language: Literal["auto", "en", "zh"] = "auto"
    database_url: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load_settings(path: Path) -> Settings:
    """Read the file (it may be absent) and the environment. Raises InvalidConfig."""
    _check_variables(os.environ)
    _check_file(path)

    class _SettingsOfFile(Settings):
        model_config = SettingsConfigDict(yaml_file=path, yaml_file_encoding="utf-8")

    try:
        settings = _SettingsOfFile()
    except ValidationError as error:
        raise InvalidConfig(*problems_of(error)) from error
    base = path.resolve().parent
    folders = FolderSettings(models=base / settings.folders.models, history=base / settings.folders.history)
    return settings.model_copy(update={"folders": folders})


def defaults() -> dict[str, Any]:
    """Every key with its default, nested as in config.yaml."""
    return Settings.model_construct().model_dump(mode="json")


def variables() -> tuple[str, ...]:
    """The name of every variable that is read: DARKROOM_SERVER__PORT is `port` of `server`."""
    return tuple(VARIABLE_PREFIX + "__".join(keys).upper() for keys in _keys_of(defaults()))


def _keys_of(values: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from ((key, *rest) for rest in _keys_of(value))
        else:
            yield (key,)


def _check_variables(environment: Mapping[str, str]) -> None:
    """pydantic-settings passes over names it does not know; a typing error would go unnoticed."""
    known = variables()
    unknown = [name for name in environment if name.upper().startswith(VARIABLE_PREFIX) and name.upper() not in known]
    if unknown:
        # The value is not shown: it may be a secret under a misspelt name.
        raise InvalidConfig(*(Problem(field=shown(n), value="set", allowed=_nearest(n, known)) for n in unknown))


def _nearest(name: str, known: tuple[str, ...]) -> str:
    """The name that was probably meant, else all of them. The common prefix would make everything look alike."""
    ends = {variable.removeprefix(VARIABLE_PREFIX): variable for variable in known}
    close = difflib.get_close_matches(name.upper().removeprefix(VARIABLE_PREFIX), ends, n=1)
    return ", ".join([ends[end] for end in close] or known)


def _check_file(path: Path) -> None:
    """pydantic-settings ends with a traceback where the file is not a mapping of names."""
    try:
        content = yaml.safe_load(path.read_text("utf-8")) if path.exists() else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidConfig(Problem(field=path.name, value=shown(str(error)), allowed="a YAML file")) from error
    if content is not None and not (isinstance(content, dict) and all(isinstance(key, str) for key in content)):
        raise InvalidConfig(Problem(field=path.name, value=shown(content), allowed="lines of the form `key: value`"))
