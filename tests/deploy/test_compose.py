"""The compose file names only things that exist: paths, commands, options, ports, settings."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from app.settings import Settings
from cli.main import app

ROOT = Path(__file__).resolve().parents[2]


def filled(text: str) -> str:
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: match[2], text)


class _Loader(yaml.SafeLoader):
    """Compose's own tags, such as `!reset`, as plain values."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def load(name: str) -> dict[str, Any]:
    return yaml.load((ROOT / name).read_text(encoding="utf-8"), Loader=_Loader)


COMPOSE = load("docker-compose.yml")
OURS = [name for name, service in COMPOSE["services"].items() if "build" in service]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def command_of(service: str) -> list[str]:
    return [filled(str(part)) for part in COMPOSE["services"][service]["command"]]


def test_the_image_is_ours_in_three_services():
    assert sorted(OURS) == ["keys", "rebuild", "service"]


@pytest.mark.parametrize("service", OURS)
def test_every_command_exists_with_these_options(service):
    words = command_of(service)
    command = get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands"), f"{words[:1]} is no command"
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("service", OURS)
def test_every_environment_variable_is_a_setting(service):
    for name in COMPOSE["services"][service].get("environment", {}):
        assert name.removeprefix("ECHO2ECG_").lower() in Settings.model_fields


@pytest.mark.parametrize("service", list(COMPOSE["services"]))
def test_every_mounted_path_exists_or_is_the_users_and_every_volume_is_declared(service):
    for volume in COMPOSE["services"][service].get("volumes", []):
        source = filled(volume).split(":")[0]
        if not source.startswith("."):
            assert source in COMPOSE["volumes"]
        elif source != "./cohorts":  # the user's own studies
            assert (ROOT / source).exists(), source


@pytest.mark.parametrize("service", OURS)
def test_paths_inside_the_container_are_mounted_or_made_by_the_image(service):
    targets = [filled(volume).split(":")[1] for volume in COMPOSE["services"][service].get("volumes", [])]
    made = re.findall(r"/data/\w+|/bundles|/tmp", DOCKERFILE)
    values = [*command_of(service), *COMPOSE["services"][service].get("environment", {}).values()]
    for value in values:
        for path in re.findall(r"(?:^|=)(/[\w./]+)", filled(str(value))):
            assert any(path == place or path.startswith(f"{place}/") for place in [*targets, *made]), path


def test_the_published_port_is_the_one_served_exposed_and_scraped():
    command = command_of("service")
    port = command[command.index("--port") + 1]
    assert filled(COMPOSE["services"]["service"]["ports"][0]).rsplit(":", 1)[1] == port
    assert f"EXPOSE {port}" in DOCKERFILE
    scrape = load("deploy/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scrape == [f"service:{port}"]


def test_prometheus_reads_the_file_that_is_mounted():
    service = COMPOSE["services"]["prometheus"]
    (config,) = [part.split("=", 1)[1] for part in service["command"] if part.startswith("--config.file=")]
    assert any(volume.split(":")[:2] == ["./deploy/prometheus.yml", config] for volume in service["volumes"])


@pytest.mark.parametrize("service", OURS)
def test_our_containers_are_not_root_and_cannot_write_their_own_files(service):
    service = COMPOSE["services"][service]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_the_gpu_is_reserved_for_service_and_rebuild():
    for name in ("service", "rebuild"):
        (device,) = COMPOSE["services"][name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_the_cpu_override_changes_only_services_that_exist():
    override = load("deploy/docker-compose.cpu.yml")
    assert set(override["services"]) == set(OURS)


def test_everything_the_dockerfile_copies_exists_and_is_not_ignored():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for source in shlex.split(line)[1:-1]:
                assert (ROOT / source).exists(), source
                assert source in allowed, f"{source} is ignored by .dockerignore"
