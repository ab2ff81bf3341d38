"""The time and the label that a file's name holds."""

from __future__ import annotations

import io

import numpy as np
import pytest

from archive.errors import FormatError
from ingest.formats.file_names import label_of, time_from_name


def named(name: str) -> io.BytesIO:
    file = io.BytesIO()
    file.name = name  # type: ignore[attr-defined]
    return file


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("DASDMSShot00_20230328155653619.das", "2023-03-28T15:56:53.619"),
        ("DAS_20240530T011500_000000Z.raw", "2024-05-30T01:15:00"),
        ("DAS_20240530T011500_250000Z.raw", "2024-05-30T01:15:00.25"),
        ("well-2023-05-10T12.25.03+0200.wav", "2023-05-10T10:25:03"),
        ("well_2023-05-10_12-25-03.wav", "2023-05-10T12:25:03"),
        ("s3://bucket/day/x 20230510 122503.5.wav", "2023-05-10T12:25:03.5"),
        ("take_2_20230510T122503_1.wav", "2023-05-10T12:25:03"),
        ("20239910T122503 20230510T122503.wav", "2023-05-10T12:25:03"),
    ],
)
def test_a_time_is_found_whatever_its_signs(name: str, time: str) -> None:
    assert time_from_name(named(name)) == np.datetime64(time, "ns").astype(int)


def test_the_folders_name_counts_only_where_it_is_asked_for() -> None:
    file = named("/data/20230510T122503/distance_1.wav")
    assert time_from_name(file, folder=True) == np.datetime64("2023-05-10T12:25:03", "ns").astype(int)
    with pytest.raises(FormatError, match="tells no time"):
        time_from_name(file)


@pytest.mark.parametrize("name", ["", "x.wav", "2023.wav", "1700000000250000000.wav", "20231301T000000.wav"])
def test_what_is_no_time_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match="tells no time"):
        time_from_name(named(name))


def test_a_label_is_the_name_without_its_time() -> None:
    assert label_of(named("/a/ch07_20230510T122503Z.wav")) == "ch07"
    assert label_of(named("distance_2.5.wav")) == "distance_2.5"
