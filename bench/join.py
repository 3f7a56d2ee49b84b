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
import statistics
import subprocess
import sys
import tempfile

from network import network, timed


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
    with tempfile.TemporaryDirectory() as folder, network(options.binary, options.nodes) as nodes:
        first = nodes[0]
        cache = os.path.join(folder, "peers.db")
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


if __name__ == "__main__":
    main()
