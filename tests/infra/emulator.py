"""moto's server, as strict about policies as S3 is.

moto knows who asks, checks signatures, and looks at what a role may do. It does not evaluate conditions, and takes a
deny with a condition for a deny. So each request for an object or a listing is first put to a simulator of IAM
(simulate.mjs), with the role's policies and the bucket's as they were set, conditions included; and what is missing is
answered with 403 to who may not list the bucket, as S3 does. What was asked is written down, a JSON document a line.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.backends import get_backend
from moto.iam.access_control import PermissionResult
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.server import MotoRequestHandler
from werkzeug.serving import run_simple

ACCOUNT = "123456789012"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One action on one resource, with what conditions can look at."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)


class Simulator:
    """The simulator of IAM, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            ["node", str(folder / "simulate.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def allows(self, ask: Ask, principal: str | None, identity: list[Any], bucket: Any) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        context = {"aws:SecureTransport": "true", **ask.context}
        if principal is not None:
            context["aws:PrincipalArn"] = re.sub(r":sts::(\d+):assumed-role/([^/]+)/.*", r":iam::\1:role/\2", principal)
        asked = {"action": ask.action, "resource": ask.resource, "account": ACCOUNT, "context": context}
        with self._lock:
            self._process.stdin.write(
                json.dumps({**asked, "principal": principal, "identity": identity, "bucket": bucket}) + "\n"
            )
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if answer["errors"]:
            raise ValueError(f"{asked}: {answer['errors']}")
        return bool(answer["result"] == "Allowed")


def asks_of(method: str, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes) -> list[Ask]:
    """Return what a request to S3 asks for; nothing for what administers buckets.

    References
    ----------
    Amazon S3 user guide, required permissions for API operations; enforcing conditional writes.
    """
    bucket, _, key = path.lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        if method == "GET" and ("list-type" in query or not query):
            given = {name: query[name][0] for name in ("prefix", "delimiter") if name in query}
            return [Ask(action="s3:ListBucket", resource=arn, context={f"s3:{k}": v for k, v in given.items()})]
        if method == "POST" and "delete" in query:
            keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
            return [Ask(action="s3:DeleteObject", resource=f"{arn}/{each}") for each in keys]
        return []
    if method in ("GET", "HEAD"):
        return [Ask(action="s3:GetObject", resource=f"{arn}/{key}")]
    if method == "DELETE":
        action = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
        action += "Version" if "versionId" in query else ""
        return [Ask(action=action, resource=f"{arn}/{key}")]
    part = "partNumber" in query or "uploads" in query
    given = {name: headers[name] for name in ("if-match", "if-none-match") if name in headers}
    context = {"s3:ObjectCreationOperation": str(not part).lower(), **{f"s3:{k}": v for k, v in given.items()}}
    return [Ask(action="s3:PutObject", resource=f"{arn}/{key}", context=context)]


class Gate:
    """Stands before moto: lets through what policies allow, and writes down what was asked."""

    def __init__(self, app: Callable[..., Iterable[bytes]], simulator: Simulator, log: Path) -> None:
        self._app, self._simulator, self._log = app, simulator, log
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        signature = environ.get("HTTP_AUTHORIZATION", "")
        path = unquote(environ["RAW_URI"].partition("?")[0]) if "RAW_URI" in environ else environ["PATH_INFO"]
        name = path.lstrip("/").partition("/")[0]
        buckets = get_backend("s3")[ACCOUNT]["aws"].buckets
        if name not in buckets or (signature and "/s3/aws4_request" not in signature):
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        asks = asks_of(environ["REQUEST_METHOD"], path, query, headers, body)
        who, identity = principal_of(signature)
        policy = json.loads(buckets[name].policy) if buckets[name].policy else None

        def allowed(ask: Ask) -> bool:
            return self._simulator.allows(ask, who, identity, policy)

        verdicts = [allowed(ask) for ask in asks]
        self._write(who, asks, verdicts)
        hidden = asks and asks[0].action == "s3:GetObject" and all(verdicts)
        if hidden and not allowed(Ask(action="s3:ListBucket", resource=f"arn:aws:s3:::{name}")):
            return self._hide(environ, start_response)
        return self._app(environ, start_response) if all(verdicts) else _refuse(start_response)

    def _hide(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer 403 where moto says 404: who may not list is not told what is missing."""
        said: list[Any] = []
        body = list(self._app(environ, lambda *answer: said.append(answer) or (lambda _: None)))  # type: ignore[func-returns-value]
        if said[-1][0].startswith("404"):
            return _refuse(start_response)
        start_response(*said[-1])
        return body

    def _write(self, who: str | None, asks: list[Ask], verdicts: list[bool]) -> None:
        with self._lock, self._log.open("a") as log:
            for ask, verdict in zip(asks, verdicts, strict=True):
                entry = {"who": who, "action": ask.action, "resource": ask.resource, "context": ask.context}
                log.write(json.dumps({**entry, "allowed": verdict}) + "\n")


def _refuse(start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))])
    return iter([_DENIED])


def principal_of(signature: str) -> tuple[str | None, list[Any]]:
    """Return who signed a request and the policies they have; nobody and none where it is not signed."""
    found = _CREDENTIAL.search(signature)
    if found is None:
        return None, []
    role = get_backend("sts")[ACCOUNT]["aws"].get_assumed_role_from_access_key(found[1])
    if role is None:
        return f"arn:aws:iam::{ACCOUNT}:user/administrator", [_EVERYTHING]
    name = role.role_arn.rpartition("/")[2]
    held = get_backend("iam")[ACCOUNT]["aws"].get_role(name).policies.values()
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{role.session_name}", [json.loads(each) for each in held]


def mend_moto() -> None:
    """Leave bucket policies to the simulator; find policies of scaling by name; check each key of a bulk delete."""
    FakeBucket.get_permission = lambda *_: PermissionResult.PERMITTED  # type: ignore[method-assign]
    describe = ApplicationAutoScalingResponse.describe_scaling_policies

    def described(self: ApplicationAutoScalingResponse) -> str:
        names, found = self._get_param("PolicyNames"), json.loads(describe(self))
        found["ScalingPolicies"] = [
            each for each in found["ScalingPolicies"] if not names or each["PolicyName"] in names
        ]
        return json.dumps(found)

    ApplicationAutoScalingResponse.describe_scaling_policies = described  # type: ignore[method-assign]
    authorize = S3Response._authenticate_and_authorize_s3_action

    def authorized(self: S3Response, bucket_name: str | None = None, key_name: str | None = None) -> None:
        if "Authorization" not in self.headers:
            return  # nobody: the simulator has let it through
        keys = re.findall(r"<Key>(.*?)</Key>", self.body.decode()) if self.data.get("Action") == "DeleteObject" else []
        for key in keys if key_name is None and keys else [key_name]:
            authorize(self, bucket_name=bucket_name, key_name=key)

    S3Response._authenticate_and_authorize_s3_action = authorized  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--simulator", type=Path, required=True)
    given = parser.parse_args()
    os.environ["MOTO_PORT"] = str(given.port)
    mend_moto()
    app = Gate(DomainDispatcherApplication(create_backend_app), Simulator(given.simulator), given.log)
    run_simple("127.0.0.1", given.port, app, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
