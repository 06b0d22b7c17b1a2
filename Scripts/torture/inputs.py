"""The small data that the campaigns work on, made here."""
import gzip
import io
import json
import os
import struct
import tarfile
import zlib

TRAINING, TEST = 60, 30


def idx_images(count):
    pixels = bytearray()
    for i in range(count):
        # The place of a bright row tells the class.
        for row in range(16):
            pixels += bytes([0xE0 if row == i % 10 + 3 else 0x20 + i % 3] * 16)
    return struct.pack(">4i", 2051, count, 16, 16) + bytes(pixels)


def idx_labels(count):
    return struct.pack(">2i", 2049, count) + bytes(i % 10 for i in range(count))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make_images(folder):
    for part, count in (("train", TRAINING), ("t10k", TEST)):
        write(f"{folder}/{part}-images-idx3-ubyte", idx_images(count))
        write(f"{folder}/{part}-labels-idx1-ubyte", idx_labels(count))


def make_colour(folder):
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        records = bytearray()
        for i in range(10):
            records += bytes([i]) + bytes((i * 7 + j * (i + 3)) % 256 for j in range(3072))
        write(f"{folder}/{name}.bin", bytes(records))


def gz(data):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def tar(members, format=tarfile.USTAR_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def f32(values):
    return struct.pack(f"<{len(values)}f", *values)


def safetensors(tensors, metadata=None):
    """`tensors`: (name, type, shape, bytes)."""
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, kind, shape, content in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def parse_safetensors(data):
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def assemble_safetensors(header, data):
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def model_files():
    """Files of weights in every layout, by name."""
    v, g, b = f32([3, 4, 6, 8]), f32([10, 20]), f32([1, 2])
    files = {
        "weight-norm": [("fc.bias", "F32", [2], b), ("fc.weight_g", "F32", [2, 1], g), ("fc.weight_v", "F32", [2, 2], v), ("out.weight", "F32", [1, 2], b)],
        "parametrizations": [
            ("fc.parametrizations.weight.original0", "F32", [2, 1], g), ("fc.parametrizations.weight.original1", "F32", [2, 2], v),
            ("norm.running_mean", "F32", [2], b), ("norm.num_batches_tracked", "I64", [], struct.pack("<q", 7))],
        "plain": [("conv.weight", "F32", [2, 1, 2, 2], v + v), ("conv.bias", "F32", [2], b), ("half", "F16", [2], b"\0\x3c\0\x40"), ("empty", "F32", [0, 3], b"")],
        "types": [("a.weight_v", "F64", [2, 1], struct.pack("<2d", 3, 4)), ("a.weight_g", "F64", [2, 1], struct.pack("<2d", 1, 2)),
                  ("b.weight_v", "BF16", [1, 2], b"\x40\x40\x80\x40"), ("b.weight_g", "BF16", [1, 1], b"\x80\x3f"), ("mask", "BOOL", [3], b"\1\0\1"), ("n", "U8", [2], b"\1\2")],
    }
    return {name: safetensors(tensors, {"format": "pt"}) for name, tensors in files.items()}


def repaired_checkpoint(header, data, inner):
    """A checkpoint whose checksums are right again, so that what is wrong in it is found by meaning alone."""
    for name, entry in header.items():
        if name != "__metadata__" and name in inner.get("tensors", {}):
            begin, end = entry["data_offsets"]
            inner["tensors"][name] = zlib.crc32(data[begin:end])
    text = json.dumps(inner, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    header["__metadata__"]["checkpoint"] = text
    header["__metadata__"]["checksum"] = str(zlib.crc32(text.encode("utf-8", "surrogatepass")))
    return assemble_safetensors(header, data)
