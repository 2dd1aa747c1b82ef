"""The phrases that the text encoder is distilled on, and the land-cover phrases that it is judged by."""

from __future__ import annotations

import random

from wordfreq import top_n_list

NOUNS = """\
water|river|lake|sea|ocean|pond|stream|canal|reservoir|lagoon|wetland|marsh|swamp|bog|mangrove|mudflat|
glacier|snow|ice|coast|beach|dune|sand|desert|rock|cliff|gravel|bare soil|bare land|bare ground|clay|mine|
quarry|landfill|forest|woodland|wood|trees|tree canopy|hedge|shrubland|bush|scrub|heath|savanna|steppe|
grass|grassland|meadow|pasture|lawn|park|garden|cropland|crop field|farmland|field|wheat field|corn field|
rice paddy|orchard|vineyard|olive grove|plantation|greenhouse|fallow land|stubble|hay|building|house|roof|
rooftop|shed|barn|warehouse|factory|apartment block|skyscraper|tower|church|school|hospital|stadium|
residential area|industrial area|commercial area|village|town|city|mobile home park|road|street|highway|
motorway|freeway|path|footpath|track|dirt road|pavement|asphalt|concrete|parking lot|car park|driveway|
bridge|overpass|roundabout|intersection|railway|rail track|railway station|airport|runway|airplane|harbour|
harbor|port|dock|pier|ship|boat|car|truck|container|swimming pool|tennis court|baseball diamond|golf course|
playground|sports field|football pitch|cemetery|solar panels|solar farm|wind turbine|storage tank|dam|levee|
power line|burnt area|clear-cut|shadow|cloud|flood|snowfield|shoreline|island|vegetation|low vegetation|
impervious surface|construction site|square|fence|wall|tent|camp|terrace|trail|ditch|spring|delta"""

ADJECTIVES = """\
small|large|big|old|new|dry|wet|dense|sparse|green|brown|grey|white|dark|bright|open|narrow|wide|deep|
shallow|muddy|rocky|sandy|bare|grassy|flooded|frozen|burnt|irrigated|harvested|ploughed|abandoned|rural|
urban|industrial|residential|coastal|mountain|tropical|deciduous|coniferous|evergreen|young|mature|
artificial|natural|paved|unpaved|straight|winding"""

TEMPLATES = """\
{}|{}|{}|the {}|a {}|an aerial photo of {}|a satellite image of {}|{} seen from above|
an aerial view of the {}|{} and {}|{} near {}|{} with {}|{} in the {}|land covered by {}|{} area|edge of {}|
{} or {}|{}, {}|many {}|no {}"""


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.replace("\n", "").split("|")]


def land_cover_phrases(count: int, seed: int) -> list[str]:
    """`count` different land-cover phrases, the bare nouns first: what the student is judged by."""
    rng = random.Random(seed)
    nouns, adjectives = _items(NOUNS), _items(ADJECTIVES)
    phrases = dict.fromkeys(nouns)
    while len(phrases) < count:
        phrases[f"{rng.choice(adjectives)} {rng.choice(nouns)}"] = None
    return list(phrases)[:count]


def training_phrases(held_out: set[str], seed: int, size: int = 160_000) -> list[str]:
    """Different phrases for distillation: frequent English words alone and in pairs, land-cover words in templates.

    None of `held_out` is among them.
    """
    rng = random.Random(seed)
    words = [w for w in top_n_list("en", 45_000) if w.isascii() and w.isalpha() and len(w) > 1]
    nouns, adjectives, templates = _items(NOUNS), _items(ADJECTIVES), _items(TEMPLATES)

    def any_word() -> str:
        # square: the frequent words come more often, as they do in what people write
        return words[int(len(words) * rng.random() ** 2)]

    def land_phrase() -> str:
        noun = rng.choice(nouns) if rng.random() < 0.7 else any_word()
        return f"{rng.choice(adjectives)} {noun}" if rng.random() < 0.5 else noun

    phrases = dict.fromkeys(words)
    while len(phrases) < size:
        kind = rng.random()
        if kind < 0.35:
            phrase = f"{any_word()} {any_word()}"
        elif kind < 0.45:
            phrase = f"{any_word()} {any_word()} {any_word()}"
        elif kind < 0.55:
            phrase = f"{any_word()} {rng.choice(nouns)}"
        else:
            template = rng.choice(templates)
            phrase = template.format(*(land_phrase() for _ in range(template.count("{}"))))
        phrases[phrase] = None
    return [phrase for phrase in phrases if phrase not in held_out]
