"""What an operator can set, as one typed class: `ECHO2ECG_*` variables or a TOML file named by ECHO2ECG_CONFIG.

Nothing is read at import. Arguments win over the environment, the environment over the file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, IPvAnyNetwork, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourceError

from ground.errors import Refusal

ENV_PREFIX = "ECHO2ECG_"
CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"


_OTHER_VARIABLES = (CONFIG_VARIABLE, f"{ENV_PREFIX}API_KEY")
"""What is meant for others than the settings."""


def _device_name(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        raise PydanticCustomError("device_name", "Use auto, cpu, cuda or cuda:N")
    return name


class SettingsError(Refusal):
    """The settings cannot be served; one sentence says which and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__("settings", sentence)


class Settings(BaseSettings):
    """All settings of the service, checked. Raises SettingsError in one sentence."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    bundle_dir: Path
    """The model bundle to serve."""
    index_dir: Path
    """The index store: generations, CURRENT and the state of rebuild jobs."""
    cohorts: dict[str, Path] = Field(default_factory=dict)
    """Cohort folders a rebuild may name; in the environment as JSON, `{"main": "/data/cohorts/main"}`."""
    keys_file: Path | None = None
    """Hashed API keys, made by `echo2ecg keys create`. Without one: only loopback, and no key is asked for."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    device: Annotated[str, AfterValidator(_device_name)] = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    max_body_bytes: int = Field(default=32 * 2**20, ge=1)
    """A larger request body is answered 413."""
    max_upload_files: int = Field(default=8, ge=1, le=32)
    max_upload_bytes: int = Field(default=192 * 2**20, ge=1)
    """What the uploads in the service may take together: they are kept in memory and never written. No caller takes
    more than three quarters; one more is answered 429."""
    queue_size: int = Field(default=64, ge=1)
    """ECGs in the service at once, arriving, waiting or worked on. No caller takes more than three quarters; one more
    is answered 429."""
    max_batch: int = Field(default=16, ge=1)
    """The most ECGs the models see at once."""
    reader_workers: int = Field(default=3, ge=1)
    """Child processes that parse uploads. No caller has all of them, unless there is only one."""

    max_connections: int = Field(default=1024, ge=4)
    """When there are more, or more than the process may have files open, the longest idle one is closed."""
    max_connections_per_address: int = Field(default=256, ge=2)
    """The same for one caller's address."""
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses or networks whose connections are many people's: only `max_connections` holds for them. In the
    environment as JSON, `["10.0.0.0/8"]`."""

    header_timeout_s: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """A connection that has not sent a whole request header by then is closed."""
    write_timeout_s: float = Field(default=20.0, gt=0, allow_inf_nan=False)
    """A connection whose caller has not read what lies ready for it by then is closed."""
    body_timeout_s: float = Field(default=20.0, gt=0, allow_inf_nan=False)
    """A body that has not arrived by then is answered 408."""
    answer_timeout_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """An answer that is not there this long after its upload is given up with 503."""
    drain_timeout_s: float = Field(default=25.0, gt=0, allow_inf_nan=False)
    """How long SIGTERM waits for requests already accepted."""
    index_poll_s: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """How often a generation written by someone else is looked for."""
    session_hours: float = Field(default=12.0, ge=1 / 60, le=24 * 366)
    """How long a log-in on the page lasts, from a minute to a year."""
    session_cookie_secure: bool = True
    """Whether browsers keep a log-in only over HTTPS (and, most of them, on this machine). False lets the session cross
    a network in the clear."""

    kept_answers_minutes: float = Field(default=60.0, gt=0, le=24 * 60)
    """How long the page keeps an answer, in memory alone, so that its address can be gone back to."""
    viewer_url: str | None = Field(default=None, pattern=r"^https?://[^\s{}]*\{study_id\}[^\s{}]*$")
    """Where a study can be looked at, such as `https://viewer.example.org/?study={study_id}`: each study of an answer
    then has a link there."""
    kept_answers_bytes: int = Field(default=64 * 2**20, ge=0)
    """What kept answers may take together, some 300 kB each; the oldest go first."""

    ui_page: bool = False
    """Whether /ui shows every component of the pages, for who works on them."""

    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from None
        except SourceError as error:  # such as ECHO2ECG_COHORTS that is not JSON; its text names the setting
            name = next((name for name in type(self).model_fields if f'"{name}"' in str(error)), "")
            raise SettingsError(f"The setting {name} ({ENV_PREFIX}{name.upper()}) is wrong: not valid JSON.") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"The file that {CONFIG_VARIABLE} names is not valid TOML: {error}.") from None
        except UnicodeDecodeError:
            raise SettingsError(f"The file that {CONFIG_VARIABLE} names is not in UTF-8.") from None
        except (ValueError, RecursionError, OSError):  # numbers of any length, depths of any depth, no right to read it
            raise SettingsError(f"The settings, or the file that {CONFIG_VARIABLE} names, cannot be read.") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = os.environ.get(CONFIG_VARIABLE)
        if config is None:
            return init_settings, env_settings
        if not Path(config).is_file():
            raise SettingsError(f"{CONFIG_VARIABLE} names a file that is not there: {config}.")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=config)

    @property
    def binds_to_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def without_effect(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each `ECHO2ECG_*` variable that is no setting: pydantic passes over what it does not know."""
    known = [ENV_PREFIX + name.upper() for name in Settings.model_fields] + list(_OTHER_VARIABLES)
    sentences = []
    for name in sorted(environment):
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1, cutoff=0.75)
            sentences.append(f"The variable {name} has no effect" + (f": is {near[0]} meant?" if near else "."))
    return sentences


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    variable = ENV_PREFIX + name.upper()
    if first["type"] == "missing":
        return f"The setting {name} is missing: give it as an argument, as {variable} or in the settings file."
    if first["type"] == "extra_forbidden":
        return f"There is no setting called {name}."
    return f"The setting {name} ({variable}) is wrong: {first['msg'][:1].lower()}{first['msg'][1:]}."
