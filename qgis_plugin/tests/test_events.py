"""The engine's lines, and how far they tell that it is."""

from __future__ import annotations

import json
import math
import random
import unittest
from dataclasses import fields

from lposs_geo_qgis.command import MapRequest
from lposs_geo_qgis.events import LABELS, STAGES, Event, doing, for_qgis, overall, parse, plain, share, summary


class Parse(unittest.TestCase):
    def test_each_kind_is_known_by_its_name(self):
        for kind in ("info", "warning", "failed", "finished", "error"):
            with self.subTest(kind):
                event = parse(json.dumps({"event": kind, "message": "Größe: 3 m²"}))
                self.assertEqual((event.kind, event.message), (kind, "Größe: 3 m²"))

    def test_progress_brings_its_numbers(self):
        event = parse('{"event": "progress", "stage": "encode", "done": 3, "total": 12}')
        self.assertEqual((event.kind, event.message), ("progress", ""))
        self.assertEqual((event.facts["stage"], event.facts["done"], event.facts["total"]), ("encode", 3, 12))

    def test_a_result_brings_its_facts(self):
        event = parse('{"labels": "map.tif", "event": "result", "classes": []}')
        self.assertEqual((event.kind, event.facts["labels"]), ("result", "map.tif"))

    def test_a_kind_of_a_later_release_is_handed_on(self):
        self.assertEqual(parse('{"event": "hint", "message": "m"}').kind, "hint")

    def test_what_is_no_event_is_text(self):
        others = (
            "",
            "   ",
            "Traceback (most recent call last):",
            '  File "x.py", line 1',
            "[1, 2]",
            "3",
            "null",
            '"event"',
            "{}",
            '{"message": "m"}',
            '{"event": 3}',
            '{"event": null}',
            '{"event": "info", "message"',
            "\ufffd\x00\x1b[31m",
            "[" * 100_000,
            '{"a":' * 100_000,
        )
        for line in others:
            with self.subTest(line[:40]):
                self.assertEqual(parse(line), Event("text", line))

    def test_a_message_that_is_no_text_is_shown_as_it_came(self):
        self.assertEqual(parse('{"event": "info", "message": {"a": [1]}}').message, '{"a": [1]}')
        self.assertEqual(parse('{"event": "info", "message": null}').message, "null")


class Numbers(unittest.TestCase):
    """A result and progress that another program, or a broken one, has written."""

    def test_progress_that_tells_nothing(self):
        for facts in (
            "{}",
            '{"done": 1}',
            '{"done": "3", "total": 4}',
            '{"done": null, "total": 4}',
            '{"done": NaN, "total": 4}',
            '{"done": 1, "total": Infinity}',
            '{"done": true, "total": true}',
            '{"done": [1], "total": {}}',
            '{"done": 1, "total": -1}',
            '{"done": 1%s, "total": 1}' % ("0" * 400),
        ):
            with self.subTest(facts[:40]):
                self.assertIsNone(share(json.loads(facts)))

    def test_progress_is_a_share(self):
        for done, total, wanted in ((0, 4, 0), (3, 4, 0.75), (5, 4, 1), (-1, 4, 0), (0, 0, 1), (1.5, 3, 0.5)):
            self.assertEqual(share({"done": done, "total": total}), wanted)

    def test_areas_that_are_none(self):
        for facts in (
            {"classes": None},
            {"classes": {"name": "water"}},
            {"classes": 3},
            {"classes": ["water", None, {}, {"name": "a"}, {"name": "a", "share": "1"}]},
            {"classes": [{"name": "a", "share": math.nan}]},
            {"unknown_share": "all"},
            {"unknown_share": None},
        ):
            with self.subTest(facts):
                self.assertEqual(summary(facts), [])
        odd = [{"name": ["a\n"], "share": 0.5, "confidence": "sure"}, {"share": 0.5, "confidence": math.inf}]
        self.assertEqual(summary({"classes": odd}), ["['a\\n']: 50.0 %", ": 50.0 %"])
        self.assertEqual(len(summary({"classes": [{"name": "a", "share": 0}] * 100_000})), 1000)


class Overall(unittest.TestCase):
    def test_it_begins_with_nothing_and_ends_with_all(self):
        for stages in (STAGES, STAGES[:3], ("vectorize",)):
            self.assertEqual(overall({}, stages), 0.0)
            self.assertEqual(overall(dict.fromkeys(stages, 1.0), stages), 100.0)

    def test_it_never_goes_back_while_stages_overlap(self):
        chance = random.Random(0)
        for _ in range(50):
            shares: dict[str, float] = {}
            last = 0.0
            left = dict.fromkeys(STAGES, 20)
            while left:
                stage = chance.choice(list(left)[:2])  # the first two that aren't done run side by side
                left[stage] -= 1
                shares[stage] = 1 - left[stage] / 20
                if not left[stage]:
                    del left[stage]
                now = overall(shares, STAGES)
                self.assertGreater(now, last)
                last = now
            self.assertAlmostEqual(last, 100.0)

    def test_a_stage_that_does_more_than_it_said_counts_once(self):
        self.assertEqual(overall({"vectorize": 7.0}, ("vectorize",)), 100.0)

    def test_a_stage_that_is_unknown_or_not_wanted_counts_nothing(self):
        self.assertEqual(overall({"polish": 1.0, "vectorize": 1.0}, STAGES[:3]), 0.0)

    def test_the_last_stage_alone_does_not_reach_the_end(self):
        self.assertLess(overall({"vectorize": 1.0}, STAGES), 50.0)


class Plain(unittest.TestCase):
    def test_a_line_stays_a_line(self):
        for text, wanted in (
            ("Größe: 3 m², 森林, नि\u200dष", "Größe: 3 m², 森林, नि\u200dष"),
            ("a\nb\rc\td\u2028e", "a b c d e"),
            ("\x1b[31mred\x1b[0m\x00\x9b", " [31mred [0m  "),
            ("half \ud83d", "half ?"),
            ("x" * 10_000_000, "x" * 2000 + "…"),
        ):
            self.assertEqual(plain(text), wanted)
            self.assertEqual(plain(wanted), wanted)

    def test_messages_are_plain(self):
        self.assertEqual(for_qgis(Event("text", "a\x1b[2J\nb")), "a [2J b")
        self.assertEqual(doing("po\nlish"), "Po lish")
        self.assertEqual(summary({"classes": [{"name": "a\nb", "share": 1}]}), ["a b: 100.0 %"])


class Words(unittest.TestCase):
    def test_each_stage_has_a_name_for_people(self):
        self.assertEqual(len({doing(stage) for stage in STAGES}), len(STAGES))

    def test_a_stage_of_a_later_release_has_its_own(self):
        self.assertEqual(doing("polish"), "Polish")

    def test_the_areas_are_a_line_a_class_and_the_unknown(self):
        facts = {
            "classes": [
                {"name": "water", "share": 0.5, "confidence": 91.4},
                {"name": "crop field", "share": 0.25, "confidence": None},
                {"name": "road", "share": 0.0},
            ],
            "unknown_share": 0.25,
        }
        self.assertEqual(
            summary(facts), ["water: 50.0 %, confidence 91 %", "crop field: 25.0 %", "road: 0.0 %", "unknown: 25.0 %"]
        )

    def test_nothing_unknown_is_not_mentioned(self):
        self.assertEqual(
            summary({"classes": [{"name": "water", "share": 1.0}], "unknown_share": 1e-17}), ["water: 100.0 %"]
        )

    def test_polygons_have_no_areas_to_tell(self):
        self.assertEqual(summary({"event": "result", "vector": "map.gpkg", "polygons": 12}), [])


class InWordsOfQgis(unittest.TestCase):
    def said(self, problem, hint="", *notes):
        facts = {"event": "error", "message": "--unused", "problem": problem, "hint": hint, "notes": list(notes)}
        return for_qgis(parse(json.dumps(facts)))

    def test_settings_are_called_as_the_dialog_calls_them(self):
        self.assertEqual(
            self.said("bands 3,2,1 as red, green, blue", "name others by <bands>"),
            "bands 3,2,1 as red, green, blue: name others by 'Bands for red, green, blue'",
        )
        self.assertEqual(
            self.said("the memory is full", "choose a smaller <max_memory>, fewer classes, or <device=cpu>"),
            "the memory is full: choose a smaller 'Memory for the work, GB', fewer classes, or 'Compute on' cpu",
        )
        self.assertEqual(
            self.said("taken as nodata", "<collar=False> keeps it"),
            "taken as nodata: 'A frame, and holes, hold no data' off keeps it",
        )

    def test_notes_follow(self):
        self.assertEqual(
            self.said("the disk is full", "", "<resume=True> goes on: 3 finished tiles will not be done again"),
            "the disk is full; 'Go on with a run that was cut off' goes on: 3 finished tiles will not be done again",
        )

    def test_words_and_files_that_look_like_settings_stay(self):
        for said in ("no such file: '/a<aoi>.tif'", "the class '--forest' is unknown", "a < b > c", "--unheard-of"):
            self.assertEqual(self.said(said), said)
        self.assertEqual(
            self.said("so", "<no_such_setting=3> helps, <B1> doesn't"), "so: no such setting 3 helps, <B1> doesn't"
        )

    def test_a_line_without_these_halves_is_shown_as_it_is(self):
        self.assertEqual(for_qgis(parse('{"event": "info", "message": "a\\u001b[2J"}')), "a [2J")
        self.assertEqual(for_qgis(parse('{"event": "error", "message": "m", "problem": 3, "hint": []}')), "m")
        self.assertEqual(for_qgis(parse("a line of a library")), "a line of a library")

    def test_each_option_that_can_be_asked_for_has_a_name(self):
        files = {"scene", "output", "vector", "confidence", "report", "overwrite", "aoi_layer"}
        asked = {field.name for field in fields(MapRequest) if field.name not in files}
        self.assertEqual(asked, set(LABELS))
