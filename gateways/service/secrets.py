"""`SECRET[NAME.KEY]` in a config file: what a secret store has, put into the values of the parsed file.

[secret.NAME] says which store NAME is: a folder with a file for each secret, the environment, a program that
answers in JSON, or Vault. Without a table of their own `env` is the environment and `file` the folder that
systemd keeps credentials in. All keys of a store are asked for at once, each time the settings are read.
"""

from __future__ import annotations

import abc
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter

from gateways.service.toml_lines import Path as Keys
from gateways.service.values import Seconds
from gateways.service.vault import read_vault
from nsqgw.errors import ConfigError
from nsqgw.service.secret_text import read_secret
from nsqgw.service.settings import MASK

REFERENCE = re.compile(r"SECRET\[([A-Za-z0-9_-]+)\.([^\[\]\s]+)\]")

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Where systemd says that the credentials of a unit are."""

_EXEC_VERSION = "1.0"
_MAX_ANSWER = 1024 * 1024


class SecretStore(BaseModel, abc.ABC):
    """One `[secret.NAME]`; each has its own `type`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abc.abstractmethod
    def read(self, keys: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
        """The secrets of these names. Raises ConfigError, without anything of a secret in it."""


class FileStore(SecretStore):
    """A folder with a file for each secret, as systemd and Kubernetes make them."""

    type: Literal["file"] = "file"
    folder: str | None = Field(default=None, description=f"by default the one in ${CREDENTIALS}")

    def read(self, keys: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
        folder = self.folder or environ.get(CREDENTIALS)
        if not folder:
            raise ConfigError(
                f"there is no folder of secrets: add a [secret.NAME] with folder, or set {CREDENTIALS}"
            )
        return {key: read_secret(f"file:{Path(folder) / self._name(key)}") for key in keys}

    @staticmethod
    def _name(key: str) -> str:
        if "/" in key or key in (".", ".."):
            raise ConfigError(f"secret {key!r} leads out of its folder: write the name of a file in it")
        return key


class EnvStore(SecretStore):
    """The environment."""

    type: Literal["env"] = "env"
    prefix: str = Field(default="", description="stands before each key")

    def read(self, keys: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
        return {key: self._value(self.prefix + key, environ) for key in keys}

    @staticmethod
    def _value(name: str, environ: Mapping[str, str]) -> str:
        if not environ.get(name):
            raise ConfigError(f"environment variable {name} is not set: it has a secret")
        return environ[name]


class ExecStore(SecretStore):
    """A program: {"version": "1.0", "secrets": ["KEY"]} in, {"KEY": {"value": "...", "error": null}} out."""

    type: Literal["exec"] = "exec"
    command: tuple[str, ...] = Field(min_length=1, description="the program and its arguments")
    timeout: Seconds = Field(default=10.0, gt=0, le=300, description="for its answer")

    def read(self, keys: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
        asked = list(keys)
        question = json.dumps({"version": _EXEC_VERSION, "secrets": asked}).encode()
        program = self.command[0]
        try:
            done = subprocess.run(  # noqa: S603  # the program that the operator has chosen
                self.command, input=question, capture_output=True, timeout=self.timeout, check=False
            )
        except OSError as error:
            raise ConfigError(f"program {program} cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            raise ConfigError(f"program {program} gave no secrets within {self.timeout:g}s") from None
        if done.returncode:
            raise ConfigError(f"program {program} ended with {done.returncode} in place of giving secrets")
        return {key: _answered(program, done.stdout, key) for key in asked}


def _answered(program: str, output: bytes, key: str) -> str:
    try:
        entry = json.loads(output[:_MAX_ANSWER])[key]
        value, error = entry.get("value"), entry.get("error")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(f'program {program} does not answer {{"{key}": {{"value": ...}}}}') from None
    if error or not isinstance(value, str) or not value:
        reason = " ".join(str(error or "no value").split())
        raise ConfigError(f"program {program} has no secret {key}: {reason}")
    return value


class VaultStore(SecretStore):
    """Vault's key-value store, version 2; keys are PATH:FIELD."""

    type: Literal["vault"] = "vault"
    address: str = Field(pattern=r"^https?://[^\s/@]+$", description="such as https://vault.example:8200")
    token: SecretStr = Field(description="as text, or file:PATH")
    mount: str = Field(default="secret", description="where the store is mounted")
    namespace: str | None = Field(default=None, description="for those that have some")
    ca_file: str | None = Field(default=None, description="trust these certificates in place of the system's")
    timeout: Seconds = Field(default=10.0, gt=0, le=300, description="for each answer")

    def read(self, keys: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
        headers = {"X-Vault-Token": read_secret(self.token.get_secret_value())}
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        base = f"{self.address}/v1/{self.mount}/data"
        return read_vault(base, keys, headers, verify=self.ca_file or True, timeout=self.timeout)


AnyStore = Annotated[FileStore | EnvStore | ExecStore | VaultStore, Field(discriminator="type")]
STORES: TypeAdapter[Any] = TypeAdapter(AnyStore)

_BUILT_IN: dict[str, SecretStore] = {"env": EnvStore(), "file": FileStore()}


def references(value: Any, path: Keys = ()) -> Iterator[tuple[Keys, str, str]]:
    """The stores and keys that stand anywhere in a document, and where."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from references(each, (*path, key))
    elif isinstance(value, str):
        for match in REFERENCE.finditer(value):
            yield path, match[1], match[2]


def store_named(name: str, stores: Mapping[str, SecretStore | None]) -> SecretStore:
    """The store of this name. Raises ConfigError, telling those that there are."""
    if name not in stores and name not in _BUILT_IN:
        known = ", ".join(sorted({*stores, *_BUILT_IN}))
        raise ConfigError(f"there is no [secret.{name}]; there are {known}")
    return stores.get(name) or _BUILT_IN[name]


def masked(value: Any, secrets: frozenset[str]) -> Any:
    """The same with asterisks in place of each secret in a text."""
    if isinstance(value, dict):
        return {key: masked(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each, secrets) for each in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
    return value


def with_secret_files(model: type[BaseModel], table: Any) -> Any:
    """`token_file = "PATH"` as `token = "file:PATH"`, for the secrets of a model."""
    if not isinstance(table, dict):
        return table
    for key in [key for key in table if isinstance(key, str) and key.endswith("_file")]:
        name = key.removesuffix("_file")
        if key in model.model_fields or not _is_secret(model, name) or not isinstance(table[key], str):
            continue
        if name in table:
            raise ValueError(f"{name} and {key} are two places for one secret: give one of them")
        table = {**table, name: f"file:{table[key]}"}
        del table[key]
    return table


def _is_secret(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and "SecretStr" in str(field.annotation)
