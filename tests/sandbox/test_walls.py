"""From inside a real box: pip through the index proxy, and attempts that must reach nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pip
import pytest
import uv
from pydantic import SecretStr

from regreen.guard.doors.forwarding import forwarding
from regreen.guard.gateway import CompletionGateway, GatewaySettings
from regreen.guard.index.proxy import IndexGrant, IndexProxy
from regreen.guard.index.settings import IndexSettings
from regreen.guard.walls import WallPolicy, spec_for
from regreen.sandbox.base import BoxSpec, ExecResult, Mount, Sandbox
from regreen.sandbox.namespace import NamespaceProvider

PYTHON = os.path.realpath(sys.executable)
PIP = (Path(pip.__file__).parent, "/opt/pip/pip")
UV = (Path(uv.find_uv_bin()), "/opt/uv")
SECRET = "the fix is on line 3"
POLICY = WallPolicy(index="proxy")


def wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        made.writestr(f"{name}.py", f"version = '{version}'\n")
        made.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")


Story = Callable[[Sandbox, IndexGrant, IndexProxy], Awaitable[Any]]


@pytest.fixture
def walled(
    runner: asyncio.Runner, boxes: NamespaceProvider, lower: Path, tmp_path: Path
) -> Callable[[Story], Any]:
    """Run a story in an act box whose only way out is the proxy of a directory of wheels."""
    house = tmp_path / "house"
    house.mkdir()
    for name, version in (("leftpad", "1.0"), ("leftpad", "2.0"), ("target", "9.9")):
        wheel(house, name, version)

    def run(story: Story) -> Any:
        async def main() -> Any:
            settings = IndexSettings(
                upstream=str(house), cache=tmp_path / "cache", log=tmp_path / "log.jsonl"
            )
            async with IndexProxy(settings) as proxy:
                grant = await proxy.grant("r#1", ["target"])
                spec = BoxSpec(
                    mounts=(Mount(target="/testbed", lowers=(lower,)),),
                    binds=(PIP, UV),
                    env={"PYTHONPATH": "/opt/pip", "PYTHONDONTWRITEBYTECODE": "1"},
                )
                box = await boxes.create(spec_for("act", spec, POLICY, grant))
                try:
                    async with forwarding(box, grant):
                        return await story(box, grant, proxy)
                finally:
                    await box.close()

        return runner.run(main())

    return run


async def install(box: Sandbox, *words: str) -> ExecResult:
    argv = [PYTHON, "-m", "pip", "install", "--no-compile", "--target", "/tmp/site", *words]
    return await box.exec(argv, timeout=60)


def test_pip_installs_what_is_allowed_and_not_the_target(
    walled: Callable[[Story], Any], tmp_path: Path
) -> None:
    async def story(box: Sandbox, grant: IndexGrant, proxy: IndexProxy) -> Any:
        done = await install(box, "leftpad==1.0")
        refused = await install(box, "target")
        told = grant.news()
        code = "import sys; sys.path.insert(0, '/tmp/site'); import leftpad; print(leftpad.version)"
        seen = await box.exec([PYTHON, "-c", code])
        return done, refused, told, seen.stdout, proxy.incidents("r#1")

    done, refused, told, seen, incidents = walled(story)

    assert done.exit_code == 0, done.stderr.decode()
    assert seen == b"1.0\n"
    assert refused.exit_code != 0
    assert len(told) == 1
    assert "'target'" in told[0]
    assert [(one.layer, one.blocked, one.confirmed) for one in incidents] == [("wall", True, True)]
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(row["decision"], row["project"]) for row in rows] == [
        ("allow", "leftpad"),
        ("allow", "leftpad"),
        ("refuse", "target"),
    ]


def test_uv_installs_what_is_allowed_and_not_the_target(walled: Callable[[Story], Any]) -> None:
    async def story(box: Sandbox, grant: IndexGrant, _: IndexProxy) -> Any:
        argv = ["/opt/uv", "pip", "install", "--no-cache", "--python", PYTHON, "--target", "/tmp/u"]
        done = await box.exec([*argv, "leftpad==1.0"])
        refused = await box.exec([*argv, "target"])
        return done, refused, grant.news(), grant.token

    done, refused, told, token = walled(story)

    assert done.exit_code == 0, done.stderr.decode()
    assert refused.exit_code != 0
    assert b"403" in refused.stderr
    assert token.encode() not in done.stderr + refused.stderr
    assert len(told) == 1


def test_a_box_asks_a_model_and_never_sees_the_key(
    runner: asyncio.Runner, boxes: NamespaceProvider, services: dict[str, str]
) -> None:
    ask = (
        "import json, os, urllib.request as u\n"
        "head = {'Authorization': 'Bearer ' + os.environ['OPENAI_API_KEY']}\n"
        "url = os.environ['OPENAI_BASE_URL'] + '/models'\n"
        "print(u.urlopen(u.Request(url, headers=head)).read().decode())\n"
    )
    settings = GatewaySettings(
        base_url=f"http://127.0.0.1:{services['PORT']}/v1", api_key=SecretStr("the-real-key")
    )

    async def main() -> Any:
        async with CompletionGateway(settings) as gateway:
            grant = await gateway.grant("r#1")
            policy = WallPolicy(gateway="completions")
            box = await boxes.create(spec_for("act", BoxSpec(workdir="/tmp"), policy, grant))
            try:
                async with forwarding(box, grant):
                    answer = await box.exec([PYTHON, "-c", ask])
                    hunt = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; ls -R /run"
                    return answer, await box.exec(["sh", "-c", hunt])
            finally:
                await box.close()

    answer, hunted = runner.run(main())

    assert answer.stdout.decode().strip() == SECRET, answer.stderr.decode()
    assert b"the-real-key" not in hunted.stdout
    assert b"OPENAI_BASE_URL=http://127.0.0.1:3142/v1" in hunted.stdout


def test_the_forwarder_comes_back(walled: Callable[[Story], Any]) -> None:
    async def story(box: Sandbox, grant: IndexGrant, _: IndexProxy) -> Any:
        await box.exec(["sh", "-c", "kill -9 $(pgrep -f forward.py)"])
        for _try in range(100):
            done = await box.exec(["sh", "-c", f"{PYTHON} -c '{CONNECT}'"])
            if done.exit_code == 0:
                return True
            await asyncio.sleep(0.05)
        return False

    assert walled(story)


CONNECT = 'import socket; socket.create_connection(("127.0.0.1", 3141))'


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Services of the host: TCP on every address of both families, an abstract socket, a file's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SECRET.encode())

        do_CONNECT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Six(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    web = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
    found = {"PORT": str(web.server_port), "PORT6": "9"}
    six = None
    if socket.has_ipv6:
        six = Six(("::1", 0), Handler)
        threading.Thread(target=six.serve_forever, args=(0.01,), daemon=True).start()
        found["PORT6"] = str(six.server_port)
    listeners = []
    for key, address in (("ABSTRACT", f"\0regreen-{os.getpid()}"), ("SOCKET", str(tmp_path / "s"))):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
        listeners.append(listener)
        found[key] = address.replace("\0", "")
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", 0))
    found["UDP"] = str(udp.getsockname()[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found["HOST"] = probe.getsockname()[0]
        except OSError:
            found["HOST"] = "127.0.0.1"
    yield found
    udp.setblocking(False)
    with pytest.raises(BlockingIOError):
        udp.recv(10)
    udp.close()
    for server in filter(None, (web, six)):
        server.shutdown()
        server.server_close()
    for listener in listeners:
        listener.close()


# Each prints what it got; the variables PORT and so on name services that are alive on the host.
ATTEMPTS = {
    "public address": "tcp('1.1.1.1', 443)",
    "public name": "tcp('pypi.org', 443)",
    "public IPv6": "tcp('2606:4700:4700::1111', 443)",
    "metadata": "tcp('169.254.169.254', 80)",
    "metadata by IPv6": "tcp('fd00:ec2::254', 80)",
    "host by loopback": "web('127.0.0.1', E['PORT'])",
    "host by its address": "web(E['HOST'], E['PORT'])",
    "host by any address": "web('0.0.0.0', E['PORT'])",
    "host by mapped IPv6": "web('::ffff:127.0.0.1', E['PORT'])",
    "host by IPv6 loopback": "web('::1', E['PORT6'])",
    "host by a bridge": "web('172.17.0.1', E['PORT'])",
    "host by its name": "web(socket.gethostname(), E['PORT'])",
    "name of the container host": "web('host.docker.internal', E['PORT'])",
    "resolver of the system": "print('GOT', socket.getaddrinfo('example.org', 80))",
    "resolver by hand": "dns('8.8.8.8')",
    "resolver of the host": "dns('127.0.0.53')",
    "datagrams to the host": "udp('127.0.0.1', E['UDP'], b'leak')",
    "datagrams to its address": "udp(E['HOST'], E['UDP'], b'leak')",
    "broadcast": "udp('255.255.255.255', E['UDP'], b'leak')",
    "multicast": "udp('224.0.0.251', 5353, b'leak')",
    "abstract socket": "unix('\\0' + E['ABSTRACT'])",
    "socket file": "unix(E['SOCKET'])",
    "docker": "unix('/var/run/docker.sock')",
    "podman": "unix('/run/podman/podman.sock')",
    "D-Bus": "unix('/run/dbus/system_bus_socket')",
    "another rollout's socket": "unix(E['OTHER'])",
    "another rollout's socket by proc": "unix('/proc/1/root' + E['OTHER'])",
    "the host's directory of sockets": "flag(os.listdir(os.path.dirname(E['OTHER'])))",
    "raw packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3); print('GOT')",
    "raw IP": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print('GOT')",
    "ping": "flag(socket.socket(2, 2, 1).sendto(b'\\x08' + bytes(7), ('1.1.1.1', 0)))",
    "vsock": "s = socket.socket(40, socket.SOCK_STREAM); s.connect((2, 22)); print('GOT')",
    "kernel crypto sockets": "socket.socket(38, socket.SOCK_SEQPACKET); print('GOT')",
    "a new interface": "netlink(16, link())",
    "a route": "netlink(24, b'\\2\\0\\0\\0\\xfe\\3\\0\\1' + number(0) + attribute(4, number(1)))",
    "a new address": "netlink(20, b'\\2\\x18\\0\\0' + number(1) + attribute(2, b'\\n\\0\\0\\2'))",
    "another namespace": "flag(not ctypes.CDLL(None).unshare(0x50000000))",
    "the namespace of PID 1": "flag(not ctypes.CDLL(None).setns(os.open('/proc/1/ns/net', 0), 0))",
    "a tunnel device": "os.open('/dev/net/tun', os.O_RDWR); print('GOT')",
    "interfaces besides loopback": "flag({name for _, name in socket.if_nameindex()} - {'lo'})",
    "routes": "flag(len(open('/proc/net/route').readlines()) > 1)",
    "the proxy as a proxy": "own('GET http://127.0.0.1:' + E['PORT'] + '/ HTTP/1.1')",
    "a tunnel through the proxy": "own('CONNECT 127.0.0.1:' + E['PORT'] + ' HTTP/1.1')",
    "the proxy with another host": "own('GET /simple/target/ HTTP/1.1', name='pypi.org')",
    "the proxy's files": "own('GET /files/target/target-9.9-py3-none-any.whl HTTP/1.1')",
    "the socket without the forwarder": "own('GET /simple/target/ HTTP/1.1', host=DOOR)",
    "the other rollout's token": "own('GET /simple/leftpad/ HTTP/1.1', token=E['TOKEN'])",
}
PRELUDE = """
import base64, ctypes, os, socket, struct, sys, urllib.parse
E = os.environ
socket.setdefaulttimeout(2)
def say(data):
    print('GOT', data) if data else None
def tcp(host, port):
    socket.create_connection((host, int(port))); print('GOT a connection')
DOOR = '/run/regreen-doors-index/socket'
def flag(value):
    say(repr(value) if value else '')
def number(value):
    return struct.pack('=i', value)
def link():
    kind = attribute(18, attribute(1, b'dummy\\0'))
    return struct.pack('=BxHiII', 0, 0, 0, 1, 1) + attribute(3, b'd9\\0') + kind
def own(line, host='127.0.0.1', **more):
    web(host, 3141, line, **more)
def web(host, port, line='GET / HTTP/1.1', name='x', token=None):
    token = token or urllib.parse.urlsplit(E['PIP_INDEX_URL']).password
    if host == DOOR:
        s = socket.socket(socket.AF_UNIX); s.connect(host)
    else:
        s = socket.create_connection((host, int(port)))
    basic = base64.b64encode(('x:' + token).encode()).decode()
    head = (line, 'Host: ' + name, 'Authorization: Basic ' + basic, 'Connection: close', '', '')
    s.sendall('\\r\\n'.join(head).encode())
    data = b''.join(iter(lambda: s.recv(65536), b''))
    print(data.decode()) if data.startswith((b'HTTP/1.1 403', b'HTTP/1.1 400')) else say(data)
def udp(host, port, data):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.sendto(data, (host, int(port)))
    say(s.recv(100))
def dns(host):
    query = bytes.fromhex('abcd01000001000000000000') + b'\\x07example\\x03org\\0\\0\\1\\0\\1'
    udp(host, 53, query)
def unix(path):
    s = socket.socket(socket.AF_UNIX); s.connect(path); print('GOT a connection')
def attribute(kind, data):
    return struct.pack('=HH', 4 + len(data), kind) + data + bytes(-len(data) % 4)
def netlink(kind, body):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    s.send(struct.pack('=IHHII', 16 + len(body), kind, 0x605, 1, 0) + body)
    error = struct.unpack('=i', s.recv(4096)[16:20])[0]
    print('GOT' if error == 0 else 'error %d' % error)
"""


ALIVE = (
    "host by loopback",
    "host by its address",
    "host by mapped IPv6",
    "abstract socket",
    "socket file",
    "another rollout's socket",
)
"""Attempts that succeed on the host, which shows that they would in a box without walls."""
MISTAKES = ("NameError", "SyntaxError", "KeyError", "TypeError", "AttributeError", "struct.error")


def script(names: tuple[str, ...]) -> str:
    """A program that makes the attempts one after the other and tells what each got."""
    chosen = {name: ATTEMPTS[name] for name in names}
    loop = (
        "import contextlib, io, json",
        "found = {}",
        f"for name, code in {chosen!r}.items():",
        "    out = io.StringIO()",
        "    with contextlib.redirect_stdout(out):",
        "        try:",
        "            exec(code)",
        "        except BaseException as error:",
        "            print(type(error).__name__, error)",
        "    found[name] = out.getvalue()",
        "print(json.dumps(found))",
    )
    return "\n".join((PRELUDE, *loop))


def test_nothing_else_is_within_reach(
    walled: Callable[[Story], Any], services: dict[str, str]
) -> None:
    async def story(box: Sandbox, grant: IndexGrant, proxy: IndexProxy) -> Any:
        other = await proxy.grant("r#2", [])
        env = services | {"OTHER": str(other.socket), "TOKEN": other.token}
        argv = [PYTHON, "-c", script(tuple(ATTEMPTS))]
        done = await box.exec(argv, env=env, timeout=120)
        assert done.exit_code == 0, done.stderr
        host = await asyncio.create_subprocess_exec(
            PYTHON, "-c", script(ALIVE), env={**os.environ, **env, **grant.env}, stdout=-1
        )
        outside, _ = await host.communicate()
        listed = (await box.exec(["ls", "/run"])).stdout
        return json.loads(done.stdout), json.loads(outside), listed, proxy.incidents("r#1")

    found, outside, listed, incidents = walled(story)

    got = {name for name, said in found.items() if "GOT" in said or SECRET in said}
    assert got == set()
    assert [said for said in found.values() if said.startswith(MISTAKES)] == []
    assert [name for name in ALIVE if "GOT" not in outside[name]] == []
    assert len(found) >= 40
    assert sorted(listed.split()) == [b"regreen", b"regreen-doors", b"regreen-doors-index"]
    assert [one.rule.rpartition(".")[2] for one in incidents] == [
        *("elsewhere", "elsewhere", "subject", "subject", "subject")
    ]


def test_the_file_system_of_the_door_cannot_be_changed(walled: Callable[[Story], Any]) -> None:
    script = (
        "rm -f /run/regreen-doors-index/socket; echo x > /run/regreen-doors/forward.py;"
        " chmod 777 /run/regreen-doors-index/socket; mv /run/regreen-doors /tmp/x;"
        " touch /run/x; ls /run/regreen-doors-index"
    )

    async def story(box: Sandbox, _: IndexGrant, __: IndexProxy) -> Any:
        done = await box.exec(["sh", "-c", script])
        return done.stdout, (await box.exec([PYTHON, "-c", CONNECT])).exit_code

    assert walled(story) == (b"socket\n", 0)
