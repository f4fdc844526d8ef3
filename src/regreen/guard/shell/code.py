"""What code in other languages would fetch or run, read from its tokens.

There is no parser for each of them here, so a literal counts only where the code also names a way
to the network, or a way to run a program.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

__all__ = ["CodeFound", "read_code"]

_NETWORK = re.compile(
    r"""\bfetch\s*\(|\bhttps?\.(get|request)\b|require\(\s*['"](node:)?(https?|net|tls|dgram|dns|http2
    |axios|node-fetch|got|undici|request|superagent)['"]|from\s+['"](node:)?(https?|net|tls|dns|axios
    |node-fetch|got|undici)['"]|\bimport\(\s*['"](node:)?(https?|net|tls|axios)|XMLHttpRequest
    |Net::HTTP|open-uri|URI\.open|\bopen\s*\(?\s*['"]https?:|LWP|IO::Socket|HTTP::Tiny|WWW::|Net::
    |Faraday|HTTParty|TCPSocket|UDPSocket|Socket\b|file_get_contents|curl_init|fsockopen|fopen\s*\(
    |stream_socket_client|copy\s*\(\s*['"]https?|\bsocket\b|/inet6?/|Invoke-WebRequest
    |Invoke-RestMethod|\biwr\b|\birm\b|WebClient|download\.file|readLines\s*\(|\burl\s*\(|httr|RCurl
    |Downloads\.|\bHTTP\.(get|request)|HttpClient|openStream|openConnection|URLConnection|URLSession|:httpc|HTTPoison
    |http\.(Get|Post|Head|NewRequest)|net\.Dial|reqwest|ureq|luasocket|http::geturl|Deno\.connect|Bun\.connect|WebSocket
    |getstore|url-retrieve|simpleHTTP""",
    re.VERBOSE,
)
_RUNS = re.compile(
    r"""child_process|\b(exec|execSync|execFileSync|execFile|spawn|spawnSync)\s*\(|\bsystem\b|\bpopen\b
    |\bqx\b|`|IO\.popen|Open3|os\.execute|io\.popen|shell_exec|passthru|proc_open|\bexec\b|Runtime
    |ProcessBuilder|\bshell\b|:!|(?:^|[|;])\s*!|\|\s*getline|Deno\.(run|Command)|Bun\.spawn|\$`|%x|\bspawn\b|\brun\s*\(
    |^\s*\\!|\be?syscmd\b|do\s+shell\s+script|terminal\(""",
    re.VERBOSE,
)
_LITERAL = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`""", re.DOTALL)
_CONCATENATED = re.compile(r"""(['"`])\s*(?:\+|\.{1,2}|<>)\s*(['"`])""")
_BARE = re.compile(
    r"(?:qx|%x|q|qq)\s*[{(\[/!|]([^})\]/!|]+)[})\]/!|]|(?:^|[\s:|])!\s*([^\n]+)"
    r"|(?:shell|^\s*\.system|\\!|\be?syscmd\(`?|\b(?:exec|spawn))\s*([^\n;\]]+)",
    re.MULTILINE,
)
_BASE64 = re.compile(r"(?:atob|base64_decode|decode_base64|decode64|base64|unpack)", re.IGNORECASE)
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"`<>\\)]+", re.IGNORECASE)
_HOST = re.compile(
    r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?|\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?", re.IGNORECASE
)
_MOST = 100


@dataclass(frozen=True, slots=True)
class CodeFound:
    """What reading gave."""

    addresses: tuple[str, ...] = ()
    """Places it names together with a way to the network."""
    scripts: tuple[str, ...] = ()
    """Literals it may run as a command."""
    words: tuple[str, ...] = ()
    """All literals in a row, as one command."""
    paths: tuple[str, ...] = ()
    """Literals that look like paths."""


def read_code(text: str) -> CodeFound:
    """Read a program in any language."""
    merged = _CONCATENATED.sub("", text)
    literals = [next(filter(None, found), "") for found in _LITERAL.findall(merged)][:_MOST]
    if _BASE64.search(text):
        literals += [decoded for literal in literals if (decoded := _decoded(literal))]
    addresses: list[str] = []
    if _NETWORK.search(text):
        addresses = _ADDRESS.findall(merged)
        for literal in literals:
            addresses += _ADDRESS.findall(literal)
            if _HOST.fullmatch(literal):
                addresses.append(f"//{literal}")
        for found in re.finditer(r"/inet6?/\w+/\w+/([^/\"']+)", merged):
            addresses.append(f"//{found[1]}")
    scripts: list[str] = []
    if _RUNS.search(text):
        scripts = list(literals)
        scripts += [next(filter(None, found), "") for found in _BARE.findall(merged)]
    words = tuple(literals) if _RUNS.search(text) else ()
    paths = tuple(literal for literal in literals if "/" in literal and " " not in literal)
    return CodeFound(tuple(dict.fromkeys(addresses)), tuple(scripts[:_MOST]), words, paths)


def _decoded(literal: str) -> str:
    try:
        return base64.b64decode(literal, validate=True).decode() if len(literal) > 11 else ""
    except ValueError:
        return ""
