"""The web pool: what it reads of a page, and all the places that it cannot be led to."""

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import pytest

from workers.context import ToolContext
from workers.errors import ArgumentsRejected, ToolFailed
from workers.pools.web import tools
from workers.pools.web.addresses import Address, AddressPolicy
from workers.pools.web.fetch import FetchedPage, Fetcher
from workers.pools.web.transport import resolve_by_system

_HTML: Final = "Content-Type: text/html; charset=utf-8"
_LOOPBACK_ALLOWED: Final = AddressPolicy(opened=(ip_network("127.0.0.0/8"),))

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Site:
    """A web server on the loopback address. Each path has an answer, which writes what it likes."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        """The head of every request that came."""
        self.connections = 0
        self.port = 0
        self._answers: dict[str, Answer] = {}
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    def answers(self, path: str, answer: Answer) -> None:
        self._answers[path] = answer

    def says(self, path: str, body: str | bytes, *headers: str, status: str = "200 OK") -> None:
        """Answer `path` with a whole page."""
        content = body.encode() if isinstance(body, str) else body

        async def answer(writer: asyncio.StreamWriter) -> None:
            lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers]
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)

        self._answers[path] = answer

    def redirects(self, path: str, location: str) -> None:
        self.says(path, "", f"Location: {location}", status="302 Found")

    def url(self, path: str = "/", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            await self._answers[head.split(" ")[1]](writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, which is what many of these tests are about
        finally:
            writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


def resolver(*answers: Sequence[str]) -> tuple[Callable[[str, int], Awaitable[Sequence[Address]]], list[str]]:
    """A resolver that gives one answer after the other, the last for ever, and the names that it was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        return [ip_address(text) for text in answers[min(len(asked), len(answers)) - 1]]

    return resolve, asked


async def fetch(
    url: str, fetcher: Fetcher | None = None, *, most_characters: int = 8_000, seconds: float = 10
) -> FetchedPage:
    chosen = fetcher or Fetcher(policy=_LOOPBACK_ALLOWED)
    return await chosen.fetch(url, most_characters=most_characters, time_limit=timedelta(seconds=seconds))


# What is read


async def test_a_page_is_read_as_title_and_text_without_scripts_and_markup(site: Site) -> None:
    site.says(
        "/",
        "<html><head><title> Homes &amp;\n gardens </title><style>p {}</style><script>steal()</script></head>"
        "<body><h1>Welcome</h1><p>Three   <b>bed</b>rooms<br>and a garden.</p><template>no</template>"
        "<script>if (a < b) { document.write('<p>no</p>') }</script><svg><title>no</title></svg>"
        "<ul><li>one<li>two</ul></body></html>",
        _HTML,
    )
    page = await fetch(site.url())
    assert page == FetchedPage(
        url=site.url(),
        status=200,
        content_type="text/html; charset=utf-8",
        title="Homes & gardens",
        text="Welcome\nThree bedrooms\nand a garden.\none\ntwo",
        truncated=False,
    )


async def test_plain_text_and_json_come_as_they_are(site: Site) -> None:
    site.says("/plain", "a < b\n  c", "Content-Type: text/plain")
    site.says("/json", '{"a": 1}', "Content-Type: application/json")
    assert (await fetch(site.url("/plain"))).text == "a < b\n  c"
    assert (await fetch(site.url("/json"))).text == '{"a": 1}'


async def test_a_page_that_is_not_there_is_a_result_with_its_status(site: Site) -> None:
    site.says("/", "<p>Gone.</p>", _HTML, status="404 Not Found")
    page = await fetch(site.url())
    assert (page.status, page.text) == (404, "Gone.")


async def test_what_is_not_text_is_refused_before_its_body_is_read(site: Site) -> None:
    site.says("/", b"%PDF" * 100, "Content-Type: application/pdf")
    with pytest.raises(ToolFailed, match="'application/pdf', not text"):
        await fetch(site.url())


async def test_text_is_cut_off_where_the_model_wants_it(site: Site) -> None:
    site.says("/", "<p>" + "word " * 1_000, _HTML)
    page = await fetch(site.url(), most_characters=100)
    assert len(page.text) == 100
    assert page.truncated


async def test_redirects_are_followed_and_the_last_url_is_told(site: Site) -> None:
    site.redirects("/", "/a?b=1#c")
    site.redirects("/a?b=1", site.url("/end"))
    site.says("/end", "<p>Here.</p>", _HTML)
    page = await fetch(site.url())
    assert (page.url, page.text) == (site.url("/end"), "Here.")


async def test_redirects_without_end_are_given_up(site: Site) -> None:
    site.redirects("/", "/")
    with pytest.raises(ToolFailed, match="redirects more than 5 times"):
        await fetch(site.url())
    assert len(site.requests) == 6


# Addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127。0。0。1",
    ],
)
async def test_by_default_no_spelling_of_this_machine_is_reached(site: Site, host: str) -> None:
    site.says("/", "secret", _HTML)
    with pytest.raises(ToolFailed, match=r"is not on the public web|is not known|is not a URL"):
        await fetch(site.url(host=host), Fetcher())
    assert site.connections == 0


async def test_a_host_is_refused_if_any_of_its_addresses_is_private(site: Site) -> None:
    resolve, _ = resolver(["127.0.0.1", "10.0.0.1"])
    with pytest.raises(ToolFailed, match="is not on the public web"):
        await fetch(site.url(host="mixed.test"), Fetcher(policy=_LOOPBACK_ALLOWED, resolve=resolve))
    assert site.connections == 0


async def test_a_name_that_answers_differently_the_second_time_gains_nothing(site: Site) -> None:
    site.says("/", "<p>public</p>", _HTML)
    resolve, asked = resolver(["127.0.0.1"], ["10.0.0.1"])
    page = await fetch(site.url(host="rebinding.test"), Fetcher(policy=_LOOPBACK_ALLOWED, resolve=resolve))
    assert page.text == "public"
    assert asked == ["rebinding.test"]
    assert f"host: rebinding.test:{site.port}" in site.requests[0].lower()


async def test_every_redirect_is_resolved_and_checked_anew(site: Site) -> None:
    site.redirects("/", "/again")
    site.says("/again", "secret", _HTML)
    resolve, asked = resolver(["127.0.0.1"], ["10.0.0.1"])
    with pytest.raises(ToolFailed, match="is not on the public web"):
        await fetch(site.url(host="rebinding.test"), Fetcher(policy=_LOOPBACK_ALLOWED, resolve=resolve))
    assert asked == ["rebinding.test"] * 2
    assert site.connections == 1


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", "is not on the public web"),
        ("//10.0.0.1/", "is not on the public web"),
        ("https://[::1]/", "is not on the public web"),
        ("file:///etc/passwd", "Only http"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "Only http"),
        ("http://user:word@127.0.0.1/", "user name or password"),
    ],
)
async def test_a_redirect_leads_nowhere_that_a_url_may_not(site: Site, location: str, reason: str) -> None:
    site.redirects("/", location)
    with pytest.raises(ToolFailed, match=reason):
        await fetch(site.url())
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", "Only http"),
        ("file:///etc/passwd", "Only http"),
        ("javascript:alert(1)", "Only http"),
        ("/relative", "Only http"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://user@example.com/", "user name or password"),
        ("http://x\\@127.0.0.1/", "user name or password"),
        ("http://\x00/", "is not a URL"),
        ("http://example.com/" + "x" * 3_000, "more than 2048 characters"),
    ],
)
async def test_a_url_that_may_not_be_fetched_is_refused_with_the_reason(url: str, reason: str) -> None:
    resolve, asked = resolver(["127.0.0.1"])
    with pytest.raises(ToolFailed, match=reason):
        await fetch(url, Fetcher(policy=_LOOPBACK_ALLOWED, resolve=resolve))
    assert asked == []


async def test_a_public_address_on_another_port_is_refused() -> None:
    resolve, _ = resolver(["1.1.1.1"])
    with pytest.raises(ToolFailed, match="port 25, is not on the public web"):
        await fetch("http://mail.test:25/", Fetcher(resolve=resolve))


async def test_an_unknown_host_is_said_to_be_unknown() -> None:
    async def resolve(host: str, port: int) -> Sequence[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ToolFailed, match=r"The host 'nowhere.test' is not known"):
        await fetch("http://nowhere.test/", Fetcher(resolve=resolve))


async def test_the_next_address_is_tried_when_one_does_not_answer(site: Site) -> None:
    site.says("/", "<p>second</p>", _HTML)
    policy = AddressPolicy(opened=(ip_network("127.0.0.0/8"), ip_network("::1/128")))
    # Nothing listens on the IPv6 address, whether this machine has one or not.
    resolve, _ = resolver(["::1", "127.0.0.1"])
    assert (await fetch(site.url(host="two.test"), Fetcher(policy=policy, resolve=resolve))).text == "second"


async def test_a_site_that_does_not_answer_is_told_as_such(site: Site) -> None:
    await site.stop()
    with pytest.raises(ToolFailed, match="could not be fetched: ConnectError"):
        await fetch(site.url())


async def test_the_system_resolver_takes_numbers_for_addresses() -> None:
    assert await resolve_by_system("2130706433", 80) == [ip_address("127.0.0.1")]


async def test_proxies_of_the_environment_are_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    site.says("/", "<p>direct</p>", _HTML)
    assert (await fetch(site.url())).text == "direct"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `page.test` and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=page.test "
        "-addext subjectAltName=DNS:page.test -keyout key.pem -out cert.pem".split(" "),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


async def test_tls_is_spoken_and_checked_by_name_though_the_connection_goes_to_an_address(
    site: Site, certificate: Path
) -> None:
    named: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: named.append(name)
    await site.stop()
    await site.start(tls=context)
    site.says("/", "<p>safe</p>", _HTML)
    resolve, _ = resolver(["127.0.0.1"])
    trusting = Fetcher(
        policy=_LOOPBACK_ALLOWED, resolve=resolve, tls=ssl.create_default_context(cafile=str(certificate))
    )

    page = await fetch(site.url(scheme="https", host="page.test"), trusting)
    assert (page.url, page.text) == (site.url(scheme="https", host="page.test"), "safe")
    assert named == ["page.test"]

    with pytest.raises(ToolFailed, match=r"(?i)certificate"):
        await fetch(site.url(scheme="https", host="other.test"), trusting)
    with pytest.raises(ToolFailed, match=r"(?i)certificate"):
        await fetch(site.url(scheme="https", host="page.test"), Fetcher(policy=_LOOPBACK_ALLOWED, resolve=resolve))
    assert len(site.requests) == 1


# Too much, too slow


async def test_a_body_without_end_is_cut_off(site: Site) -> None:
    written = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(f"HTTP/1.1 200 OK\r\n{_HTML}\r\n\r\n<p>".encode())
        while True:
            writer.write(b"word " * 2_000)
            written += 10_000
            await writer.drain()

    site.answers("/", endless)
    page = await fetch(site.url(), Fetcher(policy=_LOOPBACK_ALLOWED, most_bytes=100_000), most_characters=1_000_000)
    assert page.truncated
    assert len(page.text) < 100_000
    assert 100_000 <= written < 100_000_000


async def test_a_body_that_drips_ends_at_the_time_limit(site: Site) -> None:
    dripped = 0

    async def drip(writer: asyncio.StreamWriter) -> None:
        nonlocal dripped
        writer.write(f"HTTP/1.1 200 OK\r\n{_HTML}\r\n\r\n".encode())
        while True:
            writer.write(b".")
            dripped += 1
            await writer.drain()
            await asyncio.sleep(0.01)

    site.answers("/", drip)
    with pytest.raises(ToolFailed, match=r"did not come within 0.5 s"):
        await fetch(site.url(), seconds=0.5)
    assert dripped > 1


async def test_a_resolver_that_hangs_ends_at_the_time_limit() -> None:
    async def resolve(host: str, port: int) -> Sequence[Address]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(ToolFailed, match=r"did not come within 0.1 s"):
        await fetch("http://slow.test/", Fetcher(resolve=resolve), seconds=0.1)


async def test_a_head_without_end_is_refused(site: Site) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Filler: " + b"x" * 1_000 + b"\r\n")
            await writer.drain()

    site.answers("/", endless)
    with pytest.raises(ToolFailed, match="could not be fetched: RemoteProtocolError"):
        await fetch(site.url())


async def test_a_packed_page_is_unpacked(site: Site) -> None:
    site.says("/", gzip.compress(b"<p>small</p>"), _HTML, "Content-Encoding: gzip")
    assert (await fetch(site.url())).text == "small"
    assert "accept-encoding: gzip\r\n" in site.requests[0].lower()


async def test_a_decompression_bomb_is_cut_off_as_any_body_is(site: Site) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"a" * 1_000_000) for _ in range(200)) + packer.flush()
    site.says("/", bomb, "Content-Type: text/plain", "Content-Encoding: gzip")
    assert len(bomb) < 1_000_000
    page = await fetch(site.url(), Fetcher(policy=_LOOPBACK_ALLOWED, most_bytes=1_000_000), most_characters=2_000_000)
    assert len(page.text) == 1_000_000
    assert page.truncated


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "deflate"])
async def test_a_packing_that_was_not_asked_for_is_refused(site: Site, encoding: str) -> None:
    site.says("/", gzip.compress(gzip.compress(b"x")), _HTML, f"Content-Encoding: {encoding}")
    with pytest.raises(ToolFailed, match="packed in a way that is not accepted"):
        await fetch(site.url())


async def test_a_packed_page_that_is_broken_is_refused(site: Site) -> None:
    site.says("/", b"this is not gzip", _HTML, "Content-Encoding: gzip")
    with pytest.raises(ToolFailed, match="packed, and broken"):
        await fetch(site.url())


# Through the tool


@pytest.fixture
def settings_read_anew() -> Iterator[None]:
    tools._fetcher.cache_clear()
    yield
    tools._fetcher.cache_clear()


@pytest.mark.usefixtures("settings_read_anew")
async def test_the_tool_refuses_this_machine(site: Site) -> None:
    with pytest.raises(ToolFailed, match="is not on the public web"):
        await tools.fetch_url(site.url(), context=ToolContext.for_test())
    assert site.connections == 0


@pytest.mark.usefixtures("settings_read_anew")
async def test_an_operator_may_open_networks_by_a_setting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_WEB_ALLOWED_NETWORKS", "127.0.0.0/8, fd12::/16")
    site.says("/", "<p>intranet</p>", _HTML)
    page = await tools.fetch_url(site.url(), context=ToolContext.for_test())
    assert page.text == "intranet"


@pytest.mark.usefixtures("settings_read_anew")
async def test_the_tool_answers_before_its_time_is_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_WEB_ALLOWED_NETWORKS", "127.0.0.0/8")
    hanging = asyncio.Event()

    async def hang(_: asyncio.StreamWriter) -> None:
        hanging.set()
        await asyncio.Event().wait()

    site.answers("/", hang)
    context = ToolContext.for_test(remaining=timedelta(seconds=1))
    with pytest.raises(ToolFailed, match="did not come within"):
        await tools.fetch_url(site.url(), context=context)
    assert hanging.is_set()
    assert context.remaining() > timedelta(0)


def test_a_model_cannot_reach_the_policy_by_an_argument() -> None:
    properties = tools.fetch_url.specification.parameters["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == {"url", "max_characters"}
    with pytest.raises(ArgumentsRejected):
        tools.fetch_url.validate_arguments({"url": "http://127.0.0.1/", "policy": {"opened": ["127.0.0.0/8"]}})
