"""Real servers for tests, on loopback and on free ports: nginx, plain and with TLS, dnsmasq, and one of our own for what a
sound web server never does. Each is bound to this process: none outlives it."""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import time
import urllib.request

from harness import Skip

START_S = 15.0
TRIES = 3  # somebody else may take a port that was free

# the kernel looks up its own way to loopback: no proxy of the environment is asked
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def tool(name):
    path = shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    if not path:
        raise Skip('no %s on this machine (tools/setup)' % name)
    return path


def has_ip6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


IP6 = has_ip6()


def free_port():
    """A port that is free for TCP and UDP, on each family."""
    for _ in range(100):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            first.bind(('127.0.0.1', 0))
            port = first.getsockname()[1]
            try:
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(('127.0.0.1', port))
                if IP6:
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        stack.enter_context(socket.socket(socket.AF_INET6, kind)).bind(('::1', port))
            except OSError:
                continue
            return port
    raise Skip('no free port')


def silent_socket(stack, kind):
    """Takes what comes and says nothing; connections wait for ever to be accepted. Its port."""
    s = stack.enter_context(socket.socket(socket.AF_INET, kind))
    s.bind(('127.0.0.1', 0))
    if kind == socket.SOCK_STREAM:
        s.listen(64)
    return s.getsockname()[1]


def closed_port(stack):
    """A port of TCP that is bound and not listened on, so that nobody else listens there; on UDP there is nothing."""
    s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    s.bind(('127.0.0.1', free_port()))
    return s.getsockname()[1]


def write(place, name, data):
    with open(os.path.join(place, name), 'wb') as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def start(stack, command, place):
    """A server in the background, which ends with the stack."""
    with open(os.path.join(place, 'servers.log'), 'ab') as log:
        process = subprocess.Popen(command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                                   preexec_fn=die_with_parent)

    def stop():
        process.kill()
        process.wait(timeout=START_S)
    stack.callback(stop)
    return process


def await_port(process, port, place):
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                text = ''
                for name in ('servers.log', 'nginx.log'):
                    if os.path.exists(os.path.join(place, name)):
                        with open(os.path.join(place, name), encoding='utf-8', errors='replace') as log:
                            text += log.read()[-1000:]
                raise RuntimeError('a server did not start: %s' % text) from None
            time.sleep(0.02)


def on_free_ports(start_server):
    """Start a server that takes free ports, again when one of them was taken meanwhile."""
    for attempt in range(1, TRIES + 1):
        try:
            return start_server()
        except RuntimeError:
            if attempt == TRIES:
                raise
    raise AssertionError('unreachable')


# ----- certificates -----

def openssl(place, *arguments):
    subprocess.run([tool('openssl')] + list(arguments), cwd=place, check=True, timeout=30, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(place):
    """ca.pem, and NAME.pem with NAME.key for: good, other (another name), expired; self (of no authority)."""
    openssl(place, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
            '-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.pem')
    names = 'DNS:endpoint.test,DNS:localhost,IP:127.0.0.1,IP:::1'
    for name, alternatives, days in (('good', names, '2'), ('other', 'DNS:other.test', '2'), ('expired', names, '-1')):
        openssl(place, 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                '-subj', '/CN=endpoint', '-keyout', name + '.key', '-out', name + '.csr')
        write(place, name + '.ext', 'subjectAltName=%s\n' % alternatives)
        openssl(place, 'x509', '-req', '-in', name + '.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial',
                '-extfile', name + '.ext', '-out', name + '.pem', '-days', days)
    openssl(place, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
            '-subj', '/CN=endpoint', '-addext', 'subjectAltName=' + names, '-keyout', 'self.key', '-out', 'self.pem')


# ----- nginx -----

NGINX = '''
daemon off;
master_process off;
pid %(place)s/nginx.pid;
error_log %(place)s/nginx.log;
events { worker_connections 256; }
http {
    access_log off;
    log_format fields escape=json '{"uri":"$request_uri","status":$status,"cache_version":"$http_cache_version",'
        '"if_none_match":"$http_if_none_match","if_modified_since":"$http_if_modified_since",'
        '"accept_encoding":"$http_accept_encoding"}';
    client_body_temp_path %(place)s/t1; proxy_temp_path %(place)s/t2; fastcgi_temp_path %(place)s/t3;
    uwsgi_temp_path %(place)s/t4; scgi_temp_path %(place)s/t5;
    types { application/json json; text/plain txt; text/html html; }
    default_type application/octet-stream;
%(servers)s
}
'''


def listen(port, more='', hosts=()):
    """On loopback, and on those IP addresses, an IPv6 one in brackets."""
    everywhere = ['127.0.0.1'] + (['[::1]'] if IP6 else []) + list(hosts)
    return ' '.join('listen %s:%d%s;' % (host, port, more) for host in everywhere)


def run_nginx(stack, place, servers, port):
    """nginx with these server blocks, which answers at `port` when this returns. RuntimeError when it can't."""
    write(place, 'nginx.conf', NGINX % {'place': place, 'servers': servers})
    process = start(stack, [tool('nginx'), '-p', place, '-c', os.path.join(place, 'nginx.conf')], place)
    await_port(process, port, place)


class Web:
    """nginx with a folder of files that tests write to, over http and over https (signed by `ca`), all requests
    logged. `locations` are more of its configuration, in which %(http)d, %(tls)d and %(files)s stand for themselves;
    `hosts` more addresses to listen at."""

    def __init__(self, stack, place, locations='', tls_locations='', hosts=()):
        self.place = os.path.join(place, 'nginx')
        self.files = os.path.join(self.place, 'files')
        self.ca = os.path.join(self.place, 'ca.pem')
        self.http = self.tls = 0
        self.fences = 0
        os.makedirs(self.files)
        make_certificates(self.place)
        on_free_ports(lambda: self._start(stack, locations, tls_locations, hosts))

    def _start(self, stack, locations, tls_locations, hosts):
        self.http, self.tls = free_port(), free_port()
        known = {'http': self.http, 'tls': self.tls, 'files': self.files}
        common = 'root %s; access_log %s/access.log fields; location /fence { return 204; }' % (self.files, self.place)
        run_nginx(stack, self.place, '''
            server { %s %s %s }
            server { %s ssl_certificate %s/good.pem; ssl_certificate_key %s/good.key; %s %s }
        ''' % (listen(self.http, '', hosts), common, locations % known, listen(self.tls, ' ssl', hosts), self.place, self.place, common,
               tls_locations % known), self.http)

    def url(self, path):
        return 'http://127.0.0.1:%d/%s' % (self.http, path)

    def secure_url(self, path):
        return 'https://127.0.0.1:%d/%s' % (self.tls, path)

    def put(self, name, data):
        """A file is replaced at once: its URL."""
        write(self.files, name + '.part', data)
        os.rename(os.path.join(self.files, name + '.part'), os.path.join(self.files, name))
        return self.url(name)

    def log(self, path):
        """All requests for this path so far. nginx has one process, so what was before our own request is written
        when that one is."""
        self.fences += 1
        fence = '/fence?%d' % self.fences
        _OPENER.open(self.url(fence[1:]), timeout=START_S).close()
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with open(os.path.join(self.place, 'access.log'), encoding='utf-8') as file:
                rows = [json.loads(line) for line in file.read().split('\n')[:-1]]
            if any(row['uri'] == fence for row in rows):
                return [row for row in rows if row['uri'] == '/' + path]
            time.sleep(0.01)
        raise RuntimeError('nginx does not log')


# ----- HTTP that no sound server speaks -----

class RawHandler(socketserver.BaseRequestHandler):
    """Calls the server's `answer(path, request, socket)`, then closes."""

    def handle(self):
        request = b''
        while b'\r\n\r\n' not in request:
            data = self.request.recv(65536)
            if not data:
                return
            request += data
        with contextlib.suppress(OSError):  # the other side went away
            self.server.answer(request.split(b' ')[1].decode(), request, self.request)


class RawServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answer, port=0):
        super().__init__(('127.0.0.1', port), RawHandler)
        self.answer = answer

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        pass  # the other side went away


# ----- DNS -----

def run_dnsmasq(stack, place, records):
    """dnsmasq for the names below `test`, with these lines of configuration: its port. RuntimeError when it can't."""
    port = free_port()
    write(place, 'dnsmasq.conf', '''
port=%d
listen-address=127.0.0.1
%s
bind-interfaces
no-resolv
no-hosts
no-daemon
log-queries
log-facility=%s/dnsmasq.log
pid-file=
user=%s
cache-size=0
local=/test/
%s
''' % (port, 'listen-address=::1' if IP6 else '', place, os.environ.get('USER', 'root') if os.getuid() else 'root', records))
    process = start(stack, [tool('dnsmasq'), '-C', os.path.join(place, 'dnsmasq.conf')], place)
    await_port(process, port, place)
    return port
