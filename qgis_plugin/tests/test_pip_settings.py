"""Which of the user's settings for pip hold in a set-up. Needs no QGIS."""

from __future__ import annotations

import os
import unittest

from lposs_geo_qgis.engine import pip_settings

SAID = r"""
WARNING: something else
:env:.index-url='https://me:p%40ss@mirror.example.org/simple'
:env:.target='/planted'
:env:.timeout=60
global.index-url='https://other.example.org'
global.cert="/etc/it's.pem"
global.constraint='/c.txt'
global.find-links='/planted'
global.no-index=false
global.trusted-host='a b'
install.extra-index-url='\nhttps://a.example.org\nhttps://b.example.org'
install.pre='true'
install.user='true'
download.proxy='http://nobody'
global.proxy=__import__('os').getcwd()
global.retries='
"""


class Settings(unittest.TestCase):
    def test_those_of_the_network_are_read(self) -> None:
        self.assertEqual(
            pip_settings.read(SAID.splitlines()),
            {
                "PIP_INDEX_URL": "https://me:p%40ss@mirror.example.org/simple",
                "PIP_CERT": "/etc/it's.pem",
                "PIP_TRUSTED_HOST": "a b",
                "PIP_TIMEOUT": "60",
                "PIP_EXTRA_INDEX_URL": "https://a.example.org https://b.example.org",
            },
        )

    def test_asked_with_those_that_count(self) -> None:
        environ = {
            "HOME": "/home/me",
            "PIP_INDEX_URL": "i",
            "Pip_Proxy": "p",
            "PIP_CONFIG_FILE": "f",
            "PIP_TARGET": "t",
            "PIP_QUIET": "3",
        }
        asked = pip_settings.asked(environ)
        self.assertEqual({name: asked.get(name) for name in environ}, {**environ, "PIP_TARGET": None, "PIP_QUIET": "0"})
        self.assertEqual(pip_settings.question(("p", "-m", "pip")), ("p", "-m", "pip", "config", "list"))

    def test_nothing_else_gets_through(self) -> None:
        environ = {
            "PIP_TARGET": "/planted",
            "pip_prefix": "/planted",
            "PIP_ANYTHING_NEW": "1",
            "PIP_INDEX_URL": "https://from.the/environment",
            "HTTPS_PROXY": "http://proxy:1",
            "Temp": "/elsewhere",
        }
        wanted = {"HTTPS_PROXY": "http://proxy:1", "PIP_CONFIG_FILE": os.devnull}
        wanted |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), "/t")
        self.assertEqual(pip_settings.variables(environ, "/t", {}), wanted)
        settings = {"PIP_INDEX_URL": "https://mirror"}
        self.assertEqual(pip_settings.variables(environ, "/t", settings), {**wanted, **settings})

    def test_no_index(self) -> None:
        for said, wanted in (
            ("global.no-index='true'", True),
            (":env:.no-index='1'", True),
            ("install.no-index='0'", False),
        ):
            self.assertEqual(pip_settings.is_offline(pip_settings.read([said])), wanted)
        self.assertFalse(pip_settings.is_offline({}))


if __name__ == "__main__":
    unittest.main()
