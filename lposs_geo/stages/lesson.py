"""From examples, or what was learnt before, to what the patch stage takes of them; kept with the run for its end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lposs_geo.examples.learned import Learned, check_fits, from_bytes, to_bytes
from lposs_geo.examples.learned_head import BandScale, head_of, learned_of, scale_of
from lposs_geo.examples.lesson import Lesson
from lposs_geo.scene.reader import SceneReader
from lposs_geo.stages.band_statistics import num_features
from lposs_geo.stages.bands import band_scale, encode_bands, stored_bands
from lposs_geo.stages.features import LatticeFeatures
from lposs_geo.stages.task import Task
from lposs_geo.stages.taught import BANDS, VM, Bands, Taught, vlm
from lposs_geo.stages.teach import sources_of, teach
from lposs_geo.store.journal import Journal

__all__ = ["kept_lesson", "taught_by"]

_LEARNED, _BY_WORDS, _LEFT_OUT = (f"lesson/{name}" for name in ("learned", "by words", "left out"))


def taught_by(
    task: Task, features: Sequence[LatticeFeatures], reader: SceneReader, store: Journal, journal: Journal
) -> Taught | None:
    """Fit a head to the examples, unless the run's journal holds one, or take the one that was learnt before.

    Parameters
    ----------
    task : Task
    features : sequence of LatticeFeatures
        One for each look; all that is wanted is there.
    reader : SceneReader
        Of the scene.
    store : Journal
        Of features; receives the bands' statistics.
    journal : Journal
        The run's; receives what was learnt.

    Returns
    -------
    Taught or None
        None if the words are all there is.

    Raises
    ------
    ModelError
        If what was learnt before is for other features than the scene's.
    """
    teaching, finest, num_classes = task.teaching, features[-1], task.words.num_classes
    if teaching is None:
        return None
    examples, earlier = teaching.examples, teaching.learned
    before = None if earlier is None else head_of(earlier, num_classes)
    scale = None if earlier is None else scale_of(earlier)
    if earlier is not None:
        widths = {vlm(number): look.vlm.shape[2] for number, look in enumerate(features)} | {VM: finest.vm.shape[2]}
        if scale is not None:
            widths[BANDS] = num_features(len(reader.scene.all_bands))
        check_fits(earlier, teaching.model, teaching.fingerprint, tuple(widths.items()), earlier.digest)
    bands = None
    if examples is not None or scale is not None:
        bands = _bands(task, finest, reader, store, scale)
    if examples is None:
        assert before is not None
        return Taught(before, bands)
    if _LEARNED in journal:
        return Taught(head_of(_kept(journal), num_classes), bands, sources_of(examples, finest, num_classes))
    taught, answers = teach(features, task.words, task.encoder, examples, task.window, bands, before)
    learned = learned_of(
        taught.head,
        legend=teaching.legend,
        model=teaching.model,
        fingerprint=teaching.fingerprint,
        bands=None if bands is None else BandScale(bands.mean, bands.std, teaching.bands_digest),
        examples=examples,
    )
    journal.append(_BY_WORDS, answers.by_words)
    journal.append(_LEFT_OUT, answers.left_out)
    journal.append(_LEARNED, np.frombuffer(to_bytes(learned), np.uint8))
    return taught


def kept_lesson(task: Task, journal: Journal) -> Lesson | None:
    """What the examples of a finished run have taught; None if there were none."""
    if task.teaching is None or task.teaching.examples is None:
        return None
    return Lesson(task.teaching.examples, _kept(journal), journal.read(_BY_WORDS), journal.read(_LEFT_OUT))


def _kept(journal: Journal) -> Learned:
    return from_bytes(journal.read(_LEARNED).tobytes(), f"what the run in '{journal.folder}' has learnt")


def _bands(task: Task, finest: LatticeFeatures, reader: SceneReader, store: Journal, scale: BandScale | None) -> Bands:
    """The scene's bands; in the scale of what was learnt before, if that looks at them."""
    look = task.looks(reader.scene.grid)[-1]
    encode_bands(reader, look, store)
    mean, std = band_scale(look, store, finest.valid) if scale is None else (scale.mean, scale.std)
    return Bands(stored_bands(look, store), mean, std)
