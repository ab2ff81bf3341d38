"""Write the table of costs in terraform/README.md from terraform/prices.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULE = Path(__file__).parents[1] / "terraform"
README = MODULE / "README.md"
BEGIN, END = "<!-- costs -->\n", "<!-- end of costs -->\n"

GB_OF_GRANULE = 0.064  # docs/decisions/0002-granule.md: 8 to 128 MB
OBJECTS_OF_GRANULE = 6  # its group, its array, its data, and time and distance with their metadata
GB_OF_FILE = 0.256  # of raw samples, which are twice as many bytes as what is stored of them
RATIO = 2.0
MB_PER_SECOND = 50  # of raw samples, one vCPU; the codec alone makes 50 to 110
SHARE_READ = 0.1  # of the archive, a month, by readers in the same region
SHARE_OUT = 0.01  # of the archive, a month, by readers elsewhere
REQUESTS_OF_MESSAGE = 3  # receive, delete, and its share of empty receives and prolongations
GB_OF_LOG_PER_FILE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Dollars a month of an archive of one size; `fill` is for all of filling it."""

    standard: float
    infrequent: float
    requests: float
    out: float
    service: float
    fill: float


def stepped(steps: list[dict[str, float]], amount: float) -> float:
    """Return dollars for an amount whose price falls in steps."""
    dollars, done = 0.0, 0.0
    for step in steps:
        upper = min(amount, step.get("up_to_gb", amount))
        dollars += max(upper - done, 0.0) * step["price"]
        done = max(done, upper)
    return dollars


def costs(prices: dict[str, Any], gb: float) -> Costs:
    """Return what an archive of `gb` stored GB costs."""
    s3, fargate, watch = prices["s3"], prices["fargate"], prices["cloudwatch"]
    granules, files = gb / GB_OF_GRANULE, gb * RATIO / GB_OF_FILE
    vcpu_hours = gb * RATIO * 1000 / MB_PER_SECOND / 3600
    task_hour = fargate["x86_64_vcpu_hour"] + 4 * fargate["x86_64_gb_hour"]
    put = s3["put_per_1000"]["STANDARD"] / 1000
    # A file comes in as a granule of its own and is compacted once: both are put, and the first is read again.
    fill = (files + granules) * OBJECTS_OF_GRANULE * put + files * 2 * s3["get_per_1000"]["STANDARD"] / 1000
    fill += files * (
        REQUESTS_OF_MESSAGE * prices["sqs"]["requests_per_million"] / 1e6 + GB_OF_LOG_PER_FILE * watch["log_gb"]
    )
    fill += vcpu_hours * 2 * (task_hour + prices["ipv4_address_hour"])
    return Costs(
        standard=stepped(s3["storage_gb_month"]["STANDARD"], gb),
        infrequent=stepped(s3["storage_gb_month"]["STANDARD_IA"], gb)
        + gb * SHARE_READ * s3["retrieval_per_gb"]["STANDARD_IA"],
        requests=gb * (SHARE_READ + SHARE_OUT) / GB_OF_GRANULE * s3["get_per_1000"]["STANDARD"] / 1000,
        out=stepped(prices["transfer_out_per_gb"], gb * SHARE_OUT),
        service=5 * watch["alarm_month"] + 7 * watch["metric_month"] + watch["dashboard_month"],
        fill=fill,
    )


def table(prices: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    held = [costs(prices, 1000.0**step * scale) for step, scale in ((1, 1), (1, 100), (2, 1))]
    lines = [
        ("Storage, all in STANDARD", "standard"),
        ("or all in STANDARD_IA, and what reading a tenth of it costs there", "infrequent"),
        ("Requests for reading a tenth in the region, a hundredth elsewhere", "requests"),
        ("A hundredth of it to the internet", "out"),
        ("Alarms, metrics, dashboard", "service"),
        ("Once: taking it in (messages, requests, workers, compaction)", "fill"),
    ]
    rows = [f"| {what} | {' | '.join(dollars(getattr(each, name)) for each in held)} |" for what, name in lines]
    origin = f"Prices: {prices['region']}, {prices['date']}. {prices['source']}."
    head = ["| dollars a month | 1 TB | 100 TB | 1 PB |", "|---|--:|--:|--:|"]
    return "\n".join([origin, "", *head, *rows]) + "\n"


def dollars(amount: float) -> str:
    """Return an amount as people write it: two digits after the point below ten dollars, none above."""
    return f"{amount:,.2f}" if amount < 10 else f"{amount:,.0f}"  # noqa: PLR2004


def page(text: str, prices: dict[str, Any]) -> str:
    """Return the README with a new table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(prices)}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(page(README.read_text(), json.loads((MODULE / "prices.json").read_text())))
