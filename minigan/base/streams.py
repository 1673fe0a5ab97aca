"""Output that cannot fail for its alphabet: what a terminal or a pipe has no sign for is written in ASCII."""

import codecs
import sys
import unicodedata

SIGNS = {"→": "->", "←": "<-", "×": "x", "·": "*", "–": "-", "±": "+-", "≥": ">=", "≤": "<=", "√": "sqrt", "∂": "d"}
SIGNS |= {"‖": "||", "⟪": "<<", "⟫": ">>", "°": "deg", "⁄": "/"}  # the last is what NFKD makes of ½ with 1 and 2


def settle():
    """From now on stdout and stderr take every text. What their encoding has no sign for is written in ASCII: é as e, …
    as ..., σ as sigma, and what has no such form by its number, as \\u4e2d."""
    codecs.register_error("minigan", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has not, and needs none
            stream.reconfigure(errors="minigan")


def _in_ascii(error):
    """The handler that codecs call with a UnicodeEncodeError: -> (text instead, where to go on)."""
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(sign):
    if unicodedata.combining(sign):
        return ""
    name = unicodedata.name(sign, "")
    if name.startswith("GREEK "):
        letter = name.split(" WITH ")[0].split()[-1]
        return letter.lower() if sign.islower() else letter.title()
    plain = "".join(SIGNS.get(part, part) for part in unicodedata.normalize("NFKD", sign))
    plain = "".join(part for part in plain if not unicodedata.combining(part))
    return plain if plain.isascii() else sign.encode("ascii", "backslashreplace").decode()
