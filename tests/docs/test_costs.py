"""The table of costs says what the prices say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost_table", ROOT / "tools" / "cost_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    __import__("sys").modules["cost_table"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def test_the_readme_of_the_module_shows_the_costs_that_the_prices_give(tool: ModuleType) -> None:
    text = (ROOT / "terraform" / "README.md").read_text()
    prices = json.loads((ROOT / "terraform" / "prices.json").read_text())
    assert tool.page(text, prices) == text
    assert f"| {prices['s3']['storage_gb_month']['STANDARD'][0]['price'] * 1000:.0f} |" in text


def test_prices_fall_in_steps(tool: ModuleType) -> None:
    steps = [{"up_to_gb": 10, "price": 3.0}, {"up_to_gb": 30, "price": 2.0}, {"price": 1.0}]
    assert [tool.stepped(steps, amount) for amount in (5, 10, 20, 40)] == [15, 30, 50, 80]
