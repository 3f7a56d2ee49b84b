"""A node in the background that serves HTTP, for tests that look into it."""
import json
import socket

from harness import WAIT_S, Node


class Serving:
    """`peercache run --http` on loopback with its events as JSON, asked over plain sockets."""

    def __init__(self, place, *arguments, http='127.0.0.1:0', kind=Node):
        self.node = kind(place, '--json', '--http', http, *arguments)
        self.events = [json.loads(self.node.addr)]
        self.where = self.event('http')['addr']
        self.addr = self.event('listening')['addr']

    def event(self, name):
        """The next event of this name, or one that was read already."""
        for event in self.events:
            if event['event'] == name:
                return event
        while True:
            self.events.append(json.loads(self.node.line()))
            if self.events[-1]['event'] == name:
                return self.events[-1]

    def connect(self):
        if self.where.startswith('unix:'):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(WAIT_S)
            s.connect(self.where[5:])
            return s
        host, port = self.where.rsplit(':', 1)
        return socket.create_connection((host.strip('[]'), int(port)), timeout=WAIT_S)

    def get(self, path, *headers):
        """(status, body)"""
        lines = ['GET %s HTTP/1.1' % path, 'Host: localhost', *headers, '', '']
        with self.connect() as s:
            s.sendall('\r\n'.join(lines).encode())
            data = b''
            while True:
                more = s.recv(65536)
                if not more:
                    break
                data += more
        head, body = data.split(b'\r\n\r\n', 1)
        return int(head.split()[1]), body.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.node.__exit__()
