"""Terraform, its provider, the emulator, and the module applied to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deployed import HERE, MODULE, Deployed, Emulator, Terraform

from ingest.server import free_port, running

_SERVICES = (  # as 3.39 names them
    "applicationautoscaling",
    "budgets",
    "cloudwatch",
    "cloudwatchevents",
    "cloudwatchlogs",
    "ec2",
    "ecs",
    "iam",
    "s3",
    "sns",
    "sqs",
    "sts",
)


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of the tools that `make infra` installs; without it nothing here runs."""
    folder = Path(os.environ.get("LIGHTKEEP_INFRA", HERE.parents[1] / ".venv" / "infra"))
    if not (folder / ".installed").exists():
        pytest.skip(f"no Terraform at {folder}; run: make infra")
    return folder


@pytest.fixture(scope="session")
def terraform(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Terraform over the module as it lies in the repository, with the provider from a mirror in the file system."""
    folder = tmp_path_factory.mktemp("mirror")
    settings = folder / "terraform.rc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{folder}"\n  }}\n}}\n')
    found = Terraform(folder=MODULE, python=tools / "bin" / "python", settings=settings)
    address = re.search(r"provider\[([^\]]+/aws)\]", found.run("providers"))
    assert address is not None
    (packed,) = tools.rglob("terraform-provider-aws_3.39.0_linux_amd64.zip")
    place = folder / address[1] / "3.39.0" / "linux_amd64"
    with zipfile.ZipFile(packed) as archive:
        for name in archive.namelist():
            Path(archive.extract(name, place)).chmod(0o755)
    return found


@pytest.fixture(scope="session")
def simulator(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the simulator of IAM."""
    folder = tmp_path_factory.mktemp("simulator")
    (folder / "node_modules").symlink_to(tools / "node" / "node_modules")
    for name in ("simulate.mjs", "package.json"):
        shutil.copy(HERE / name, folder)
    return folder


@pytest.fixture(scope="session")
def emulator(simulator: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator, which enforces policies."""
    port, folder = free_port(), tmp_path_factory.mktemp("emulator")
    made = Emulator(url=f"http://127.0.0.1:{port}", log=folder / "asked.jsonl")
    words = ["--port", str(port), "--log", str(made.log), "--simulator", str(simulator)]
    environment = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}

    def ready() -> bool:
        try:
            urllib.request.urlopen(f"{made.url}/moto-api/data.json", timeout=5).close()  # noqa: S310 - our own server
        except OSError:
            return False
        return True

    with running("moto", [sys.executable, str(HERE / "emulator.py"), *words], ready, folder / "log", environment):
        yield made


@pytest.fixture(scope="session")
def deploy(
    terraform: Terraform, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Deployed]:
    """Apply an example, changed in a few places, to the emulator."""

    def applied(example: str, variables: dict[str, Any] | None = None, **module: Any) -> Deployed:
        copy = terraform.copied(tmp_path_factory.mktemp("deployed") / "terraform", under=f"examples/{example}")
        endpoints = "".join(f'    {name} = "{emulator.url}"\n' for name in _SERVICES)
        changed = "".join(f"  {name} = {json.dumps(value)}\n" for name, value in module.items())
        (copy.folder / "emulator_override.tf").write_text(
            'provider "aws" {\n  region = "us-east-1"\n  access_key = "ak"\n  secret_key = "sk"\n'
            "  s3_force_path_style = true\n  skip_credentials_validation = true\n  skip_metadata_api_check = true\n"
            f"  endpoints {{\n{endpoints}  }}\n}}\n"
            f'module "lightkeep" {{\n{changed}}}\n'
        )
        (copy.folder / "all.tf").write_text('output "all" {\n  value = module.lightkeep\n}\n')
        (copy.folder / "test.auto.tfvars.json").write_text(json.dumps(variables or {}))
        copy.run("init", "-input=false", "-no-color")
        copy.run("apply", "-auto-approve", "-input=false", "-no-color")
        outputs = json.loads(copy.run("output", "-json", "all"))
        return Deployed(terraform=copy, outputs=outputs, emulator=emulator)

    return applied


@pytest.fixture(scope="session")
def network(emulator: Emulator) -> dict[str, Any]:
    """A network for tasks, and what else the full example asks for."""
    ec2 = emulator.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    image = f"images.example/lightkeep@sha256:{64 * '0'}"
    return {"vpc_id": vpc, "subnet_ids": [subnet], "image": image, "alarm_emails": ["observer@example.org"]}
