"""Terraform, the emulator, and what was applied, as values that tests share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

HERE = Path(__file__).parent
MODULE = HERE.parents[1] / "terraform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terraform:
    """Terraform in a folder of configuration, without a network."""

    folder: Path
    python: Path
    settings: Path

    def run(self, *words: str, codes: tuple[int, ...] = (0,), seconds: float = 120) -> str:
        """Return what a command prints; it must end with one of the codes."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))},
            "TF_CLI_CONFIG_FILE": str(self.settings),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        command = [str(self.python), str(HERE / "terraform.py"), *words]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode in codes, f"terraform {' '.join(words)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def copied(self, folder: Path, *, under: str = ".") -> Terraform:
        """Return the same over a copy of the module."""
        shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        return Terraform(folder=folder / under, python=self.python, settings=self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """The emulator, and what it was asked for."""

    url: str
    log: Path

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        """Return boto3's client of a service, as the administrator or with the credentials of a role."""
        given = credentials or {"aws_access_key_id": "ak", "aws_secret_access_key": "sk"}
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", **given)

    def anonymous(self) -> Any:
        """Return a client of S3 that does not sign."""
        config = Config(signature_version=UNSIGNED)
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", config=config)

    def credentials(self, role: str) -> dict[str, str]:
        """Return the credentials of a role, as boto3 takes them."""
        arn = f"arn:aws:iam::123456789012:role/{role}"
        given = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        names = {
            "AccessKeyId": "access_key_id",
            "SecretAccessKey": "secret_access_key",
            "SessionToken": "session_token",
        }
        return {f"aws_{names[name]}": given[name] for name in names}

    def environment(self, role: str) -> dict[str, str]:
        """Return the environment of a process that has a role."""
        names = {name.upper(): value for name, value in self.credentials(role).items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LIGHTKEEP_"))}
        return {
            **kept,
            **names,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def asked(self) -> list[dict[str, Any]]:
        """Return what was asked of S3 so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def check_roles_after(self, calls: float) -> None:
        """Have moto check signatures and what identities may do, after so many more calls."""
        text = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", str(calls).encode(), text, method="POST")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310 - our own server


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """An example of the module as it was applied."""

    terraform: Terraform
    outputs: dict[str, Any]
    emulator: Emulator
