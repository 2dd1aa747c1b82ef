"""Texts for logs: secrets go, in whatever form, and all else stays readable. Needs no QGIS."""

from __future__ import annotations

import base64
import time
import unittest

from lposs_geo_qgis.engine.scrubbing import scrub

SECRETS = ("hunter2", "s3cr3t", "pa/ss", "pa?ss", "pa#ss", "p@ss", "t0ken")
"""Nothing of these may be left in what follows."""

BASIC = base64.b64encode(b"me:hunter2").decode()

FORMS = (
    # users of addresses
    "at http://me:hunter2@proxy:8080/ now",
    "https://me:pa/ss@host/simple",
    "https://me:pa?ss@host/simple",
    "https://me:pa#ss@host:8443/simple?x=1",
    "https://me:p@ss@host/simple",
    "https://me:pa/ss/hunter2@host",
    "https://me:1234/hunter2@proxy:8080/",
    "https://me@example.org:hunter2@host/simple",
    "https://me@example.org:pa/ss@host/simple",
    "https://me:hunter2@host, https://me:s3cr3t@host",
    "https://hunter2@host/simple",
    "https://me%3Ahunter2@host/simple",
    "https://:hunter2@host/simple",
    "('http://a:hunter2@c', 'socks5://d:s3cr3t@f')",
    "{'http':'http://a:hunter2@c','https':'http://a:s3cr3t@c'}",
    "git+https://oauth2:hunter2@git.example.org/x.git@main",
    "ftp://me:it's-hunter2@host/x",
    "HTTP://ME:hunter2@HOST",
    "//me:hunter2@host/x",
    "https://hunter2:@host/simple",
    "https://hunter2:x-oauth-basic@git.example.org/x",
    "http://first.last:80/hunter2@host/",
    "http://first.last:12/hunter2@proxy:8080/",
    "me%3Ahunter2%40host",
    "https://me:hunter2@[::1]:8080/x",
    "/vsicurl/https://me:hunter2@host/scene.tif",
    "a\nhttps://me:hunter2@host\nhttps://me:s3cr3t@host\nb",
    # addresses within addresses
    "https://host/?next=https%3A%2F%2Fme%3Ahunter2%40proxy%2Fsimple",
    "https://host/?next=https%253A%252F%252Fme%253Ahunter2%2540proxy",
    "https://host/?next=%2Fget%3Ftoken%3Dhunter2%26page%3D2",
    # without a scheme
    "me:hunter2@proxy.example.org:8080",
    "proxy me:pa/ss@proxy",
    "HTTPS_PROXY=me:hunter2@proxy:8080",
    "HTTPS_PROXY=http://me:hunter2@proxy:8080 https_proxy=me:s3cr3t@proxy",
    "--proxy=me:hunter2@proxy",
    "me@example.org:hunter2@proxy",
    "proxy 'me:p@ss@10.0.0.1:3128'",
    # queries
    "https://host/x.whl?token=hunter2",
    "https://host/x?page=2&X-Amz-Signature=hunter2&X-Amz-Credential=s3cr3t%2Fus&X-Amz-Date=2026",
    "https://host/x?X-Amz-Security-Token=hunter2",
    "https://host/x?X-Goog-Signature=hunter2&X-Goog-Credential=s3cr3t",
    "https://host/x?AWSAccessKeyId=hunter2&Signature=s3cr3t&Expires=1",
    "https://host/x?sv=2020&sig=hunter2&se=2026",
    "https://host/x?key=hunter2&page=3",
    "https://host/x?access_token=hunter2",
    "https://host/x?private-token=hunter2",
    "https://host/x?apikey=hunter2",
    "https://host/x?api_key=hunter2#frag",
    "https://host/x?subscription-key=hunter2",
    "https://host/x?client_secret=hunter2&password=s3cr3t",
    "https://host/x?X%2DAmz%2DSignature=hunter2",
    "https://host/#access_token=hunter2",
    "https://host/x;token=hunter2",
    "https://host/x?appkey=hunter2&sid=s3cr3t&page=1",
    "https://host/x?tok%65n=hunter2",
    "/vsicurl?url=https%3A%2F%2Fhost%2Fx%3Fsig%3Dhunter2&use_head=no",
    "https://host/x?Policy=hunter2&Key-Pair-Id=s3cr3t",
    # headers
    f"Authorization: Basic {BASIC}",
    "Authorization: Bearer hunter2",
    "authorization: hunter2 s3cr3t",
    "Proxy-Authorization: Basic hunter2",
    f"send: b'GET / HTTP/1.1\\r\\nAuthorization: Basic {BASIC}\\r\\n'",
    "headers {'Authorization': 'Bearer hunter2', 'Accept': '*/*'}",
    "[('authorization', 'Token hunter2')]",
    'Authorization: Digest username="me", response="hunter2"',
    "Authorization: AWS4-HMAC-SHA256 Credential=hunter2/x, Signature=s3cr3t",
    "Cookie: session=hunter2; other=s3cr3t",
    "Set-Cookie: id=hunter2; Path=/",
    "PRIVATE-TOKEN: hunter2",
    "X-Api-Key: hunter2",
    f"it sent Basic {BASIC}",
    "it sent Bearer hunter2hunter2",
    # settings
    "TWINE_PASSWORD=hunter2",
    "export AWS_SECRET_ACCESS_KEY='hunter2 s3cr3t'",
    "GDAL_HTTP_USERPWD=me:hunter2",
    "GDAL_HTTP_BEARER=hunter2",
    'password = "hunter2, s3cr3t"',
    "password=hunter2&s3cr3t",
    '{"password": "a\\"hunter2", "user": "me"}',
    "{'apiToken': 'hunter2'}",
    "password: hunter2",
    "env={TOKEN=hunter2}",
    "--password hunter2",
    "curl -u me:hunter2 --proxy-user me:s3cr3t https://host",
    "machine host login me password hunter2",
    "--token 'hunter2 s3cr3t' --x",
    'password="hunter2',
    "PG:dbname=x password=hunter2 host=y",
    # tokens that are known by their looks
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.abcdef",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
)

READABLE = (
    "Looking in indexes: https://pypi.org/simple, https://download.pytorch.org/whl/cpu",
    "Looking in links: /home/me/wheels",
    "someone@example.org",
    "mail mailto:someone@example.org, please",
    "https://files.pythonhosted.org/packages/ab/cd/torch-2.9.0-cp311-cp311-manylinux_2_28_x86_64.whl#sha256=abcdef",
    "https://host.example.org:8443/simple/?page=2&sort=name#top",
    "http://localhost:3141/root/pypi/+simple/",
    "http://proxy:8080 and http://[::1]:8080/x",
    "https://host.example.org/pictures/tree@2x.png",
    "https://host.example.org:8080/pictures/tree@2x.png",
    "https://host.example.org:8080/@scope/package",
    "/a//b/c",
    "https://host/@scope/package?keyword=forest&author=me&monkey=1",
    "lposs-geo @ file:///home/me/wheels/lposs_geo-0.1.0-py3-none-any.whl",
    "git@github.com",
    r"C:\Users\me@work\AppData\Local\x.whl",
    "C:/Users/me@work/x.whl",
    "Requirement already satisfied: numpy<3,>=1.26 in ./lib (from lposs-geo) (2.1.0)",
    "Successfully installed tokenizers-0.20 ftfy-6.3",
    "Collecting huggingface-hub>=0.20 (from timm)",
    "Basic installation, basic requirements",
    "ERROR: Could not find a version that satisfies the requirement torch>=2.6 (from versions: none)",
    "PATH=/usr/bin:/opt/x@2/bin",
    "12:30 someone@example.org",
    "map --classes=water=river|lake,forest --output=/a/b.tif -- /a/scene.tif",
    "KeyError: 'classes'",
    "Progress 5 of 10",
)


class Forms(unittest.TestCase):
    def test_secrets_go(self) -> None:
        shapes = ("eyJ", "ghp_", BASIC)
        for text in FORMS:
            with self.subTest(text):
                told = scrub(text, {})
                self.assertEqual([secret for secret in (*SECRETS, *shapes) if secret in told], [], told)
                self.assertIn("***", told)
                self.assertEqual(scrub(told, {}), told)

    def test_all_else_stays(self) -> None:
        for text in READABLE:
            with self.subTest(text):
                self.assertEqual(scrub(text, {}), text)

    def test_what_is_beside_them_stays(self) -> None:
        for text, wanted in (
            ("at http://me:secret@proxy:8080/ now", "at http://me:***@proxy:8080/ now"),
            ("https://token@host/simple", "https://***@host/simple"),
            ("('http://a:b@c', 'socks5://d:e@f')", "('http://a:***@c', 'socks5://d:***@f')"),
            ("https://me:pa/ss@host/simple/", "https://me:***@host/simple/"),
            ("me:pw@host:80", "me:***@host:80"),
            ("https://h.org/x?a=1&token=t&b=2", "https://h.org/x?a=1&token=***&b=2"),
            ("Authorization: Basic abc", "Authorization: Basic ***"),
            ("{'Authorization': 'Bearer abc', 'Accept': '*/*'}", "{'Authorization': 'Bearer ***', 'Accept': '*/*'}"),
            ("key=abc next", "key=*** next"),
            ("a\nPASSWORD=b\nc", "a\nPASSWORD=***\nc"),
        ):
            with self.subTest(text):
                self.assertEqual(scrub(text, {}), wanted)

    def test_long_lines_take_no_longer(self) -> None:
        """No form is looked for again from each letter on."""
        began = time.process_time()
        for part in ("a", "a:", "://", "%3F", "a@", "key=", "token", "!", "&a", "-", "%2", "a.", "'", "--a "):
            scrub(part * (10_000 // len(part)), {})
        self.assertLess(time.process_time() - began, 10)


class OfVariables(unittest.TestCase):
    def test_passwords_anywhere(self) -> None:
        environ = {"HTTPS_PROXY": "http://me:p%40ss%2Fword@proxy:1", "X": "a@b://", "Y": "http://u:abc@h"}
        said = "tried p@ss/word and p%40ss%2Fword, the abc"
        self.assertEqual(scrub(said, environ), "tried *** and ***, the abc")

    def test_each_form(self) -> None:
        for name, value in (
            ("HTTPS_PROXY", "me:hunter2@proxy:8080"),
            ("HTTPS_PROXY", "http://me:hunter2@proxy:8080"),
            ("PIP_EXTRA_INDEX_URL", "https://a.example.org https://b:x@h https://me:hunter2@h/simple"),
            ("PIP_INDEX_URL", "https://hunter2-of-the-host@h/simple"),
            ("GDAL_HTTP_BEARER", "hunter2"),
            ("HF_TOKEN", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ):
            with self.subTest(name=name, value=value):
                said = f"it says {'hunter2-of-the-host' if 'hunter2-' in value else 'hunter2'}, yes"
                self.assertEqual(scrub(said, {name: value}), "it says ***, yes")

    def test_a_password_with_raw_signs(self) -> None:
        self.assertEqual(scrub("a 'pa/ss@x' b", {"HTTPS_PROXY": "http://me:pa/ss@x@proxy:1"}), "a '***' b")

    def test_what_is_no_secret_stays(self) -> None:
        environ = {
            "PWD": "/home/me/work",
            "XDG_SESSION_ID": "1234",
            "TOKENIZERS_PARALLELISM": "false",
            "SSH_AUTH_SOCK": "/run/user/1000/agent",
            "USER": "someone",
            "MAIL": "someone@example.org",
            "REPOSITORY": "ssh://someone@example.org/x",
            "PATH": "/usr/bin:/opt/x@2/bin",
            "HTTPS_PROXY": "http://proxy:8080",
        }
        said = "someone in /home/me/work: 1234 false /run/user/1000/agent /opt/x@2/bin proxy 8080"
        self.assertEqual(scrub(said, environ), said)


if __name__ == "__main__":
    unittest.main()
