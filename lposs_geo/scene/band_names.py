"""Colours in the names of bands, in the languages that maps are made in.

Names are compared without case and accents: Grün and GRUN are one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["COLOURS", "colour_in", "colour_of", "folded", "tell_apart"]

_NAMES = {
    "red": """
        red r rot rote roter rotes rouge rouges rojo roja rosso rossa rossi vermelho vermelha encarnado vermell vermella
        vermello rood rode röd röda rött rød røde rødt rauður rautt punainen puna punane gorri gorria
        czerwony czerwona czerwone czerwień červená červený červené crvena crveni crveno rdeča rdeči rdeče
        vörös piros roșu roșie красный красная красное красного червоний червона червоне червен червено црвена црвени
        kirmizi qirmizi κόκκινο κόκκινη ερυθρό ερυθρά sarkans sarkanā sarkanais raudona raudonas raudonoji
        merah đỏ أحمر الأحمر حمراء قرمز سرخ אדום אדומה लाल แดง""",
    "green": """
        green g v grün grüne grüner grünes gruen vert verte verts verde groen groene grön gröna grönt grøn grønn grønne
        grønt grænn grænt vihreä vihr roheline berde berdea verd verda zielony zielona zielone zieleń
        zelená zelený zelené zelena zeleni zeleno zöld зеленый зелёный зеленая зелёная зеленое зелёное зелёного
        зелений зелена зелене зелен зелено yeşil yaşil πράσινο πράσινη zaļš zaļā zaļais žalia žalias žalioji
        hijau lục أخضر الأخضر خضراء سبز ירוק ירוקה हरा เขียว""",
    "blue": """
        blue b blau blaue blauer blaues bleu bleue bleus azul blu azzurro azzurra blau blava blauw blauwe
        blå blåa blått blåt blár blátt sininen sini sinine urdin urdina niebieski niebieska niebieskie
        modrá modrý modré modra modri modro plava plavi plavo plavá kék albastru albastră синий синяя синее синего
        голубой голубая синій синя синє син синьо плава плави mavi göy μπλε κυανό κυανή zils zilā zilais
        mėlyna mėlynas mėlynoji biru lam dương أزرق الأزرق زرقاء آبی כחול כחולה नीला น้ำเงิน""",
    "nir": "nir ir pir ivp ик бик",
}
"""The words for each colour; a single letter stands for one where it does in a row like R, G, B or R, V, B."""

_OTHER_NAMES = """
    edge rededge vre swir short shortwave thermal coastal aerosol yellow mir lwir mwir tir far mid middle
    kante rotkante kurzwelliges kurzwelliger kurzwellig kurzwelle mittleres mittlerer fernes ferner thermisch
    thermisches gelb küste bord lisière courtes courte moyen lointain thermique jaune côtier côte
    borde corta cortas medio lejano térmico térmica amarillo costero costera aerosoles
    bordo corte lontano termico termica giallo costiero borda limite curta curtas médio distante amarelo costeiro
    rand kortegolf thermische geel kust kant kort termisk gul kust reuna lyhytaalto keltainen
    krawędź krótkofalowa termiczny termalny żółty hrana okraj krátkovlnné termální žlutá
    край крайний коротковолновый коротковолновая тепловой тепловая желтый жёлтый дальний kenar kisa termal sari
"""
"""A name with one of these is none of the four, though it may hold one of their words, like 'red edge'."""

_WRITTEN_TOGETHER = (
    (
        "other",
        "红边 紅邊 レッドエッジ 短波 热红 熱紅 熱赤 "
        "中红外 中紅外 中赤外 远红 遠紅 遠赤 黄 黃 海岸 레드엣지 단파 열적외",
    ),
    (
        "nir",
        "infra 红外 紅外 赤外 적외 инфракрасн інфрачервон инфрачервен kizilöt "
        "podczerwie υπέρυθρ تحت فروسرخ תת-אדום อินฟรา ngoại",
    ),
    ("red", "红 紅 赤 レッド 빨강 빨간 적색"),
    ("green", "绿 綠 緑 グリーン 초록 녹색"),
    ("blue", "蓝 藍 青 ブルー 파랑 파란 청색"),
)
"""Pieces that may stand anywhere in a name, in this order: of writing without spaces, and of words that vary."""

_BAND_WORDS = """
    band bands bande bandes banda bande banden bandet kanal kanals kanalen kanály canal canale canaux channel channels
    kanaal kanał pasmo pásmo layer layers couche couches capa ebene schicht strato laag lager camada warstwa vrstva
    слой канал b ch c gray grey grau gris grigio cinza undefined unknown unbekannt none null raster image data dn
    value values sample layername number nr no bandnumber 波段 バンド チャンネル 채널 밴드
"""
"""A name of these alone says nothing."""

_ENDINGS = ("kanalen", "kanaal", "kanal", "bandet", "band", "channel")
"""Words that one for a colour is joined with in Germanic languages."""

COLOURS = ("nir", "red", "green", "blue")
"""Infrared before red: 'near infrared' and 'nir red' are no red."""


def folded(text: str) -> str:
    """A name without case, accents and marks."""
    plain = unicodedata.normalize("NFKD", text.strip()).casefold()
    plain = "".join(letter for letter in plain if unicodedata.category(letter) != "Mn")
    return plain.translate(_WITHOUT_STROKES)


_WITHOUT_STROKES = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "æ": "ae"})

_WORDS = {colour: frozenset(folded(names).split()) for colour, names in _NAMES.items()}
_OTHER = frozenset(folded(_OTHER_NAMES).split())
_NOTHING = frozenset(folded(_BAND_WORDS).split())
_PIECES = [(colour, [folded(piece) for piece in pieces.split()]) for colour, pieces in _WRITTEN_TOGETHER]


def _words(text: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-zà-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])", " ", text)  # redBand
    words = set[str]()
    for token in re.split(r"[\W_]+", folded(spaced)):
        pieces = re.split(r"\d+", token)
        words |= {piece for piece in pieces if len(piece) > 1 or piece == token != ""}  # B2 isn't blue
    return words | {word.removesuffix(end) for word in words for end in _ENDINGS if word.endswith(end) and word != end}


def colour_in(name: str) -> str:
    """The colour that a band's name tells.

    Returns
    -------
    str
        One of `COLOURS`; "other" for a kind of band that is none of them; empty where nothing is understood.
    """
    words, whole = _words(name), folded(name)
    if words & _OTHER:
        return "other"
    surest = (colour for colour, pieces in _PIECES[:2] if any(piece in whole for piece in pieces))
    by_word = (colour for colour in COLOURS if words & _WORDS[colour])
    by_piece = (colour for colour, pieces in _PIECES[2:] if any(piece in whole for piece in pieces))
    return next((colour for colours in (surest, by_word, by_piece) for colour in colours), "")


def colour_of(name: str) -> str:
    """The same for a name that is nothing but one word; empty for others."""
    return colour_in(name) if re.fullmatch(r"[^\W\d_]+", folded(name)) else ""


def tell_apart(names: Sequence[str]) -> bool:
    """True if the names of bands, one each, seem to say more of them than their order.

    'Band 1' and 'Layer_1' don't, nor do names that are all alike, or but for a number that counts from 0 or 1.
    """
    counts = {
        index: int(numbers[-1]) if (numbers := re.findall(r"\d+", name)) else None
        for index, name in enumerate(names)
        if name.strip()
    }
    in_order = len(set(counts.values())) <= 1 or any(
        all(count == index + first for index, count in counts.items()) for first in (0, 1)
    )
    alike = len({re.sub(r"\d+", "", folded(name)) for name in names if name.strip()}) <= 1
    empty = all(re.search(r"[^\W\d_]", name) is None or _words(name) <= _NOTHING for name in names)
    return not (in_order and (alike or empty))
