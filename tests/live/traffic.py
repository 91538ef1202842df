#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Applications at the two ends of a lab's connection. Each prints, as one JSON line, what it sent and received.

  traffic.py transfer server ADDR PORT BYTES SEED     accepts one connection, sends BYTES and receives to the end, both at once
  traffic.py transfer client ADDR PORT BYTES SEED [SUBFLOWS]    waits for that many before the bulk
  traffic.py evil server ADDR PORT
  traffic.py evil client ADDR PORT      "evil " on one path, "stuff" on the other: MP_PRIO makes the other path the backup
"""
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time

MPTCP = int(os.environ.get("MPTAP_LAB_PROTOCOL", "262"))
CHUNK = 65536


def chunks(size, seed):
    """A reproducible stream, no two chunks alike: half of each is text made of words, half is noise."""
    dice = random.Random(seed)
    words = ["".join(dice.choices("etaoinshrdlucmfwypvbgkjqxz", weights=range(26, 0, -1), k=dice.randint(2, 11))) for _ in range(5000)]
    texts = [" ".join(dice.choices(words, k=6000))[:CHUNK // 2].encode() for _ in range(64)]
    number = 0
    while size > 0:
        stamp = b"%d.%d " % (seed, number)
        text = texts[number * 37 % len(texts)]
        block = stamp + text + hashlib.shake_128(stamp).digest(CHUNK - len(stamp) - len(text))
        yield block[:size]
        size -= CHUNK
        number += 1


def connect(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM, MPTCP)
    s.settimeout(120)
    s.connect((address, port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


LISTENERS = []  # a join finds its connection through the listening socket: they stay open


def accept(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM, MPTCP)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(4)
    s.settimeout(60)
    LISTENERS.append(s)
    connection, _ = s.accept()
    connection.settimeout(120)
    return connection


def counter(name):
    """A counter of this namespace's kernel."""
    with open("/proc/net/netstat", encoding="ascii") as f:
        lines = f.read().splitlines()
    for titles, values in zip(lines[::2], lines[1::2]):
        row = dict(zip(titles.split(), values.split()))
        if name in row:
            return int(row[name])
    return 0


def wait_for(name, value, seconds=10):
    deadline = time.monotonic() + seconds
    while counter(name) < value:
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds} s for {name} to reach {value}, it is {counter(name)}")
        time.sleep(0.02)


class Receiver(threading.Thread):
    def __init__(self, connection):
        super().__init__()
        self.connection, self.size, self.hash = connection, 0, hashlib.sha256()
        self.start()

    def run(self):
        while data := self.connection.recv(1 << 18):
            self.size += len(data)
            self.hash.update(data)


def report(**values):
    print(json.dumps(values), flush=True)


def transfer(role, address, port, size, seed, subflows=1):
    connection = connect(address, port) if role == "client" else accept(address, port)
    receiver = Receiver(connection)
    sent = hashlib.sha256()
    stream = chunks(size, seed)
    if role == "client":
        # Joins come once the connection carries data both ways or the peer's addresses are known: a first piece, then the rest.
        first = next(stream, b"")
        connection.sendall(first)
        sent.update(first)
        wait_for("MPJoinSynAckRx", subflows - 1)
        time.sleep(0.1)
    for block in stream:
        connection.sendall(block)
        sent.update(block)
    connection.shutdown(socket.SHUT_WR)
    receiver.join()
    port = connection.getsockname()[1]
    connection.close()
    report(port=port, sent=size, sent_sha256=sent.hexdigest(), received=receiver.size, received_sha256=receiver.hash.hexdigest())


def endpoint(number, flag):
    subprocess.run(["ip", "mptcp", "endpoint", "change", "id", str(number), flag], check=True)


def evil_client(address, port):
    """The path manager of the client moves the traffic: endpoint 1 is path 1, endpoint 2 is path 2."""
    connection = connect(address, port)
    connection.sendall(b"H")
    assert connection.recv(1) == b"h"
    wait_for("MPJoinSynAckRx", 1)
    time.sleep(0.2)
    endpoint(2, "backup")
    wait_for("MPPrioTx", 1)
    time.sleep(0.2)
    connection.sendall(b"evil ")
    time.sleep(0.2)
    endpoint(2, "nobackup")
    endpoint(1, "backup")
    wait_for("MPPrioTx", 3)
    time.sleep(0.2)
    connection.sendall(b"stuff")
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while data := connection.recv(4096):
        answer += data
    time.sleep(0.2)
    connection.close()
    report(sent="Hevil stuff", received="h" + answer.decode())


def evil_server(address, port):
    connection = accept(address, port)
    got = connection.recv(1)
    connection.sendall(b"h")
    while data := connection.recv(4096):
        got += data
    connection.sendall(b"got %d bytes\n" % len(got))
    connection.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    connection.close()
    report(received=got.decode())


def main():
    argv = sys.argv[1:]
    if len(argv) in (6, 7) and argv[0] == "transfer" and argv[1] in ("client", "server"):
        transfer(argv[1], argv[2], *map(int, argv[3:]))
    elif len(argv) == 4 and argv[0] == "evil" and argv[1] in ("client", "server"):
        (evil_client if argv[1] == "client" else evil_server)(argv[2], int(argv[3]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
