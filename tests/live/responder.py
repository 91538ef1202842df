#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host that answers SYNs in ways no kernel does, by packet socket: the kernel of its namespace must be kept silent.

usage: responder.py INTERFACE MODE    prints "ready"
  mirror   a SYN/ACK with the very options of the SYN, as a broken middlebox sends it
  fake     a SYN/ACK with MP_CAPABLE and a key, and plain TCP after that
  v0       version 0: a key of its own for a SYN of version 0, a RST for a join, plain TCP for version 1"""
import os
import socket
import struct
import sys

SYN, RST, ACK = 2, 4, 16


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total >> 16) + (total & 0xffff)
    return ~total & 0xffff


class Segment:
    """One TCP segment of a frame, or nothing: `ok` says which."""

    def __init__(self, frame):
        self.ok = False
        kind = frame[12:14]
        if kind == b"\x08\0" and frame[23] == 6:
            ip = frame[14:]
            self.src, self.dst, tcp = ip[12:16], ip[16:20], ip[(ip[0] & 15) * 4:]
        elif kind == b"\x86\xdd" and frame[20] == 6:
            self.src, self.dst, tcp = frame[22:38], frame[38:54], frame[54:]
        else:
            return
        self.macs = frame[:12]
        self.sport, self.dport, self.seq, self.ack, offset, self.flags = struct.unpack("!HHIIBB", tcp[:14])
        self.options = tcp[20:(offset >> 4) * 4]
        self.ok = True

    def answer(self, flags, seq, options=b""):
        options += b"\x01" * (-len(options) % 4)
        tcp = struct.pack("!HHIIBBHHH", self.dport, self.sport, seq, (self.seq + (1 if self.flags & SYN else 0)) & 0xffffffff,
                          (20 + len(options)) << 2, flags, 60000, 0, 0) + options
        v6 = len(self.src) == 16
        pseudo = self.dst + self.src + (struct.pack("!IBBBB", len(tcp), 0, 0, 0, 6) if v6 else struct.pack("!BBH", 0, 6, len(tcp)))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
        if v6:
            ip = struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + self.dst + self.src
        else:
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + self.dst + self.src
            ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return self.macs[6:] + self.macs[:6] + (b"\x86\xdd" if v6 else b"\x08\0") + ip + tcp


def mptcp(options):
    """The first MPTCP option."""
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or options[1] < 2:
            return b""
        if options[0] == 30:
            return options[:options[1]]
        options = options[options[1]:]
    return b""


def respond(s, mode):
    option = mptcp(s.options)
    subtype = option[2] >> 4 if option else None
    isn = int.from_bytes(os.urandom(4), "big")
    if not s.flags & SYN:
        return s.answer(ACK, s.ack) if mode == "fake" and s.flags == ACK else None
    if s.flags & ACK:
        return None
    if mode == "mirror":
        return s.answer(SYN | ACK, isn, s.options)
    if mode == "fake":
        return s.answer(SYN | ACK, isn, b"\x1e\x0c\x01\x01" + os.urandom(8) if subtype == 0 and option[2] & 15 == 1 else b"")
    if subtype == 1:
        return s.answer(RST | ACK, 0)
    return s.answer(SYN | ACK, isn, b"\x1e\x0c\x00\x01" + os.urandom(8) if subtype == 0 and option[2] & 15 == 0 else b"")


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("mirror", "fake", "v0"):
        sys.exit(__doc__)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((sys.argv[1], 0))
    own = wire.getsockname()[4]
    print("ready", flush=True)
    while True:
        frame = wire.recv(65536)
        if len(frame) < 54 or frame[:6] != own:
            continue
        segment = Segment(frame)
        out = respond(segment, sys.argv[2]) if segment.ok else None
        if out:
            wire.send(out)


if __name__ == "__main__":
    main()
