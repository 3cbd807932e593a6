"""A wheel built from the tree, in an empty folder, serves and answers: nothing that it needs lies only in the tree."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from pydicom.data import get_testdata_file

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ROOT / "tests" / "data" / "first_layout"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel was unpacked into by pip, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in tracked.split("\0"):
        if name and not name.startswith(("tests/", "bundles/", "docs/")) and (ROOT / name).exists():
            target = folder / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, folder / "tree"]
    subprocess.run(build, check=True, timeout=300)
    wheel = next(folder.glob("*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    shutil.rmtree(folder / "tree")
    return folder / "site"


def environment(installed, **more):
    own = {name: value for name, value in os.environ.items() if not name.startswith("ECHO2ECG_")}
    return own | {"PYTHONPATH": str(installed)} | more


def run(installed, *arguments, cwd):
    """A command of the installed package, run from a folder that has nothing to do with it."""
    command = [sys.executable, "-P", "-m", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(installed), capture_output=True, text=True, check=True, timeout=300
    ).stdout


def test_every_module_is_there_and_can_be_imported(installed, tmp_path):
    modules = [
        ".".join(path.relative_to(installed).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(installed.rglob("*.py"))
    ]
    rooms = {name.split(".")[0] for name in modules}
    assert {"app", "cli", "cohorts", "embedding", "ground", "index", "inputs", "models", "simulator"} <= rooms
    assert not rooms & {"tests", "benchmarks", "deploy"}
    runs_when_imported = {"inputs.guarded.child"}
    wanted = [name for name in modules if name not in runs_when_imported]
    script = "import importlib, json, sys\n"
    script += "print(json.dumps([importlib.import_module(name).__file__ for name in json.loads(sys.argv[1])]))"
    command = [sys.executable, "-P", "-c", script, json.dumps(wanted)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(installed), capture_output=True, text=True, check=True)
    assert all(Path(file).is_relative_to(installed) for file in json.loads(done.stdout))


def test_the_index_is_rebuilt_and_the_service_answers(installed, tmp_path):
    shutil.copytree(WRITTEN, tmp_path / "written")
    bundle, cohort, index = (tmp_path / "written" / name for name in ("bundle", "cohort", "index"))
    lines = run(
        installed, "index.rebuild", "--bundle", bundle, "--cohort", cohort, "--index", index, "--device", "cpu",
        cwd=tmp_path,
    ).splitlines()  # fmt: skip
    assert json.loads(lines[-1])["report"]["embedded"] == 7  # its thumbnails are of an earlier layout

    serve = [sys.executable, "-P", "-m", "cli.main", "serve", "--bundle", bundle, "--index", index]
    settings = {"ECHO2ECG_PORT": "0", "ECHO2ECG_DEVICE": "cpu"}
    log = tmp_path / "log.json"
    with log.open("wb") as file, subprocess.Popen(
        [*map(str, serve), "--cohort", f"main={cohort}"], cwd=tmp_path, env=environment(installed, **settings),
        stdout=file, stderr=file,
    ) as server:  # fmt: skip
        try:
            url = wait_until_ready(server, log)
            upload = {"files": ("ecg.dcm", Path(get_testdata_file("waveform_ecg.dcm")).read_bytes())}
            answer = httpx.post(f"{url}/v1/search", files=upload, timeout=30).raise_for_status().json()
            assert len(answer["neighbours"]) == 4
            page = httpx.get(url).raise_for_status().text
            assert httpx.get(f"{url}/static/page.css").status_code == 200
            assert "most similar of 4 echo studies" in page
            job = httpx.post(f"{url}/v1/index/rebuild", json={"source": "main"}).raise_for_status().json()
            end = time.monotonic() + 120
            while job["state"] == "running" and time.monotonic() < end:
                time.sleep(0.2)
                job = httpx.get(f"{url}/v1/jobs/{job['id']}").json()
            assert job["state"] == "done", job
        finally:
            server.kill()


def wait_until_ready(server, log):
    end = time.monotonic() + 90
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        for line in log.read_text().splitlines():
            event = json.loads(line)["event"]
            if "Uvicorn running on" in event:
                url = event.split()[3]
                if httpx.get(f"{url}/readyz").status_code == 200:
                    return url
        time.sleep(0.1)
    raise AssertionError(log.read_text())
