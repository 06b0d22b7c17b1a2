"""Ways to spoil bytes and JSON. Everything is drawn from the case's own random numbers."""
import json
import struct

LENGTHS = [0, 1, 2, 7, 8, 255, 256, 65535, 1 << 20, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
NUMBERS = [0, -1, 1, 2, 3, 7, 0.5, -0.5, 1e-320, 1e39, -1e39, 1e308, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 10**30, 100_000, 10**9, 3.3, 1e-9]
TEXTS = ["", "nan", "inf", "-inf", "x", "weight", "../outside", "/", "\u0000", "a\nb", "é" * 50, "x" * 20_000, "0", "1e999", "cpu", "cuda", "\u202e", "normal", "catch", "%n%s", "-1"]


def spoil(random, data, other=b""):
    """Mutated bytes: one to a few spoilings of the kinds that readers fear."""
    data = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 3, 8])):
        size = len(data)
        place = random.randrange(size) if size else 0
        match random.randrange(12):
            case 0 | 1 if size:
                data[place] ^= 1 << random.randrange(8)
            case 2 if size:
                data[place] = random.choice([0, 1, 0x22, 0x2C, 0x5B, 0x5D, 0x7B, 0x7D, 0x7F, 0x80, 0xFF])
            case 3:
                del data[place:]
            case 4:
                end = min(size, place + random.choice([1, 2, 8, 64, 1000]))
                data[place:place] = data[place:end] * random.choice([1, 1, 2, 50])
            case 5:
                del data[place : place + random.choice([1, 2, 4, 8, 100])]
            case 6:
                width = random.choice([1, 2, 4, 8])
                value = random.choice(LENGTHS) % (1 << 8 * width)
                data[place : place + width] = value.to_bytes(width, random.choice(["little", "big"]))
            case 7:
                # At the beginning stand the lengths.
                width = random.choice([2, 4, 8])
                at = random.choice([0, 4, 8, 12])
                data[at : at + width] = (random.choice(LENGTHS) % (1 << 8 * width)).to_bytes(width, random.choice(["little", "big"]))
            case 8:
                source = other or bytes(data)
                begin = random.randrange(len(source)) if source else 0
                data[place : place + random.choice([0, 8, 64])] = source[begin : begin + random.choice([8, 64, 512])]
            case 9:
                data += bytes(random.choice([1, 8, 511, 512, 4096]))
            case 10:
                data[place:place] = random.randbytes(random.choice([1, 4, 32]))
            case _:
                # A number in a text.
                digits = [i for i in range(min(size, 20000)) if 48 <= data[i] <= 57]
                if digits:
                    at = random.choice(digits)
                    end = at
                    while end < len(data) and 48 <= data[end] <= 57:
                        end += 1
                    data[at:end] = str(random.choice(LENGTHS)).encode()
    return bytes(data)


def leaves(value, path=()):
    """The paths of all leaves, and of what contains them."""
    if isinstance(value, dict):
        yield path
        for key in value:
            yield from leaves(value[key], path + (key,))
    elif isinstance(value, list):
        yield path
        for index in range(len(value)):
            yield from leaves(value[index], path + (index,))
    else:
        yield path


def at(value, path):
    for key in path:
        value = value[key]
    return value


DEFECTS = ['{"dtype":"F32","shape":[9],"data_offsets":[0,4]}', '{"dtype":"F99","shape":[1],"data_offsets":[0,4]}', '1', '{"shape":[]}',
           '{"dtype":"F32","shape":[-1],"data_offsets":[8,4]}']


class Raw:
    """JSON text to stand as it is."""

    def __init__(self, text):
        self.text = text


def nasty(random, old=None, others=()):
    match random.randrange(10):
        case 0 | 1 | 2 | 3:
            return random.choice(NUMBERS)
        case 4:
            return random.choice(TEXTS)
        case 5:
            return random.choice([None, True, False])
        case 6:
            return random.choice([[], {}, [[]], [0], [1] * 1000, {"a": 1}, [None], ["weight"] * 3])
        case 7:
            depth = random.choice([10, 511, 513, 20_000])
            return Raw("[" * depth + "1" + "]" * depth)
        case 8:
            return random.choice(others) if others else 0
        case _:
            if isinstance(old, (int, float)) and not isinstance(old, bool):
                return random.choice([old + 1, old - 1, -old, old * 10, old * 1000, old / 3 if old else 1])
            if isinstance(old, list):
                return random.choice([old + old, old[:-1], old[::-1], old * 100])
            if isinstance(old, str):
                return random.choice([old + "x", old[:-1], old.upper(), old + "\n"])
            return Raw(random.choice(["1e400", "-0", "01", "NaN", "tru", "\"\\ud800\"", "{\"a\":1,\"a\":2}", "1.0000000000000000000000001", "9" * 5000]))


def spoil_json(random, value):
    """A JSON value with one to three leaves changed, taken away, added or renamed. Gives text and words for what was done."""
    value = json.loads(json.dumps(value))
    done = []
    raws = []
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        paths = list(leaves(value))
        path = random.choice(paths)
        others = [at(value, p) for p in random.sample(paths, min(3, len(paths)))]
        if not path:
            if random.random() < 0.9 and len(paths) > 1:
                path = random.choice(paths[1:])
            else:
                new = nasty(random, value, others)
                value = hide(new, raws)
                done.append("all")
                break
        parent, key = at(value, path[:-1]), path[-1]
        words = ".".join(map(str, path))
        what = random.randrange(8)
        if what == 0:
            del parent[key]
            done.append(f"{words} taken away")
        elif what == 1 and isinstance(parent, dict):
            parent[random.choice([key + "x", "", "é", key.upper()])] = parent.pop(key)
            done.append(f"{words} renamed")
        elif what == 1:
            parent.insert(key, parent[key])
            done.append(f"{words} doubled")
        else:
            new = nasty(random, parent[key], others)
            parent[key] = hide(new, raws)
            done.append(f"{words} = {new.text[:40] if isinstance(new, Raw) else repr(new)[:60]}")
    text = json.dumps(value)
    for number, raw in enumerate(raws):
        text = text.replace(f'"\\u0001raw{number}"', raw)
    return text, "; ".join(done)


def hide(value, raws):
    if isinstance(value, Raw):
        raws.append(value.text)
        return f"\u0001raw{len(raws) - 1}"
    return json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value


def spoil_safetensors(random, data):
    """A header whose entries are spoilt by meaning, or the file by bytes."""
    if random.random() < 0.4:
        return spoil(random, data)
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    match random.randrange(12):
        case 0:
            text = "[" * 100_000
        case 2:
            # Very many defects make one line all the same.
            text = "{" + ",".join(f'"t{i}":{random.choice(DEFECTS)}' for i in range(random.choice([3, 100_000]))) + "}"
        case 1:
            text = "{" + ",".join(f'"t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(random.choice([2, 20_000]))) + "}"
        case _:
            text, _ = spoil_json(random, header)
    text = text.encode("utf-8", "surrogatepass")
    length = len(text) if random.random() < 0.9 else random.choice(LENGTHS) % 2**64
    rest = data[8 + size :] if random.random() < 0.8 else random.randbytes(random.choice([0, 1, 16, 4096]))
    return struct.pack("<Q", length) + text + rest
