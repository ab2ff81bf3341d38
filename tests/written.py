"""Files of formats that are not HDF5, written to their published layouts, by other libraries where one writes them."""

from __future__ import annotations

import struct
import warnings
import wave
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.formats.bundle import Joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

START = 1_700_000_000_250_000_000  # ns
NAME = "rec_20231114T221320_250000Z"
RATE = 500.0
SHAPE = (1500, 60)


def counts(dtype: str = "i2", shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(7).normal(0, 300, shape).astype(dtype)


def as_one(path: Path, members: Sequence[Path]) -> None:
    """Write several files as the one that readers see."""
    opened = [(f"{file.parent.name}/{file.name}", file.stat().st_size, partial(file.open, "rb")) for file in members]
    with Joined(opened, path.name) as joined:
        path.write_bytes(joined.read())


def sentek(path: Path) -> NDArray[Any]:
    samples = counts("f4")
    head = [SHAPE[1], SHAPE[0], 2000.0, 1.0, 0.0, 1.0]
    parts = (head, np.arange(SHAPE[1]) * 1.5, np.arange(SHAPE[0]) * 0.002, samples.ravel())
    path.write_bytes(np.concatenate(parts).astype("<f4").tobytes())
    return samples


def sintela_binary(path: Path, *, lost: Sequence[int] = (), jitter: int = 0) -> NDArray[Any]:
    """Write packets of 100 samples; those of `lost` numbers are left out, every other one is late by `jitter` ns."""
    samples = counts("f4")
    with path.open("wb") as file:
        for number, rows in enumerate(samples.reshape(-1, 100, SHAPE[1])):
            time = START + number * 200_000_000 + number % 2 * jitter
            said = (0x11223344, 96, 3, 7_000 + number * 100, time, SHAPE[1], 100, RATE, 2.0, 10.0, 0, 5, 3)
            head = struct.pack("<IIIQQIIfffIIIIiI6BH8H", *said, 1, -2, 3, *(0, 0, 0, 0, 4, 1), 0, *range(8))
            if number not in lost:
                file.write(head + rows.astype("<f4").tobytes())
    return np.concatenate([rows for n, rows in enumerate(samples.reshape(-1, 100, SHAPE[1])) if n not in lost])


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: float | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def envelope(tag: bytes, message: bytes) -> bytes:
    return b"PBUF" + tag.ljust(4, b"\0") + struct.pack("<I", len(message)) + message


def sintela_protobuf(path: Path, *, tag: bytes = b"TS05") -> NDArray[Any]:
    samples = counts("f4")
    names = field(1, b"Sintela") + field(2, b"DAS") + field(3, b"Onyx") + field(4, b"SN-1")
    parts = [envelope(b"META", field(1, b"here") + field(3, names))]
    for number, rows in enumerate(samples.reshape(-1, 100, SHAPE[1])):
        seconds, nanos = divmod(START + number * 200_000_000, 10**9)
        common = field(1, field(1, seconds) + field(2, nanos)) + field(2, SHAPE[1]) + field(3, RATE)
        common += field(4, 2.0) + field(5, 10.0) + field(6, 5) + field(11, 4) + field(12, 1)
        header = field(1, common) + field(2, (1 << 32) - 300 + number * 100 & 0xFFFFFFFF) + field(3, 100) + field(4, 3)
        parts.append(envelope(tag, field(1, header) + field(3, rows.astype("<f4").tobytes())))
    path.write_bytes(b"".join(parts))
    return samples


def sr4731(path: Path) -> NDArray[Any]:
    raw = np.random.default_rng(3).integers(0, 50_000, 8000).astype("<u2")
    said = (START // 10**9, b"km", 15500, 0, 0, 1, 50, 125003, 8000, 146832, 800, 5, 50, 9)
    fixed = struct.pack("<I2sHiiHHIIIHIHI", *said)
    blocks = {
        b"GenParams": b"EN\0cable\0fiber\0",
        b"SupParams": b"MAKER\0MODEL\0SERIAL\0MODULE\0M2\0V1\0\0",
        b"FxdParams": fixed + bytes(60),
        b"DataPts": struct.pack("<IHIH", 8000, 1, 8000, 1000) + raw.tobytes(),
        b"Cksum": struct.pack("<H", 0),
    }
    bodies = [name + b"\0" + body for name, body in blocks.items()]
    entries = b"".join(
        name + b"\0" + struct.pack("<HI", 200, len(body)) for name, body in zip(blocks, bodies, strict=True)
    )
    head = b"Map\0" + struct.pack("<HIH", 200, 12 + len(entries), len(blocks) + 1)
    path.write_bytes(head + entries + b"".join(bodies))
    return ((raw.max() - raw.astype(np.float64)) * 1000 / 1_000_000)[np.newaxis]


def segy(path: Path, *, endian: str = "big", code: int = 1, revision: tuple[int, int] = (1, 0)) -> NDArray[Any]:
    """Write with segyio: samples as the numbers of a format code hold them."""
    import segyio

    kinds = {1: "f4", 2: "i4", 3: "i2", 5: "f4", 8: "i1"}
    samples = counts("i1" if code == 8 else "i2").astype(kinds[code])
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount, spec.endian = code, np.arange(SHAPE[0]) * 2.0, SHAPE[1], endian
    keys = segyio.TraceField
    with segyio.create(path, spec) as file:
        file.bin.update({segyio.BinField.Interval: 2000, segyio.BinField.Samples: SHAPE[0]})
        file.bin[segyio.BinField.SEGYRevision], file.bin[segyio.BinField.SEGYRevisionMinor] = revision
        file.bin[segyio.BinField.MeasurementSystem] = 1
        for number in range(SHAPE[1]):
            file.header[number] = {
                keys.TRACE_SAMPLE_COUNT: SHAPE[0],
                keys.TRACE_SAMPLE_INTERVAL: 2000,
                keys.YearDataRecorded: 2023,
                keys.DayOfYear: 318,
                keys.HourOfDay: 22,
                keys.MinuteOfHour: 13,
                keys.SecondOfMinute: 20,
                keys.DelayRecordingTime: 250,
                keys.TimeBaseCode: 4,
                keys.TraceValueMeasurementUnit: 6,
                keys.GroupX: 5_000_000 + number * 150,
                keys.GroupY: 60_000_000,
                keys.SourceGroupScalar: -100,
                keys.CoordinateUnits: 1,
            }
            file.trace[number] = np.ascontiguousarray(samples[:, number])
    return samples


def segy_2_1(path: Path, *, order: str = "<") -> NDArray[Any]:
    """Write revision 2.1 by hand: 24-bit integers, an exact interval, one more text, and more trace headers."""
    samples = counts("i4")
    binary = bytearray(400)
    for offset, kind, value in (
        (16, "H", 2000),
        (20, "H", SHAPE[0]),
        (24, "H", 7),
        (68, "I", SHAPE[0]),
        (72, "d", 1999.5),
        (96, "I", 0x01020304),
        (302, "h", 1),
        (304, "h", 1),
        (306, "I", 1),
        (312, "Q", SHAPE[1]),
        (320, "Q", 3600 + 3200),
    ):
        struct.pack_into(order + kind, binary, offset, value)
    binary[300:302] = (2, 1)
    header = bytearray(240)
    fields = ((114, SHAPE[0]), (116, 2000), (156, 2023), (158, 318), (160, 22), (162, 13), (164, 20 + 18), (166, 5))
    for offset, value in fields:
        struct.pack_into(order + "H", header, offset, value)
    struct.pack_into(order + "hi", header, 108, 250, 0)
    struct.pack_into(order + "H", header, 114, SHAPE[0])
    text = "C 1 written by hand".ljust(3200).encode("cp037")
    extra = "((SEG: EndText))".ljust(3200).encode("cp037")
    wide = samples.astype(order + "i4").view(np.uint8).reshape(*SHAPE, 4)
    three = wide[..., :3] if order == "<" else wide[..., 1:]
    traces = b"".join(bytes(header) + bytes(240) + three[:, number].tobytes() for number in range(SHAPE[1]))
    path.write_bytes(text + bytes(binary) + extra + traces)
    return samples


def bext(samples: int, day: str = "2023-11-14") -> bytes:
    """Return a `bext` chunk of a recording that began `samples` after midnight."""
    body = struct.pack("<256s32s32s10s8sQ", b"well", b"maker", b"run 7", day.encode(), b"22:13:20", samples)
    return b"bext" + struct.pack("<I", len(body) + 250) + body + bytes(250)


def wav(path: Path, dtype: str = "i2") -> NDArray[Any]:
    """Write with SciPy, and put a `bext` chunk behind the samples."""
    from scipy.io import wavfile

    samples = counts(dtype)
    wavfile.write(path, int(RATE), samples)
    since_midnight = (START - 1_699_920_000 * 10**9) * int(RATE) // 10**9
    content = path.read_bytes() + bext(since_midnight)
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    return samples


def wav_24(path: Path) -> NDArray[Any]:
    samples = counts("i4")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(SHAPE[1])
        file.setsampwidth(3)
        file.setframerate(int(RATE))
        file.writeframes(samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return samples


def wav_folder(path: Path) -> NDArray[Any]:
    """Write a file for each channel as DASCore calls them, in a folder that is called by the time."""
    from scipy.io import wavfile

    samples, folder = counts("f4"), path.parent / NAME
    folder.mkdir()
    files = [folder / f"distance_{number * 2.5}.wav" for number in range(SHAPE[1])]
    for file, column in zip(files, samples.T, strict=True):
        wavfile.write(file, int(RATE), column)
    as_one(path, sorted(files))
    return samples


def stream(samples: NDArray[Any], start: int = START) -> Any:
    """Return an ObsPy stream of one trace for each channel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from obspy import Stream, Trace, UTCDateTime

    stats = {"network": "XX", "channel": "HSF", "sampling_rate": RATE, "starttime": UTCDateTime(ns=start)}
    return Stream(
        [
            Trace(np.ascontiguousarray(column), {**stats, "station": f"{number:05}"})
            for number, column in enumerate(samples.T)
        ]
    )


def miniseed(path: Path, dtype: str = "i4", **options: Any) -> NDArray[Any]:
    samples = counts(dtype)
    stream(samples).write(str(path), format="MSEED", **options)
    return samples


def miniseed_folder(path: Path) -> NDArray[Any]:
    samples = counts("i4")
    files = []
    for trace in stream(samples):
        files.append(path.parent / f"{trace.stats.station}.mseed")
        trace.write(str(files[-1]), format="MSEED", reclen=512)
    as_one(path, files)
    return samples


def miniseed_3(path: Path) -> NDArray[Any]:
    import pymseed

    samples = counts("f4")
    with path.open("wb") as file:
        for number, column in enumerate(samples.T):
            record = pymseed.MS3Record(reclen=1024, encoding=pymseed.DataEncoding.FLOAT32)
            record.formatversion, record.sourceid = 3, f"FDSN:XX_{number:05}__H_S_F"
            record.starttime, record.samprate = START, RATE
            with record.with_datasamples(np.ascontiguousarray(column), "f"):
                for part in record.generate():
                    file.write(part[0] if isinstance(part, tuple) else part)
    return samples


def metadata(*, transposed: bool = False, frames: int = SHAPE[0]) -> str:
    zone = f"<StartChannel>5</StartChannel><EndChannel>{4 + SHAPE[1]}</EndChannel><Stride>1</Stride>"
    return f"""<?xml version='1.0' encoding='utf-8'?>
<Metadata><FileFormat>RAW</FileFormat><DateTime>2023-11-14T22:13:20Z</DateTime>
<DasInterrogatorSerial><Interrogator_1>CRI-4400_A001</Interrogator_1></DasInterrogatorSerial>
<GaugeLengthM>1</GaugeLengthM><PulseWidthNs>100</PulseWidthNs><DataType>int16</DataType>
<NumberOfLasers>1</NumberOfLasers><ITUChannels><Laser_1>15</Laser_1></ITUChannels>
<OriginalTemporalSamplingRate>1000</OriginalTemporalSamplingRate>
<OutputTemporalSamplingRate>500</OutputTemporalSamplingRate>
<OriginalSpatialSamplingInterval>2.5</OriginalSpatialSamplingInterval><Units>m</Units>
<Zones><Zone>{zone}<NumberOfChannels>{SHAPE[1]}</NumberOfChannels></Zone></Zones>
<NumberOfChannels>{SHAPE[1]}</NumberOfChannels><NumberOfFrames>{frames}</NumberOfFrames>
<UseRelativeStrain>False</UseRelativeStrain><TransposedData>{transposed}</TransposedData></Metadata>
"""


def xml_folder(folder: Path, *, transposed: bool = False) -> NDArray[Any]:
    """Write the metadata and two raw files of three seconds, and return the samples of both."""
    samples = counts("i2", (2 * SHAPE[0], SHAPE[1]))
    folder.mkdir(exist_ok=True)
    (folder / "metadata.xml").write_text(metadata(transposed=transposed))
    for second, part in ((20, samples[: SHAPE[0]]), (23, samples[SHAPE[0] :])):
        rows = part.T if transposed else part
        (folder / f"DAS_20231114T2213{second}_250000Z.raw").write_bytes(rows.astype("<i2").tobytes())
    return samples


def xml_binary(path: Path, *, transposed: bool = False) -> NDArray[Any]:
    folder = path.parent / "xml"
    samples = xml_folder(folder, transposed=transposed)
    as_one(path, [folder / "metadata.xml", folder / "DAS_20231114T221320_250000Z.raw"])
    return samples[: SHAPE[0]]


# By the name of the sample: format, name of the file, writer.
MADE: dict[str, tuple[str, str, Callable[[Path], NDArray[Any]]]] = {
    "miniseed 2": ("miniseed", "made.mseed", partial(miniseed, reclen=512)),
    "miniseed 2, little-endian floats": ("miniseed", "made.mseed", partial(miniseed, dtype="f4", byteorder="<")),
    "miniseed 3": ("miniseed", "made.mseed", miniseed_3),
    "miniseed, folder": ("miniseed", "made.mseed", miniseed_folder),
    "segy 0, IBM": ("segy", "made.sgy", partial(segy, revision=(0, 0))),
    "segy 1.0, little-endian": ("segy", "made.sgy", partial(segy, endian="little", code=5)),
    "segy 1.0, little-endian IBM": ("segy", "made.sgy", partial(segy, endian="little")),
    "segy 2.1, little-endian": ("segy", "made.sgy", segy_2_1),
    "segy 2.1, big-endian": ("segy", "made.sgy", partial(segy_2_1, order=">")),
    "sentek": ("sentek", f"{NAME}.das", sentek),
    "sintela_binary": ("sintela_binary", "made.raw", sintela_binary),
    "sintela_protobuf": ("sintela_protobuf", "made.pb", sintela_protobuf),
    "sr4731": ("sr4731", "made.sor", sr4731),
    "wav": ("wav", "made.wav", wav),
    "wav, 24 bits": ("wav", f"{NAME}.wav", wav_24),
    "wav, folder": ("wav", "made.wav", wav_folder),
    "xml_binary": ("xml_binary", "made.raw", xml_binary),
    "xml_binary, transposed": ("xml_binary", "made.raw", partial(xml_binary, transposed=True)),
}
REAL = {
    "DASDMSShot00_20230328155653619.das": "sentek",
    "geofon_3U_HSF.mseed": "miniseed",
    "ofl100_1.sor": "sr4731",
    "sintela_protobuf_1.pb": "sintela_protobuf",
    "small_channel_patch.sgy": "segy",
}
# Files that DASCore does not read, or reads otherwise than the file says; their truth has tests of its own.
OWN_TRUTH = {"DASDMSShot00_20230328155653619.das", "geofon_3U_HSF.mseed", "sintela_protobuf_1.pb"}
