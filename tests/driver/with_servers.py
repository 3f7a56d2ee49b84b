"""Runs a test program of the driver with real servers beside it, all on loopback and on free ports: nginx, plain and
with TLS, dnsmasq, and two small ones of our own for what a sound server never does. The program learns of them by its
environment and speaks TAP itself. Arguments: the program, the directory of the vectors. Every server is bound to this
process: none outlives it."""
import contextlib
import gzip
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))

from harness import Skip  # noqa: E402 pylint: disable=wrong-import-position
from servers import (IP6, RawServer, closed_port, die_with_parent, free_port, listen,  # noqa: E402 pylint: disable=wrong-import-position
                     make_certificates, on_free_ports, run_dnsmasq, run_nginx, silent_socket, write)

PROGRAM_S = 100.0
FILE_BYTES_MAX = 4 * 1024 * 1024


def make_files(place, vectors):
    """What nginx serves: the vectors, and files of awkward sizes."""
    formats = os.path.join(place, 'files', 'formats')
    shutil.copytree(vectors, formats)
    files = os.path.join(place, 'files')
    rng = random.Random(7)
    write(files, 'limit.bin', rng.randbytes(FILE_BYTES_MAX))
    write(files, 'over.bin', rng.randbytes(FILE_BYTES_MAX + 1))
    write(files, 'rubbish.bin', rng.randbytes(5 * 1024 * 1024))
    write(files, 'bomb.gz', gzip.compress(bytes(256 * 1024 * 1024), 9))
    write(files, 'limit.gz', gzip.compress(bytes(FILE_BYTES_MAX), 9))
    write(files, 'over.gz', gzip.compress(bytes(FILE_BYTES_MAX + 1), 9))
    write(files, 'not.gz', b'this is no gzip')
    write(files, 'slow.txt', b'x' * 4000)
    write(files, 'empty.txt', b'')
    write(files, 'many.txt', ''.join('/ip4/192.0.%d.%d/udp/4001/quic-v1\n' % (i // 250, i % 250 + 1) for i in range(5000)))
    write(files, 'cut.json', b'{"peers":["/ip4/192.0.2.1/udp/4001/quic-v1","/ip4/192.')
    write(files, 'page.html', b'<!DOCTYPE html><html><body>It works!</body></html>')
    write(files, 'no-peers.json', b'{"peers":[]}')


PLAIN_SERVER = '''
    server {
%(plain)s
        root %(place)s/files;
        location /zipped/ { alias %(place)s/files/; gzip on; gzip_min_length 1; gzip_types *; }
        location /as-gzip/ { alias %(place)s/files/; default_type application/json; add_header Content-Encoding gzip; }
        location /counted/ { alias %(place)s/files/; access_log %(place)s/access.log; }
        location /slow/ { alias %(place)s/files/; limit_rate 1000; }
        location /500 { return 500 "no\\n"; }
        location /503 { return 503; }
        location /204 { return 204; }
        location /304 { return 304; }
        location /one { return 302 /formats/text.txt; }
        location /relative { return 307 "formats/text.txt"; }
        location /two { return 301 /one; }
        location /three { return 303 /two; }
        location /four { return 308 /three; }
        location /loop { return 302 /loop; }
        location /to-file { return 302 "file:///etc/passwd"; }
        location /to-ftp { return 302 "ftp://127.0.0.1/x"; }
        location /to-nothing { return 302 "http://"; }
        location /to-password { return 302 "http://user:word@127.0.0.1:%(http)d/one"; }
        location /to-name { return 302 "http://endpoint.test:%(http)d/formats/text.txt"; }
        location /to-no-name { return 302 "http://missing.test:%(http)d/"; }
        location /to-tls { return 302 "https://127.0.0.1:%(tls)d/formats/text.txt"; }
        location /to-echo { add_header Set-Cookie "a=b"; return 302 "http://127.0.0.1:%(raw)d/echo"; }
    }
'''
TLS_SERVER = '''
    server {
        %(listen)s
        ssl_certificate %(place)s/%(name)s.pem;
        ssl_certificate_key %(place)s/%(name)s.key;
        ssl_protocols %(protocols)s;
        ssl_ciphers DEFAULT:@SECLEVEL=0;
        root %(place)s/files;
        location /to-plain { return 302 "http://127.0.0.1:%(http)d/formats/text.txt"; }
    }
'''


def start_nginx(stack, place, ports):
    ports['http'] = free_port()
    servers = ''
    for name, port, protocols in (('good', 'tls', 'TLSv1.2 TLSv1.3'), ('self', 'tls_self', 'TLSv1.3'),
                                  ('expired', 'tls_expired', 'TLSv1.3'), ('other', 'tls_other', 'TLSv1.3'),
                                  ('good', 'tls_old', 'TLSv1.1')):
        ports[port] = free_port()
        servers += TLS_SERVER % {'listen': listen(ports[port], ' ssl'), 'place': place, 'name': name,
                                 'http': ports['http'], 'protocols': protocols}
    plain = PLAIN_SERVER % {'place': place, 'plain': listen(ports['http']), 'http': ports['http'], 'tls': ports['tls'],
                            'raw': ports['raw']}
    run_nginx(stack, place, plain + servers, ports['http'])


# ----- HTTP that no sound server speaks -----

ANSWERS = {
    '/cut': b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"peers":[',
    '/cut-chunked': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    '/cut-headers': b'HTTP/1.1 200 OK\r\nContent-Le',
    '/nothing': b'',
    '/garbage': b'SSH-2.0-OpenSSH_9.2\r\n\x00\x01\x02\r\n',
    '/http09': b'/ip4/127.0.0.1/udp/1/quic-v1\n',
    '/announced': b'HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n',
    '/one-peer': b'HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n/ip4/192.0.2.1/udp/4001/quic-v1\r\n',
    '/to-close': b'HTTP/1.0 200 OK\r\n\r\nuntil the end',
    '/early': b'HTTP/1.1 103 Early Hints\r\nLink: x\r\nETag: "early"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    '/trailers': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "h"\r\n\r\n2\r\nok\r\n0\r\nETag: "t"\r\n\r\n',
    '/206': b'HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nok',
    '/302': b'HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n',
    '/encoding': b'HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 2\r\n\r\nok',
    '/headers-odd': b'HTTP/1.1 200 OK\r\nETag: "%s"\r\nLast-Modified: a\tb\r\nDate: yesterday\r\nContent-Length: 2\r\n\r\nok'
                    % (b'e' * 300),
    '/date': b'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok',
    '/error-endless': b'HTTP/1.1 500 No\r\n\r\n',
    '/redirect-endless': b'HTTP/1.1 302 Found\r\nLocation: /to-close\r\n\r\n',
    '/long-location': b'HTTP/1.1 302 Found\r\nLocation: /%s\r\nContent-Length: 0\r\n\r\n' % (b'l' * 4000),
}


def endless(connection, data, pause_s=0.0):
    while True:  # until the other side goes
        connection.sendall(data)
        time.sleep(pause_s)


def answer_raw(place, path, request, connection):
    """By path; some go on for as long as the other side listens."""
    if path == '/echo':
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(request) + request)
    elif path == '/drip':
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
        endless(connection, b'x', 0.05)
    elif path == '/silence':
        connection.recv(1)
    elif path == '/once-allowed':  # silent until the test has made that file
        if os.path.exists(os.path.join(place, 'allowed')):
            connection.sendall(ANSWERS['/one-peer'])
        else:
            connection.recv(1)
    elif path == '/endless-headers':
        connection.sendall(b'HTTP/1.1 200 OK\r\n')
        endless(connection, b'X-More: %s\r\n' % (b'm' * 1000))
    elif path == '/endless-empty-gzip':
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n'
                           b'\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03')
        endless(connection, b'\x00\x00\x00\xff\xff' * 4096)
    elif path == '/reset':
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx')
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    else:
        connection.sendall(ANSWERS[path])
        if path.endswith('-endless'):
            endless(connection, b'x' * 4096)


# ----- DNS -----

def start_dnsmasq(stack, place, ports):
    big = ''.join('txt-record=big.test,"dnsaddr=/ip4/192.0.2.%d/udp/4001/quic-v1/p2p/%s"\n' % (i, 'Q' * 150)
                  for i in range(40))
    many = ''.join('txt-record=many.test,"dnsaddr=/ip4/192.0.2.1/udp/%d"\n' % i for i in range(1, 101))
    crowd = ''.join('host-record=crowd.test,192.0.2.%d\n' % i for i in range(1, 31))
    ports['dns'] = run_dnsmasq(stack, place, '''
host-record=endpoint.test,127.0.0.1%(also6)s
host-record=four.test,127.0.0.1
host-record=six.test,2001:db8::6
host-record=both.test,192.0.2.1,2001:db8::1
host-record=dead-first.test,127.0.0.77
host-record=dead-first.test,127.0.0.1
cname=alias.test,both.test
txt-record=_dnsaddr.boot.test,"dnsaddr=/ip4/192.0.2.1/udp/4001/quic-v1"
txt-record=_dnsaddr.boot.test,"dnsaddr=/ip6/2001:db8::1/udp/4001/quic-v1"
txt-record=_dnsaddr.boot.test,"unrelated"
txt-record=joined.test,"dnsaddr=/ip4/192.0.2.1","/udp/4001","/quic-v1"
txt-record=empty.test,""
%(big)s%(many)s%(crowd)s
server=/odd/127.0.0.1#%(dns_odd)d
''' % {'big': big, 'many': many, 'crowd': crowd, 'also6': ',::1' if IP6 else '', 'dns_odd': ports['dns_odd']})


class OddDns(threading.Thread):
    """A name server over UDP for what dnsmasq never does; by the first label of the name."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    @staticmethod
    def question(data):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]])
            at += 1 + data[at]
        return labels, struct.unpack('>H', data[at + 1:at + 3])[0], data[12:at + 5]

    def answer(self, data):
        labels, kind, question = self.question(data)
        first = labels[0].decode()

        def head(flags, answers=0):
            return data[:2] + struct.pack('>HHHHH', flags, 1, answers, 0, 0) + question
        a_record = b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 60, 4) + bytes([192, 0, 2, 9])
        if first == 'servfail':
            return head(0x8182)
        if first == 'refused':
            return head(0x8185)
        if first == 'garbage':
            return data[:2] + b'\x81\x80' + b'\xff' * 40
        if first == 'short':
            return data[:5]
        if first == 'wrong-id':
            return bytes([data[0] ^ 1]) + head(0x8180, 1)[1:] + a_record
        if first == 'a-only':
            return head(0x8180, 1) + a_record if kind == 1 else None
        if first == 'a-and-servfail':
            return head(0x8180, 1) + a_record if kind == 1 else head(0x8182)
        if first == 'nothing-and-servfail':
            return head(0x8180) if kind == 1 else head(0x8182)
        if first == 'truncated':  # and there is nobody on TCP
            return head(0x8380)
        if first == 'self-pointer':
            at = len(head(0))
            return head(0x8180, 1) + struct.pack('>H', 0xc000 | at) + a_record[2:]
        if first == 'cut-record':
            return head(0x8180, 1) + a_record[:-2]
        if first == 'nul-text':
            texts = [b'\x05ab\x00cd', b'\x03abc']
            return head(0x8180, 2) + b''.join(b'\xc0\x0c' + struct.pack('>HHIH', 16, 1, 60, len(t)) + t for t in texts)
        if first in ('long-text', 'longer-text'):  # 1,024 bytes, and one more
            text = (b'\xff' + b'a' * 255) * 4 + (b'\x04aaaa' if first == 'long-text' else b'\x05aaaaa')
            return head(0x8180, 1) + b'\xc0\x0c' + struct.pack('>HHIH', 16, 1, 60, len(text)) + text
        if first == 'cut-text':
            return head(0x8180, 1) + b'\xc0\x0c' + struct.pack('>HHIH', 16, 1, 60, 4) + b'\x09abc'
        return None  # silence

    def run(self):
        while True:
            data, source = self.socket.recvfrom(4096)
            answer = self.answer(data)
            if answer is not None:
                self.socket.sendto(answer, source)


# ----- all together -----

def run_program(program, vectors, place, stack):
    make_certificates(place)
    make_files(place, vectors)
    raw = RawServer(lambda path, request, connection: answer_raw(place, path, request, connection))
    stack.callback(raw.server_close)
    threading.Thread(target=raw.serve_forever, daemon=True).start()
    ports = {
        'raw': raw.port, 'dns_odd': OddDns().port,
        'dns_silent': silent_socket(stack, socket.SOCK_DGRAM), 'silent': silent_socket(stack, socket.SOCK_STREAM),
    }
    on_free_ports(lambda: start_nginx(stack, place, ports))
    on_free_ports(lambda: start_dnsmasq(stack, place, ports))
    ports['closed'] = closed_port(stack)
    environment = dict(os.environ, PLACE=place, HAS_IP6='1' if IP6 else '',
                       # what must not be heeded
                       http_proxy='http://127.0.0.1:%d' % ports['closed'], all_proxy='http://127.0.0.1:%d' % ports['closed'],
                       https_proxy='http://127.0.0.1:%d' % ports['closed'], SSL_CERT_FILE='/nowhere', HOME=place)
    environment.update({'PORT_' + name.upper(): str(port) for name, port in ports.items()})
    write(place, '.netrc', 'machine 127.0.0.1 login somebody password secret\n')
    return subprocess.run([program], env=environment, stdin=subprocess.DEVNULL, timeout=PROGRAM_S, check=False,
                          preexec_fn=die_with_parent).returncode


def main():
    program, vectors = sys.argv[1:3]
    place = os.path.realpath(tempfile.mkdtemp(prefix='peercache-test-'))
    try:
        with contextlib.ExitStack() as stack:
            return run_program(program, vectors, place, stack)
    except Skip as why:
        if os.environ.get('CI'):
            print('1..1\nnot ok 1 - the servers may not be missing in CI\n# %s' % why)
            return 1
        print('1..0 # SKIP %s' % why)
        return 0
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
