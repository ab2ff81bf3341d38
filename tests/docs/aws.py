"""The words of `aws SERVICE OPERATION --parameter value` as a call of boto3, for machines without that program.

Names of parameters are looked up in AWS's own model of the service, so that a wrong one fails here too.
"""

from __future__ import annotations

import json
import os
import sys

import boto3
from botocore import xform_name


def main(words: list[str]) -> None:
    endpoint = words.pop(words.index("--endpoint-url") + 1) if "--endpoint-url" in words else None
    words = [word for word in words if word != "--endpoint-url"]
    service, operation, *rest = words
    client = boto3.client(service, endpoint_url=endpoint, region_name=os.environ["AWS_REGION"])
    (name,) = [one for one in client.meta.service_model.operation_names if xform_name(one, "-") == operation]
    shape = client.meta.service_model.operation_model(name).input_shape
    members = {f"--{xform_name(member, '-')}": (member, kind) for member, kind in shape.members.items()}
    given = {}
    for word, value in zip(rest[::2], rest[1::2], strict=True):
        member, kind = members[word]
        given[member] = value if kind.type_name == "string" else json.loads(value)
    json.dump(getattr(client, xform_name(name))(**given), sys.stdout, default=str, indent=1)


main(sys.argv[1:])
