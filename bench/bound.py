#!/usr/bin/env python3
"""The bound of the joining plan, on real processes: with any cache whatever, five verified peers take at most the
time without it plus the stagger plus one round trip.

A network of `--nodes` processes on loopback. For each cell a cache of 1,500 peers of which so many are dead (silent:
a socket that never answers; refusing: nothing listens there), and one endpoint that is healthy, slow (it answers
after half a second) or down (nothing listens); the same join with and without the cache, by turns. Printed are the
medians of `first five verified`. The stagger is that of a cache that verified five last time (500 ms) and of one that
verified none (0).

Then the case of a cache of 1,500 of which 1,400 are silent, and no other source: joined, and when.
"""
import argparse
import http.server
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from network import network, report_of, timed

CACHED = 1500
SLOW_S = 0.5
DEAD_PERCENTS = (0, 50, 90, 99, 100)


def endpoint_server(peers, wait_s):
    """A web server on loopback that gives the list, after a while."""
    body = json.dumps({"peers": peers}).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            time.sleep(wait_s)
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                pass  # who has joined meanwhile waits for no answer

        def log_message(self, *arguments):  # pylint: disable=arguments-differ
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/peers.json", server


def closed_port(kind):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def stranger():
    """The peer id of nobody: an Ed25519 key that was drawn."""
    number = int.from_bytes(b"\x00\x24\x08\x01\x12\x20" + os.urandom(32), "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" + text  # for the zero in front


def write_cache(binary, path, live, dead_count, dead_port):
    """A cache of tried peers, alike but for their life. Each ip:port is a group of its own on loopback."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    dead = [f"/ip4/127.{2 + i // 250}.7.{1 + i % 250}/udp/{dead_port}/quic-v1/p2p/{stranger()}"
            for i in range(dead_count)]
    peers = [{"addr": addr, "success_count": 3, "failure_count": 0, "last_seen": now} for addr in live + dead]
    source = path + ".json"
    with open(source, "w", encoding="utf-8") as file:
        json.dump({"last_updated": now, "peers": peers}, file)
    subprocess.run([binary, "import", source, "--trust", "--local", "--cache", path], capture_output=True, check=True)


def dead_and_live(nodes, percent):
    """How many of each, so that this share is dead, in a cache of CACHED at most."""
    if percent == 100:
        return CACHED, 0
    live = min(len(nodes), CACHED * (100 - percent) // 100)
    return min(CACHED - live, live * percent // (100 - percent)), live


def first_five_ms(command):
    report = report_of(timed(command)[1])
    return report["metrics"]["fifth_verified_ms"] if report["status"] == "joined" else None


def median(values):
    return "-" if None in values else f"{statistics.median(values):.1f}"


def cell(binary, folder, nodes, percent, dead, port, url, runs):
    """The medians without the cache and with it, by turns."""
    cache = os.path.join(folder, f"{dead}-{percent}.db")
    if not os.path.exists(cache):
        dead_count, live = dead_and_live(nodes, percent)
        write_cache(binary, cache, nodes[-live:] if live else [], dead_count, port)
    join = [binary, "join", "--local", "--json", "--no-walk", "--no-save", "--timeout", "20s", "--endpoint", url]
    without, with_cache = [], []
    for _ in range(runs):
        without.append(first_five_ms(join + ["--no-cache"]))
        with_cache.append(first_five_ms(join + ["--cache", cache]))
    return median(without), median(with_cache)


def table(binary, folder, nodes, runs):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("0.0.0.0", 0))  # all of 127.0.0.0/8
    ports = {"silent": silent.getsockname()[1], "refusing": closed_port(socket.SOCK_DGRAM)}
    healthy, server = endpoint_server(nodes[:20], 0)
    slow, slow_server = endpoint_server(nodes[:20], SLOW_S)
    endpoints = {"healthy": healthy, "slow": slow,
                 "down": f"http://127.0.0.1:{closed_port(socket.SOCK_STREAM)}/peers.json"}
    print(f"first five verified, ms (medians of {runs}); without the cache / with it")
    print(f"{'dead in the cache':<22}" + "".join(f"{'endpoint ' + name:>24}" for name in endpoints))
    for dead, port in ports.items():
        for percent in DEAD_PERCENTS:
            row = f"{percent:>3} % {dead:<16}"
            for name, url in endpoints.items():
                # without a source that serves the join lasts its whole time
                hopeless = name == "down"
                without, with_cache = cell(binary, folder, nodes, percent, dead, port, url,
                                           1 if hopeless else runs)
                row += f"{without + ' / ' + with_cache:>24}"
            print(row, flush=True)
    server.shutdown()
    slow_server.shutdown()
    return silent


def mostly_silent(binary, folder, nodes, silent, runs):
    cache = os.path.join(folder, "mostly-silent.db")
    write_cache(binary, cache, nodes, CACHED - len(nodes), silent.getsockname()[1])
    join = [binary, "join", "--local", "--json", "--no-walk", "--no-save", "--cache", cache]
    walls, fives = [], []
    for _ in range(runs):
        wall_ms, done = timed(join)
        report = report_of(done)
        if report["status"] != "joined":
            sys.exit(f"bound.py: not joined: {done.stdout}")
        walls.append(wall_ms)
        fives.append(report["elapsed_ms"])
    print(f"a cache of {CACHED}, {CACHED - len(nodes)} of them silent, no other source: joined in "
          f"{statistics.median(fives):.0f} ms, worst {max(fives):.0f} (process {statistics.median(walls):.0f} ms, "
          f"worst {max(walls):.0f}; target 1,000)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, network(options.binary, options.nodes) as nodes:
        silent = table(options.binary, folder, nodes, options.runs)
        mostly_silent(options.binary, folder, nodes, silent, options.runs)
        silent.close()


if __name__ == "__main__":
    main()
