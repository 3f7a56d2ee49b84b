#!/usr/bin/env python3
"""Time to 5 verified peers, cold and warm, over a local network of real peercache nodes.

Starts `--nodes` processes of `peercache run --local`, then runs `peercache join --no-walk` again and again:
cold knows one peer and no cache, warm knows the cache of an earlier join alone. Two figures of each: elapsed_ms as
the report gives it (from the start of the join), and the time from the start of the process to its end as this script
sees it, beside that of `peercache --version`, which does nothing (the floor of starting a process).
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time


def start_node(binary, peer, children):
    command = [binary, "run", "--local", "--no-cache"]
    if peer:
        command += ["--peer", peer]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    children.append(child)
    line = child.stdout.readline().strip()
    if not line.startswith("/"):
        sys.exit(f"join.py: a node did not start: {line!r}")
    return line


def timed(command):
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return (time.monotonic() - began) * 1000, done


def measure(name, command, runs):
    walls, elapsed = [], []
    for _ in range(runs):
        wall_ms, done = timed(command)
        report = json.loads(done.stdout)
        if report["status"] != "joined":
            sys.exit(f"join.py: {name}: not joined: {done.stdout} {done.stderr}")
        walls.append(wall_ms)
        elapsed.append(report["elapsed_ms"])
    print(f"{name:<18} report {statistics.median(elapsed):7.2f} ms   process {statistics.median(walls):7.2f} ms"
          f"   (medians of {runs}, worst {max(elapsed):.2f} and {max(walls):.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--nodes", type=int, default=40)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    children = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            cache = os.path.join(folder, "peers.db")
            first = start_node(options.binary, None, children)
            for _ in range(options.nodes - 1):
                start_node(options.binary, first, children)
            join = [options.binary, "join", "--local", "--json"]
            # One full join with its walk fills the cache; it also waits until the network is well known.
            for _ in range(20):
                done = timed(join + ["--peer", first, "--cache", cache])[1]
                peers = json.loads(subprocess.run([options.binary, "list", "--local", "--json", "--cache", cache],
                                                  capture_output=True, text=True, check=True).stdout)
                if json.loads(done.stdout)["status"] == "joined" and len(peers) >= options.nodes * 3 // 4:
                    break
            else:
                sys.exit("join.py: the network did not form")
            walls = [timed([options.binary, "--version"])[0] for _ in range(options.runs)]
            print(f"{'process floor':<18} {'':17}   process {statistics.median(walls):7.2f} ms")
            measure("cold, one --peer", join + ["--no-walk", "--no-cache", "--peer", first], options.runs)
            measure("warm, cache alone", join + ["--no-walk", "--cache", cache], options.runs)
        finally:
            for child in children:
                child.send_signal(signal.SIGTERM)
            for child in children:
                child.wait(timeout=10)


if __name__ == "__main__":
    main()
