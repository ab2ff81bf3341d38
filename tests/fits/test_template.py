"""A header comes back from its template and its difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_folder

from archive.errors import DamagedData
from archive.fits.template import HeaderTemplate

CARD = st.integers(0, 9).map(lambda number: f"KEY{number:5}= {number * 7}".ljust(80).encode())
HEADER = st.lists(CARD, max_size=30).map(b"".join)


@given(template=st.one_of(HEADER, st.binary(max_size=400)), header=st.one_of(HEADER, st.binary(max_size=400)))
def test_any_header_comes_back_from_any_template(template: bytes, header: bytes) -> None:
    made = HeaderTemplate(template)
    assert made.header(made.difference(header)) == header


@given(st.binary(max_size=60))
def test_a_damaged_difference_is_an_error_or_some_header(difference: bytes) -> None:
    try:
        HeaderTemplate(b"x" * 200).header(difference)
    except DamagedData:
        return


@pytest.mark.parametrize("difference", [b"", b"\x02", b"\x01\x80", b"\x01\xff\x01\x00\x00", b"\x01\x00\x00\x09ab"])
def test_what_is_no_difference_says_so(difference: bytes) -> None:
    with pytest.raises(DamagedData, match="lightkeep verify"):
        HeaderTemplate(b"x" * 20).header(difference)


def test_changed_values_take_a_few_bytes_and_equal_headers_none() -> None:
    template = b"".join(f"KEY{number:<5}= {number:20}".ljust(80).encode() for number in range(400))
    header = bytearray(template)
    for card in (3, 99, 250):
        header[card * 80 + 25 : card * 80 + 30] = b"54321"
    made = HeaderTemplate(template)
    assert made.difference(template) == b"\x01"
    assert len(made.difference(bytes(header))) <= 1 + 3 * (4 + 5)


def test_a_card_that_was_put_in_costs_no_more_than_itself() -> None:
    template = b"".join(f"KEY{number:<5}= {number:20}".ljust(80).encode() for number in range(400))
    header = template[:8000] + b"NEW     = 1".ljust(80) + template[8000:-80]
    assert len(HeaderTemplate(template).difference(header)) < 100


def test_headers_of_a_dataset_come_back_from_one_template() -> None:
    headers = [path.read_bytes()[:37440] for path in sorted((shared_folder("frames") / "visp").glob("*.fits"))]
    made = HeaderTemplate(headers[0])
    differences = [made.difference(header) for header in headers]
    assert [made.header(difference) for difference in differences] == headers
    # Of the simulator's 402 cards about 190 are random in every frame; they take their own bytes and little more.
    assert max(map(len, differences)) < len(headers[0]) / 8
