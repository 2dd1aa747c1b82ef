"""Texts for logs without the secrets in them: passwords, tokens, signatures. In doubt, rather too little is shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

__all__ = ["scrub"]

_GONE = "***"
_SHORTEST = 4  # letters; a shorter secret of a variable would be found in the midst of words
_TOKEN = 12  # letters; a shorter user without a password is a name
_NO_SECRETS = {"true", "false", "none", "null"}

# Addresses. One that is part of another's query is percent-encoded, and the percent signs may be so again.
_PERCENT = "%(?:25)*"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ADDRESS = re.compile(r"(?<=//)(?:(?![A-Za-z0-9+.-]{1,20}://)\S)+")
_ENCODED_ADDRESS = re.compile(
    rf"({_PERCENT}3A(?:{_PERCENT}2F){{2}})(?:(?!{_PERCENT}(?:2F|3F|23))[^\s'\"&])*({_PERCENT}40)", re.IGNORECASE
)
_ENCODED_USER = re.compile(
    rf"(?<![\w%])([\w.~+-]+{_PERCENT}3A)(?:(?!{_PERCENT}(?:2F|3F|23))[^\s'\"&])+({_PERCENT}40)", re.IGNORECASE
)
_WITHOUT_SCHEME = re.compile(
    r"(?<![^\s'\"=,;()\[\]{}<>])(?!(?:mailto|pkg|urn|file|[a-z](?=:[\\/])):)"
    r"([^\s:/'\"=,;()\[\]{}<>]+):(?!//)[^\s'\"]+@(?=[\w\[])",
    re.IGNORECASE,
)
_PORT_AND_PATH = re.compile(r"(?:localhost|[^\s:@/?#]*\.[^\s:@/?#]+|\[[^\s\]]*\]):(\d{1,5})(?=[/?#]|$)")

_HOST_AND_MORE = re.compile(r"(?<!/)@(?:[\w.-]+|\[[^\s\]]*\])(?::\d+(?!\w)|/)")
_TOKEN_FOR_USER = {"", "x-oauth-basic"}  # the passwords that stand behind a token

# Names of what must not be shown: a part of a word will do, or only a whole word.
_PARTS = (
    r"token(?!iz)|secret|passw|passphrase|credential|signature|bearer|userpwd|jwt"
    r"|(?:api|app|access|secret|private|account|shared|storage|subscription|client|consumer|auth|licen[cs]e)[-_.]?key"
)
_WORDS = "auth|oauth|access|key|sig|sas|pw|pwd|pass|pat|hmac|policy|ticket|otp|code|session|sessionid|sid"
_PLAIN = re.compile(_PARTS, re.IGNORECASE)
_NAMES = re.compile(rf"{_PARTS}|(?:^|[^a-z])(?:{_WORDS})(?:$|[^a-z])", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_PARAMETER = re.compile(
    rf"([?&;#]|{_PERCENT}(?:3F|26|3B|23))(?=[\w.~+%\[\]$-]{{0,80}}?(?:{_PARTS}|{_WORDS}|%[4-7][0-9A-F]))"
    rf"([\w.~+%\[\]$-]{{1,80}}?)(=|{_PERCENT}3D)(?:(?!{_PERCENT}26)[^\s&'\"<>])+",
    re.IGNORECASE,
)
_SETTING = re.compile(
    rf"(?<![\w.-])(?=[\w.-]*(?:{_PARTS}|{_WORDS}))([\w.-]*\w)([\"']?\s*[=:]\s*)"
    rf"({_QUOTED}|(?:[^\s&]|&(?![\w.-]+=))+)",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?<!\S)(--?[\w-]+)(\s+)(?:{_QUOTED}|[^\s-]\S*)")

_USER_OPTION = re.compile(r"(?<!\S)(-u|--(?:proxy-)?user)(\s+[\"']?[^\s:\"']+:)[^\s\"']+")
_LOGIN = re.compile(r"(\b(?:login|user)\s+\S+\s+password\s+)\S+", re.IGNORECASE)  # as in .netrc
_HEADER = re.compile(
    r"(authorization|(?:set-)?cookie2?)([\"']\s*,\s*|[\"']?\s*[:=]\s*)((?:b(?=[\"']))?)([\"']?)"
    r"((?:(?:Basic|Bearer|Digest|Negotiate|NTLM|Token|ApiKey|OAuth|Hawk|SharedKey|AWS4-HMAC-SHA256)\s+)?)([^\r\n]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Negotiate|NTLM)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_BASIC = re.compile(r"\b(Basic)\s+([A-Za-z0-9+/_-]{4,}={0,2})", re.IGNORECASE)
_SHAPES = re.compile(
    r"\beyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{15,}"
    r"|\bpypi-[\w-]{30,}|\bhf_[A-Za-z0-9]{25,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
)


def scrub(text: str, environ: Mapping[str, str]) -> str:
    """A text without secrets: those that its form gives away, and those known from variables, wherever they stand.

    Parameters
    ----------
    text : str
        Any number of lines.
    environ : mapping of str to str
        May hold a proxy or an index with a password, or a token.
    """
    for secret in sorted(_secrets(environ), key=len, reverse=True):
        text = text.replace(secret, _GONE)
    text = _HEADER.sub(_header, text)
    text = _ADDRESS.sub(_address, text)
    for encoded in (_ENCODED_ADDRESS, _ENCODED_USER):
        text = encoded.sub(rf"\1{_GONE}\2", text)
    text = _WITHOUT_SCHEME.sub(rf"\1:{_GONE}@", text)
    text = _PARAMETER.sub(_parameter, text)
    text = _SETTING.sub(_setting, text)
    text = _OPTION.sub(lambda found: f"{found[1]}{found[2]}{_GONE}" if _PLAIN.search(found[1]) else found[0], text)
    text = _USER_OPTION.sub(rf"\1\2{_GONE}", text)
    text = _LOGIN.sub(rf"\1{_GONE}", text)
    text = _BEARER.sub(rf"\1 {_GONE}", text)
    text = _BASIC.sub(_basic, text)
    return _SHAPES.sub(_GONE, text)


def _address(found: re.Match[str]) -> str:
    """What stands behind "://", without the user's token or password."""
    rest = found[0]
    end = _end_of_user(rest)
    if not end:
        return rest
    user, _, password = rest[: end - 1].partition(":")
    return f"{_GONE}@{rest[end:]}" if password in _TOKEN_FOR_USER else f"{user}:{_GONE}@{rest[end:]}"


def _end_of_user(rest: str) -> int:
    """Where the host begins, 0 if no user stands before it; a password may hold any sign, those that end a host too."""
    end = 0
    while True:
        tail = rest[end:]
        host = re.split("[/?#]", tail, maxsplit=1)[0]
        if "@" in host:
            end += host.rindex("@") + 1
            continue
        port = _PORT_AND_PATH.match(tail)
        at = tail.rfind("@")
        is_port = port is not None and int(port[1]) < 2**16 and not _HOST_AND_MORE.search(tail)
        if ":" not in host or at < 0 or is_port:
            return end
        end += at + 1


def _parameter(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{found[3]}{_GONE}" if _is_secret(unquote(unquote(found[2])), _NAMES) else found[0]


def _setting(found: re.Match[str]) -> str:
    """A setting as variables, headers, JSON and Python spell them; before a colon prose may stand, too."""
    if not _is_secret(found[1], _NAMES if "=" in found[2] else _PLAIN):
        return found[0]
    mark = found[3][0] if found[3][0] in "\"'" and found[3][0] == found[3][-1] else ""
    return f"{found[1]}{found[2]}{mark}{_GONE}{mark}"


def _is_secret(name: str, names: re.Pattern[str]) -> bool:
    return names.search(name) is not None or names.search(_CAMEL.sub("-", name)) is not None


def _header(found: re.Match[str]) -> str:
    """A header's value up to its end; its kind stays."""
    name, between, kind, mark, scheme, value = found.groups()
    closed = value.find(mark) if mark else -1
    return f"{name}{between}{kind}{mark}{scheme}{_GONE}{value[closed:] if closed >= 0 else ''}"


def _basic(found: re.Match[str]) -> str:
    """Only a user and a password in disguise: the word stands before others as well."""
    try:
        inside = base64.b64decode(found[2].rstrip("=") + "=" * (-len(found[2].rstrip("=")) % 4), altchars=b"-_")
    except ValueError:
        return found[0]
    return f"{found[1]} {_GONE}" if b":" in inside else found[0]


def _secrets(environ: Mapping[str, str]) -> Iterable[str]:
    """What must not be shown of variables, in each spelling."""
    found = set()
    for name, value in environ.items():
        if _PLAIN.search(name) and value.lower() not in _NO_SECRETS:
            found.add(value)
        for address in value.split():
            scheme = _SCHEME.match(address)
            rest = address[scheme.end() :] if scheme else address
            end = _end_of_user(rest)
            user, _, password = rest[: end - 1].partition(":") if end else ("", "", "")
            if password not in _TOKEN_FOR_USER:
                found.add(password)
            elif scheme and len(user) >= _TOKEN:
                found.add(user)
    spellings = {
        spelling for secret in found for spelling in (secret, unquote(secret), quote(unquote(secret), safe=""))
    }
    return {spelling for spelling in spellings if len(spelling) >= _SHORTEST}
