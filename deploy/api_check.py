"""Checks the API's description against a running service: a client is made from it, and its cases are tried.

    python -m venv tools && tools/bin/pip install openapi-python-client schemathesis
    python -m deploy.api_check --url http://127.0.0.1:8000 --key e2e_... --tools tools/bin

The key needs both scopes. Keys are made and revoked, and rebuilds begun: not for a service that somebody uses. The two
tools are no dependencies of this project.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import httpx

CLIENT_CONFIG = {"content_type_overrides": {"image/jpeg": "application/octet-stream"}}
"""The client's generator knows no pictures."""
FUZZ_CONFIG = """\
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "422", "429"]

[[operations]]
include-method = "DELETE"
include-path = "/v1/jobs/{job_id}"
checks.use_after_free.enabled = false
"""
"""What fits the description need not be an ECG, nor a parameter fit for it. A cancelled job is still told of."""


def main() -> None:
    """Exit code 0 when the client is made without a warning and no case contradicts the description."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", default="http://127.0.0.1:8000")
    options.add_argument("--key", required=True)
    options.add_argument("--tools", type=Path, required=True, help="the folder of the two tools' programs")
    options.add_argument("--cases", type=int, default=50, help="the most that are tried of each operation")
    given = options.parse_args()
    answer = httpx.get(f"{given.url}/openapi.json", headers={"X-API-Key": given.key}).raise_for_status()
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        (there / "openapi.json").write_text(answer.text)
        (there / "client.json").write_text(json.dumps(CLIENT_CONFIG))
        (there / "schemathesis.toml").write_text(FUZZ_CONFIG)
        client = ["generate", "--path", "openapi.json", "--config", "client.json", "--fail-on-warning"]
        cases = ["run", "openapi.json", "--url", given.url, "--max-examples", str(given.cases)]
        cases += ["--header", f"X-API-Key: {given.key}", "--generation-deterministic", "--continue-on-failure"]
        failed = [
            command[0]
            for command in (["openapi-python-client", *client], ["schemathesis", *cases])
            if _run(given.tools, command, there)
        ]
    raise SystemExit(f"failed: {', '.join(failed)}" if failed else 0)


def _run(tools: Path, command: list[str], folder: Path) -> int:
    path = f"{tools.resolve()}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, check=False)
    return done.returncode


if __name__ == "__main__":
    main()
