# SPDX-License-Identifier: Apache-2.0
"""The captures with known contents: those in data/, and those that are made from them.

data/ holds traffic of the Linux kernel's own MPTCP. From small.pcap come missing (subflow 2 left out), asym (subflow 2: only
client to server) and taploss (one packet in a hundred left out, seeded). loss.headers.pcap.xz holds 10,097 packets without their
random payload, which would not compress: an 8-byte number after the headers says which stream bytes were there, and they are
put back from a reproducible stream, with new checksums."""
import csv
import hashlib
import lzma
import os
import random
import struct

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
# SHA-256 of what the applications exchanged in fallback.pcap, client first.
FALLBACK = ("2824c04073b2a886933520d50a9f54e0ab6d56ba90b58a22eb7b541461cf09ae",
            "d4919ab47045622e59aa3325c7ee15fb18bb7e2956896993bc7526504e7d1199")
LOSS_STREAMS = (("toserver", 8388608), ("toclient", 65536))


def data(name):
    return os.path.join(DATA, name)


def packets(raw):
    """(header, frame) of a little-endian pcap."""
    at = 24
    while at + 16 <= len(raw):
        size = struct.unpack_from("<I", raw, at + 8)[0]
        yield raw[at:at + 16], raw[at + 16:at + 16 + size]
        at += 16 + size


def read(path):
    with open(path, "rb") as f:
        return f.read()


def filtered(keep):
    raw = read(data("small.pcap"))
    return raw[:24] + b"".join(h + f for h, f in packets(raw) if keep(f))


def path_of(frame):
    """Addresses are 10.77.PATH.HOST: the pair of source and destination as ((path, host), (path, host))."""
    return tuple(frame[28:30]), tuple(frame[32:34])


def missing():
    return filtered(lambda f: path_of(f)[0][0] == 1)


def asym():
    return filtered(lambda f: path_of(f)[0][0] == 1 or path_of(f)[0] == (2, 1))


def taploss():
    dice = random.Random(7)
    seen = [0]

    def keep(_):
        seen[0] += 1
        return not (seen[0] > 20 and dice.random() < 0.01)
    return filtered(keep)


def loss_stream(direction):
    name, size = LOSS_STREAMS[direction]
    return hashlib.shake_128(name.encode()).digest(size)


def ones_complement(data_bytes):
    if len(data_bytes) % 2:
        data_bytes += b"\0"
    total = int.from_bytes(data_bytes, "big") % 0xFFFF
    return 0xFFFF - total


def loss():
    with lzma.open(data("loss.headers.pcap.xz")) as f:
        raw = f.read()
    streams = [loss_stream(0), loss_stream(1)]
    out = [raw[:24]]
    for head, frame in packets(raw):
        seconds, micros, captured, length = struct.unpack("<IIII", head)
        if captured < length:
            place = struct.unpack(">Q", frame[-8:])[0]
            headers = bytearray(frame[:-8])
            offset = place & (1 << 63) - 1
            payload = streams[place >> 63][offset:offset + length - len(headers)]
            tcp = 14 + (headers[14] & 15) * 4
            headers[tcp + 16:tcp + 18] = b"\0\0"
            segment = bytes(headers[tcp:]) + payload
            pseudo = bytes(headers[26:34]) + struct.pack(">HH", 6, len(segment))
            headers[tcp + 16:tcp + 18] = struct.pack(">H", ones_complement(pseudo + segment))
            frame = bytes(headers) + payload
        out.append(struct.pack("<IIII", seconds, micros, len(frame), length) + frame)
    return b"".join(out)


MADE = {"missing": missing, "asym": asym, "taploss": taploss, "loss": loss}


def path(name, workdir):
    """The file of that name, made in workdir where data/ does not hold it."""
    if os.path.exists(data(name + ".pcap")):
        return data(name + ".pcap")
    made = os.path.join(workdir, name + ".pcap")
    if not os.path.exists(made):
        with open(made, "wb") as f:
            f.write(MADE[name]())
    return made


def truth():
    """Rows of GROUND_TRUTH.tsv by name, numbers as numbers."""
    with open(data("GROUND_TRUTH.tsv"), encoding="utf-8") as f:
        rows = {row["pcap"]: {k: int(v) if v and v.isdigit() else v for k, v in row.items()} for row in csv.DictReader(f, delimiter="\t")}
    for direction, key in enumerate(("c2s", "s2c")):
        stream = loss_stream(direction)
        rows["loss"][key + "_len"] = len(stream)
        rows["loss"][key + "_sha256"] = hashlib.sha256(stream).hexdigest()
    # The table has no MPTCP row for it; these are the plain TCP streams that the applications exchanged.
    rows["fallback"].update(c2s_len=100000, s2c_len=100000, c2s_sha256=FALLBACK[0], s2c_sha256=FALLBACK[1])
    return rows

