"""Settings: every choice of whoever runs Darkroom, from config.yaml and DARKROOM_ variables.

An unknown key or a wrong value stops the start with one line. Must not know: what the settings are used for.
"""

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

    class _SettingsOfFile(Settings):
        model_config = SettingsConfigDict(yaml_file=path, yaml_file_encoding="utf-8")

    try:
        settings = _SettingsOfFile()
    except ValidationError as error:
        raise InvalidConfig(*problems_of(error)) from error
    except yaml.YAMLError as error:
        raise InvalidConfig(Problem(field=path.name, value=shown(str(error)), allowed="a YAML file")) from error
    base = path.resolve().parent
    folders = FolderSettings(models=base / settings.folders.models, history=base / settings.folders.history)
    return settings.model_copy(update={"folders": folders})


def defaults() -> dict[str, Any]:
    """Every key with its default, nested as in config.yaml."""
    return Settings.model_construct().model_dump(mode="json")
