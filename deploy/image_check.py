"""Build the image and use it as docker-compose.yml would: first key, index rebuild, service, one ECG.

Where a Docker engine runs, docker compose does it all. Elsewhere buildah builds (chroot isolation, vfs storage) on a
Debian base that debootstrap makes, and the compose file's own commands, user, environment, volumes, tmpfs and
read-only root are applied with mount and chroot; that path needs root and the Debian packages buildah and debootstrap.

IMAGE_CHECK_MOUNTS: `HOST:CONTAINER` pairs, space-separated, mounted read-only while building: certificates, a
pip.conf, wheels. The image built is the CPU one: building the CUDA one needs a registry and 10 GB.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydicom.data import get_testdata_file

from cli.ready import NotReady, wait_until_ready

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".image-check"
TAG = "localhost/echo2ecg:check"
BASE = "localhost/echo2ecg-debian:bookworm"
BUILDAH = ("buildah", "--storage-driver", "vfs", "--root", str(WORK / "storage"), "--runroot", str(WORK / "run"))
COMPOSE = ("docker", "compose", "-f", "docker-compose.yml", "-f", "deploy/docker-compose.cpu.yml")
URL = "http://127.0.0.1:8000"
READY_S = 180
log = logging.getLogger("image-check")


class CheckFailed(Exception):
    """One sentence: what did not hold."""


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="image-check: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        run(str(Path(sys.executable).with_name("hadolint")), "Dockerfile")
        log.info("hadolint has nothing to say about the Dockerfile")
        _simulate_cohort()
        if _docker_runs():
            _check_with_docker()
        else:
            _check_with_buildah()
    except NotReady as error:
        sys.exit(f"image-check failed: the service {error}")
    except (CheckFailed, httpx.HTTPError) as error:
        sys.exit(f"image-check failed: {error}")
    log.info("done: the image serves an ECG with the compose file's own commands")


def run(*command: str, **kwargs: Any) -> str:
    """Run a command in the repository's root; its output, or CheckFailed with its last lines."""
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, **kwargs)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise CheckFailed(f"{' '.join(command[:6])} ... ended with {done.returncode}:\n{tail}")
    return str(done.stdout)


def _simulate_cohort() -> None:
    cohort = WORK / "cohorts" / "main"
    if not (cohort / "studies.csv").exists():
        run(str(Path(sys.executable).with_name("echo2ecg")), "simulate", str(cohort), "--patients", "6", "--seed", "9")


def _ask(key: str) -> None:
    """The service refuses a stranger, answers a key holder, and the answer has neighbours and probabilities."""
    ecg = Path(str(get_testdata_file("waveform_ecg.dcm", download=False)))
    upload = {"files": (ecg.name, ecg.read_bytes())}
    stranger = httpx.post(f"{URL}/v1/search", files=upload, timeout=60)
    if stranger.status_code != httpx.codes.UNAUTHORIZED:
        raise CheckFailed(f"a query without a key was answered with {stranger.status_code}, not 401")
    response = httpx.post(f"{URL}/v1/search", params={"k": 3}, files=upload, headers={"X-API-Key": key}, timeout=60)
    if response.status_code != httpx.codes.OK:
        raise CheckFailed(f"the query was answered with {response.status_code}: {response.text[:300]}")
    answer = response.json()
    if len(answer["neighbours"]) != 3:
        raise CheckFailed(f"3 neighbours were asked for, {len(answer['neighbours'])} came")
    lvef = answer["predictions"]["lvef"]["predicted"]
    log.info("a real ECG was answered: %d neighbours, LVEF %s, %s", len(answer["neighbours"]), lvef, answer["device"])


# With a Docker engine ------------------------------------------------------------------------------------------


def _docker_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _check_with_docker() -> None:
    cohorts = str(WORK / "cohorts")
    environment = {**os.environ, "ECHO2ECG_COHORTS_DIR": cohorts, "COMPOSE_PROJECT_NAME": "echo2ecg-check"}
    try:
        run(*COMPOSE, "build", "service", env=environment)
        key = run(*COMPOSE, "run", "--rm", "keys", env=environment).strip().splitlines()[-1]
        run(*COMPOSE, "--profile", "rebuild", "run", "--rm", "rebuild", env=environment)
        run(*COMPOSE, "up", "--detach", "service", env=environment)
        wait_until_ready(URL, timeout_s=READY_S)
        _ask(key)
    finally:
        run(*COMPOSE, "down", "--volumes", env=environment)


# Without one: buildah, mount and chroot ------------------------------------------------------------------------


def _check_with_buildah() -> None:
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing:
        raise CheckFailed(f"no Docker engine runs and {' and '.join(missing)} is not installed (apt-get install)")
    if os.geteuid() != 0:
        raise CheckFailed("without a Docker engine the check needs root, for mount and chroot")
    _make_base()
    mounts = [part for pair in os.environ.get("IMAGE_CHECK_MOUNTS", "").split() for part in ("--volume", f"{pair}:ro")]
    build = (
        "bud",
        "--isolation",
        "chroot",
        "--build-arg",
        f"BASE_IMAGE={BASE}",
        "--build-arg",
        "EXTRA=cpu",
    )
    log.info("building with buildah")
    run(*BUILDAH, *build, *mounts, "--tag", TAG, ".")
    container = run(*BUILDAH, "from", "--pull-never", TAG).strip()
    try:
        rootfs = Path(run(*BUILDAH, "mount", container).strip())
        image = json.loads(run(*BUILDAH, "inspect", "--type", "image", TAG))["OCIv1"]["config"]
        _use_rootfs(rootfs, image)
    finally:
        run(*BUILDAH, "rm", container)
        run(*BUILDAH, "rmi", TAG)  # vfs storage keeps whole copies; only the small base stays for the next check


def _make_base() -> None:
    if subprocess.run([*BUILDAH, "inspect", BASE], capture_output=True, check=False).returncode == 0:
        return
    log.info("making a Debian base with debootstrap")
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        run("debootstrap", "--variant=minbase", "bookworm", folder)
        container = run(*BUILDAH, "from", "scratch").strip()
        run(*BUILDAH, "add", container, folder, "/")
        run(*BUILDAH, "commit", container, BASE)
        run(*BUILDAH, "rm", container)


def _use_rootfs(rootfs: Path, image: dict[str, Any]) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        volumes = Path(folder)
        for name in compose["volumes"]:
            (volumes / name).mkdir()
            os.chown(volumes / name, 10001, 10001)
        commands = {name: _command(rootfs, image, compose["services"][name], volumes) for name in ("keys", "rebuild")}
        key = run(*commands["keys"]).strip().splitlines()[-1]
        log.info("the first key was made")
        log.info("rebuild says: %s", run(*commands["rebuild"]).strip().splitlines()[-1])
        service = _command(rootfs, image, compose["services"]["service"], volumes)
        with _started(service, volumes / "service.log") as process:
            try:
                wait_until_ready(URL, timeout_s=READY_S, process=process)
            except NotReady as error:
                tail = (volumes / "service.log").read_text(errors="replace")[-2000:]
                raise CheckFailed(f"the service {error}:\n{tail}") from None
            run(*_command(rootfs, image, compose["services"]["service"], volumes, instead=_health_command(image)))
            log.info("the image's health check passes")
            _ask(key)
        if process.returncode != 0:
            raise CheckFailed(f"the service ended with {process.returncode} on SIGTERM")


def _health_command(image: dict[str, Any]) -> list[str]:
    """The Dockerfile's own HEALTHCHECK; OCI images do not carry it, so it is read from the file."""
    health = image.get("Healthcheck", {}).get("Test")
    if health:
        return list(health[1:])
    found = re.search(r"HEALTHCHECK[^\[]*CMD (\[.*\])", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    if found is None:
        raise CheckFailed("the Dockerfile has no HEALTHCHECK")
    return list(json.loads(found.group(1)))


def _command(
    rootfs: Path, image: dict[str, Any], service: dict[str, Any], volumes: Path, *, instead: Sequence[str] = ()
) -> list[str]:
    """The command that runs one compose service in its own mount namespace, as compose would: user, environment,
    read-only root, tmpfs, volumes. `instead` replaces entrypoint and command (for the health check)."""
    user, group = str(service["user"]).split(":")
    if not service["read_only"] or user == "0":
        raise CheckFailed("the compose file must ask for a read-only root and a user that is not root")
    lines = [f"mount --rbind {rootfs} {rootfs}"]
    for target in ("proc", "dev"):
        lines.append(f"mount --rbind /{target} {rootfs}/{target}")
    for spec in service.get("volumes", []):
        source, target, *mode = _filled(str(spec)).split(":")
        host = (ROOT / source).resolve() if source.startswith((".", "/")) else volumes / source
        (rootfs / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
        lines.append(f"mount --bind {host} {rootfs}{target}")
        if mode == ["ro"]:
            lines.append(f"mount -o remount,bind,ro {rootfs}{target}")
    lines.append(f"mount -o remount,bind,ro {rootfs}")
    for spec in service["tmpfs"]:
        target, _, options = str(spec).partition(":")
        lines.append(f"mount -t tmpfs -o {options} tmpfs {rootfs}{target}")
    lines.append('exec chroot --userspec="$0" "$@"')
    environment = [*image["Env"], *(f"{k}={_filled(str(v))}" for k, v in service.get("environment", {}).items())]
    arguments = list(instead) or [*image["Entrypoint"], *(_filled(str(part)) for part in service["command"])]
    inside = ["env", "-i", "-C", image.get("WorkingDir") or "/", *environment, *arguments]
    return ["unshare", "--mount", "sh", "-ec", "\n".join(lines), f"{user}:{group}", str(rootfs), *inside]


def _filled(text: str) -> str:
    """`${NAME:-default}` as compose fills it, with the check's own cohort folder."""
    values = {"ECHO2ECG_COHORTS_DIR": str(WORK / "cohorts")}
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: values.get(match[1], match[2]), text)


@contextmanager
def _started(command: Sequence[str], service_log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with service_log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=45)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise CheckFailed("the service did not end within 45 s of SIGTERM") from None


if __name__ == "__main__":
    main()
