"""What the benchmarks share: a local network of real peercache nodes, each a process, and runs of the command."""
import contextlib
import json
import signal
import subprocess
import sys
import time


def start_node(binary, peer, children):
    command = [binary, "run", "--local", "--no-cache"]
    if peer:
        command += ["--peer", peer]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    children.append(child)
    line = child.stdout.readline().strip()
    if not line.startswith("/"):
        sys.exit(f"a node did not start: {line!r}")
    return line


@contextlib.contextmanager
def network(binary, count):
    """The multiaddrs of so many nodes, all joined through the first; they end with the block."""
    children = []
    try:
        first = start_node(binary, None, children)
        yield [first] + [start_node(binary, first, children) for _ in range(count - 1)]
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(timeout=20)


def timed(command):
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return (time.monotonic() - began) * 1000, done


def report_of(done):
    try:
        return json.loads(done.stdout)
    except ValueError:
        sys.exit(f"no report: {done.stdout} {done.stderr}")
