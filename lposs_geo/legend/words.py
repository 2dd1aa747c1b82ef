"""Words as people write and paste them: lists with any separators, and text that every file of a map can hold."""

# ruff: noqa: RUF001 - letters that look like others are the matter here

from __future__ import annotations

import itertools
import json
import re
import unicodedata

from lposs_geo.errors import LegendError

__all__ = ["MOST_LETTERS", "SIGNS", "key", "mended", "quoted", "said", "shown", "split_list", "tidy", "unfit"]

MOST_LETTERS = 1000
"""Longest name, word, title or source."""

LONGEST_LIST = 250_000
"""Letters of a list of classes."""

LONGEST_PART = 200
"""Letters in quotes or round brackets that are looked at as one."""

MOST_SHOWN = 60
"""Letters of a word that a message shows."""

SEPARATORS = frozenset(",;\u037e՝،؛߸፣፤᠂᠈⁏⸲⸴⸵⹁⹉⹌、꓾꘍꛵꛶︐︑︔﹐﹑﹔，；､𑑍𑑚𖺗𝪇𝪉")
"""Commas and semicolons of all scripts; two in a row leave a class out, which is a mistake."""

BREAKS = frozenset("\n\r\t\v\f\x85\u2028\u2029•●○◦▪▫■□‣⁃∙")
"""Also part classes; any number of them, also beside a comma, is one."""

MOST_SAID = 200
"""Letters of another library's error that a message shows."""

_ENDS = "".join(SEPARATORS) + " "
"""Of an item in quotes too: some put the comma inside."""

_QUOTES = {
    '"': '"', "”": "”", "＂": "＂", "“": "”“", "„": "“”‟", "«": "»", "»": "«»", "‹": "›", "›": "‹›", "「": "」",
    "『": "』", "〝": "〞〟", "'": "'", "‘": "’‘", "‚": "‘’", "’": "’",
}  # fmt: skip
"""Opening quotes, each with those that may close it."""

_APOSTROPHES = frozenset("'‘‚’")
"""Quotes that may also be parts of words: left as they are where nothing closes them."""

SIGNS = str.maketrans("＝｜", "=|")
"""Signs as keyboards of Chinese and Japanese give them, and as they are read."""

_BRACKETS = {"[": "]", "{": "}", "(": ")", "［": "］", "【": "】", "〔": "〕", "（": "）"}
_ROUND = frozenset("(（")

_JOINERS = "\u200c\u200d"
"""Zero-width: what keeps letters apart, and what ties them together, in Persian, Hindi and other scripts."""

_VIRAMA = 9
"""Combining class of the sign that takes a consonant's vowel away; a joiner behind it shapes the letter before."""

_BULLET = re.compile(r"[-–—−*+·✓]\s+(?=\S)")
_NUMBER = re.compile(r"\(?(\d{1,3}|[a-z])(?:[.．](?!\d)|[):）])\s*(?=\S)", re.IGNORECASE)
_NUMBER_OF_LINE = re.compile(r"^([ \t]*\(?\d{1,3})(?:[.．:)）、]?\t[ \t]*|、)", re.MULTILINE)


def split_list(text: str) -> list[str]:
    """The items of a list that somebody wrote or pasted.

    Parameters
    ----------
    text : str
        Items parted by commas or semicolons of any script, line breaks, tabs or bullets, at will in quotes (what
        parts items elsewhere is a part of the item there, and in round brackets), numbered, as a whole in brackets, or
        a list in JSON.

    Returns
    -------
    list of str
        Without quotes, bullets and numbers; an empty one stands where two commas follow each other.

    Raises
    ------
    LegendError
        If a quote isn't closed, or it is a list of something else, or of lists.
    """
    if len(text) > LONGEST_LIST:
        raise LegendError(f"the list of classes has {len(text)} letters", hint="write a legend file instead")
    text = text.strip().removeprefix("\ufeff").strip()
    if text[:1] in ("[", "{"):
        read = _from_json(text)
        if read is not None:
            return read
    items = _scan(_NUMBER_OF_LINE.sub(r"\1) ", _without_brackets(text)))
    items = [item.strip(_ENDS) for item in items]
    for item in items:
        if _is_unbalanced(item):
            raise LegendError(f"{quoted(item)} holds a bracket too many", hint='write classes like "forest,water,road"')
    return _without_marks(items)


def tidy(text: str) -> str:
    """A word in the one spelling of each letter that Unicode calls composed (NFC), with single blanks."""
    blanks = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    return re.sub(" {2,}", " ", unicodedata.normalize("NFC", blanks)).strip()


def key(word: str) -> str:
    """A form that all spellings of a word share: neither capitals nor the way that letters are stored count."""
    return unicodedata.normalize("NFC", tidy(word).casefold())


def unfit(text: str) -> str | None:
    """The reason that keeps a text out of a map's files, as the end of "it ..."; None if nothing does."""
    if len(text) > MOST_LETTERS:
        return f"is longer than {MOST_LETTERS} letters: cut it"
    for index, letter in enumerate(text):
        if not letter.isprintable() and not _joins(text, index):
            return f"holds U+{ord(letter):04X}, a line break or another control character: take it out"
    return None


def mended(text: str) -> str:
    """Another program's text without what keeps it out of a map's files; may be empty."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[:MOST_LETTERS])
    return tidy(plain)


def quoted(text: str) -> str:
    """A text in quotes for a message: on one line, whatever it holds, and cut if it is long."""
    cut = text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
    return "'" + "".join(c if c.isprintable() or _joins(cut, k) else _escaped(c) for k, c in enumerate(cut)) + "'"


def shown(value: object) -> str:
    """Any value for a message, likewise."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep; a number of too many digits
        text = f"a {type(value).__name__} too large to show"
    return quoted(text)[1:-1]


def said(error: object) -> str:
    """The text of another library's error, on one line that can be printed, and cut if it is long."""
    words = " ".join(str(error).split()) or type(error).__name__
    cut = words if len(words) <= MOST_SAID else f"{words[: MOST_SAID - 1]}…"
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in cut)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _joins(text: str, index: int) -> bool:
    """True for a joiner between parts of a word, or behind a virama."""
    if text[index] not in _JOINERS or index == 0:
        return False
    before, after = text[index - 1], text[index + 1 : index + 2]
    if unicodedata.combining(before) == _VIRAMA:
        return True
    return _is_of_word(before) and bool(after) and _is_of_word(after)


def _is_of_word(letter: str) -> bool:
    # of a symbol too: some are made of several
    return unicodedata.category(letter)[0] in "LMN" or unicodedata.category(letter) in ("So", "Sk")


def _from_json(text: str) -> list[str] | None:
    """The items of a list of words in JSON; None if it is no JSON."""
    try:
        read = json.loads(text)
    except (RecursionError, ValueError):
        return None
    if not isinstance(read, list) or not all(isinstance(item, str) for item in read):
        raise LegendError(f"classes must be words, not {shown(read)}", hint='write them like "forest,water,road"')
    return read


def _without_brackets(text: str) -> str:
    """The text within the brackets, of whatever language, that hold a whole list."""
    text = re.sub(r"^(?:c|list|set|tuple)\s*(?=\()", "", text) if text.endswith(")") else text
    close = _BRACKETS.get(text[:1])
    if close is None or not text.endswith(close) or len(text) < 2 or _closing(text, text[0], close) != len(text) - 1:
        return text
    inner = text[1:-1]
    is_list = text[0] not in _ROUND or any(letter in SEPARATORS or letter in BREAKS for letter in inner)
    return inner.strip() if is_list else text


def _closing(text: str, opening: str, closing: str) -> int | None:
    """Index of the letter that closes the bracket which a text begins with; None if there is none."""
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == opening) - (letter == closing)
        if depth == 0:
            return index
    return None


def _scan(text: str) -> list[str]:
    items: list[str] = []
    word, was_quoted = "", False
    separated = True  # an item is due, and a comma here leaves one out
    index = 0
    while index < len(text):
        letter = text[index]
        begins = not word or word[-1].translate(SIGNS) in "=|" or word[-1].isspace()
        end = _end_of_quote(text, index) if begins and letter in _QUOTES else None
        if end is not None:
            word += _unescaped(text[index + 1 : end], letter)
            was_quoted = True
            index = end + 1
            following = text[index:].lstrip(" ")[:1]
            if following and following in _QUOTES and following not in _APOSTROPHES:  # items in quotes, side by side
                items.append(word)
                word, was_quoted, separated = "", False, False
            continue
        if letter in _ROUND and (length := _closing(text[index : index + LONGEST_PART], letter, _BRACKETS[letter])):
            word += text[index : index + length]  # what parts items is a part of this one
            index += length
        elif letter in SEPARATORS or letter in BREAKS:
            if word.strip() or was_quoted:
                items.append(word.strip())
                separated = letter in SEPARATORS
            elif letter in SEPARATORS:
                if separated:
                    items.append("")
                separated = True
            word, was_quoted = "", False
            index += 1
        else:
            word += letter
            index += 1
    if word.strip() or was_quoted:
        items.append(word.strip())
    return items


def _end_of_quote(text: str, start: int) -> int | None:
    """Index of the letter that closes the quote which begins here; None if it is an apostrophe."""
    opening = text[start]
    index = start + 1
    while index < min(len(text), start + LONGEST_PART):
        letter = text[index]
        following = text[index + 1 : index + 2]
        if letter == "\\" and following and following in _QUOTES[opening] + "\\":
            index += 2
        elif letter not in _QUOTES[opening]:
            index += 1
        elif following == letter and opening == letter and index > start + 1:  # doubled: one that is meant
            index += 2
        elif _may_follow(following, text[index + 1 :], opening):
            return index
        else:
            index += 1
    if opening in _APOSTROPHES:
        return None
    raise LegendError(f"a quote is opened and never closed: {quoted(text[start:])}")


def _may_follow(following: str, rest: str, opening: str) -> bool:
    """True if the text behind a closing quote ends a word."""
    if not following or following in SEPARATORS or following in BREAKS or following.translate(SIGNS) in "=|":
        return True
    if not following.isspace():
        return False
    # farmers' fields, lovers' lanes
    return opening not in _APOSTROPHES or _may_follow(rest.lstrip(" ")[:1], "", opening)


def _unescaped(inner: str, opening: str) -> str:
    for closing in _QUOTES[opening]:
        inner = inner.replace(f"\\{closing}", closing)
        if closing == opening:
            inner = inner.replace(closing * 2, closing)
    return inner.replace("\\\\", "\\")


def _is_unbalanced(item: str) -> bool:
    """True for an item that has a bracket of a list too many, or is a list itself."""
    return any(item.count(a) != item.count(b) or (item[:1] == a and item[-1:] == b) for a, b in ("[]", "{}"))


def _without_marks(items: list[str]) -> list[str]:
    """Items without the bullets, or the numbers counting up, that all of them begin with."""
    filled = [item for item in items if item]
    if filled and all(map(_BULLET.match, filled)):
        return [_BULLET.sub("", item, count=1) for item in items]
    numbers = [match[1].lower() if (match := _NUMBER.match(item)) else "" for item in filled]
    if len(filled) > 1 and all(numbers) and _count_up(numbers):
        return [_NUMBER.sub("", item, count=1) for item in items]
    return items


def _count_up(numbers: list[str]) -> bool:
    if all(number.isdecimal() for number in numbers):
        values = [int(number) for number in numbers]
    elif all(number.isalpha() for number in numbers):
        values = [ord(number) for number in numbers]
    else:
        return False
    return all(second == first + 1 for first, second in itertools.pairwise(values))
