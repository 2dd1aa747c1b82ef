"""What examples are worth: mIoU against points a class, on labelled sets that the model wasn't trained on.

    python benchmarks/examples.py --build training/build --cache build/examples --figure docs/examples.svg

`--build` is the folder of training (see training/README.md); encoded pictures are kept in the `--cache`.

n points a class are drawn at random from a set's labelled px, five times; those for fewer points are among those for
more. The head that ships is compared with the words alone and with published ways to join words and examples, each
before and after propagation. Suggested points begin with one random point a class; then `examples.suggest` names as
many as the others have got, and the labels answer. Random points of each class know the classes beforehand, which no
user does: so points drawn anywhere, with the same beginning, are measured, too.

It prints mIoU after propagation, and writes all of it as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from curves import Curve, figure
from labelled import COARSE, Example, LabelledSet, Tally, prepare, scenes
from rasterio.windows import Window
from rivals import Problem, clamping, examples_alone, logistic, lp_plus_plus, prototypes, ridge, words

from lposs_geo import encoders, lposs, models
from lposs_geo.bench import machine_facts
from lposs_geo.examples.candidates import Patches
from lposs_geo.examples.head import fit_head
from lposs_geo.examples.logistic import softmax
from lposs_geo.examples.observations import Observations, Samples
from lposs_geo.examples.suggest import Criterion, suggest
from lposs_geo.stages.propagate import SCENE_PARAMETERS
from lposs_geo.stages.taught import BANDS, KAPPA, VM

COUNTS = (1, 2, 4, 8, 16)
"""Points a class."""

DRAWS = 5

SCENE_SAMPLE = 8000
"""Patches that stand for the scene when a head is fitted."""

LARGEST_REFINED = 20_000
"""Patches of a set up to which the pixel stage is measured as well."""

REFINED_AT = 8
"""Points a class at which it is."""

USUAL = Criterion()

Method = Callable[[Problem], np.ndarray]


def fitted(problem: Problem, features: Mapping[str, np.ndarray], kappa: float = KAPPA) -> np.ndarray:
    """Seeds of the head that ships, with some kinds of features; `kappa` is the share of the sources."""
    observations = Observations(features, problem.words)
    count = len(problem.classes)
    samples = Samples(observations[problem.patches], problem.classes, np.ones(count), np.arange(count))
    everywhere = np.random.default_rng(0).permutation(len(observations))[:SCENE_SAMPLE]
    fit = fit_head(samples, observations[np.sort(everywhere)])
    seeds = softmax(fit.head.logits(observations))
    seeds[problem.patches] += kappa * (problem.targets - seeds[problem.patches])
    return seeds


def head(problem: Problem) -> np.ndarray:
    """The head that ships, and the examples' patches as sources."""
    return fitted(problem, problem.scene.observations.features)


def head_without_sources(problem: Problem) -> np.ndarray:
    """The head alone."""
    return fitted(problem, problem.scene.observations.features, kappa=0.0)


def head_by_colours(problem: Problem) -> np.ndarray:
    """Likewise with sources, and with the spectral features of red, green and blue only."""
    return fitted(problem, {**problem.scene.observations.features, BANDS: problem.scene.colours})


def head_without_bands(problem: Problem) -> np.ndarray:
    """Likewise, without any spectral features."""
    features = problem.scene.observations.features
    return fitted(problem, {name: values for name, values in features.items() if name != BANDS})


METHODS: dict[str, Method] = {
    "examples alone": examples_alone,
    "clamping": clamping,
    "prototypes": prototypes,
    "LP++": lp_plus_plus,
    "ridge": ridge,
    "logistic": logistic,
    "head": head,
    "head, no sources": head_without_sources,
    "head, colours only": head_by_colours,
    "head, no bands": head_without_bands,
}
"""By their names in the tables."""

SHIPPED, SUGGESTED, ANYWHERE, WORDS = "head", "head, suggested", "head, anywhere", "words"

OTHERS = ("clamping", "prototypes", "LP++", "ridge", "logistic")
"""What the figure compares it with."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A set's pictures one below the other, as one scene whose px are patches.

    Attributes
    ----------
    numbers : (rows, cols) int64
        Of the patches in the set; -1 beside the pictures.
    labels : (rows, cols) int64
        Class at the middle of each patch; -1 where it isn't known.
    """

    numbers: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, scene: LabelledSet) -> Canvas:
        """Lay out a set."""
        width = max(picture.shape[1] for picture in scene.pictures)
        numbers, labels = [], []
        for picture in scene.pictures:
            rows, cols = picture.shape
            number = picture.first + np.arange(rows * cols).reshape(rows, cols)
            down, across = (
                np.minimum((np.arange(count) + 0.5) * picture.finest.patch_size, length - 1).astype(int)
                for count, length in zip(picture.shape, picture.example.labels.shape, strict=True)
            )
            label = picture.example.labels[np.ix_(down, across)].astype(np.int64) - 1
            for parts, part in ((numbers, number), (labels, label)):
                parts.append(np.pad(part, ((0, 0), (0, width - cols)), constant_values=-1))
        return cls(np.concatenate(numbers), np.concatenate(labels))

    def laid(self, values: np.ndarray) -> np.ndarray:
        """Values (patches, K) as (rows, cols, K); zero beside the pictures."""
        return np.where(self.numbers[..., None] < 0, 0, values[self.numbers])

    def pixels(self, patches: np.ndarray) -> np.ndarray:
        """(col, row) of patches."""
        rows, cols = np.nonzero(self.numbers >= 0)  # in the order of their numbers
        return np.column_stack([cols[patches], rows[patches]]) + 0.5

    def ask(
        self, scores: np.ndarray, features: np.ndarray, patches: np.ndarray, count: int, criterion: Criterion
    ) -> tuple[np.ndarray, np.ndarray]:
        """Patches that are suggested, and their true classes; only where these are known.

        `patches` are those of the examples that are there.
        """
        rows, cols = self.numbers.shape
        whole = Window(0, 0, cols, rows)
        found = suggest(
            Patches(self.laid(scores), self.laid(features), self.numbers >= 0, 1.0, whole),
            count,
            examples=self.pixels(patches),
            inside=lambda window: self.labels[window.toslices()] >= 0,
            criterion=criterion,
        )
        at = tuple(np.array([one.px for one in found]).astype(int).T[::-1])
        return self.numbers[at], self.labels[at]


def suggested_draws(problem: Problem, criterion: Criterion = USUAL) -> dict[int, Problem]:
    """By numbers of points a class: as many examples, the first of them given and the others suggested."""
    scene = problem.scene
    canvas, features = Canvas.of(scene), scene.observations.features[VM]
    draws = {COUNTS[0]: problem}
    for count in COUNTS[1:]:
        wanted = count * len(scene.counted) - len(problem.classes)
        scores = scene.spread(head(problem).astype(np.float32))
        patches, classes = canvas.ask(scores, features, problem.patches, wanted, criterion)
        problem = replace(
            problem,
            patches=np.concatenate([problem.patches, patches]),
            classes=np.concatenate([problem.classes, classes]),
        )
        draws[count] = problem
    return draws


def drawn_anywhere(problem: Problem, seed: int) -> dict[int, Problem]:
    """Likewise, with px drawn from all that are labelled, whatever they show, in place of the suggested ones."""
    patch, kind = problem.scene.points
    order = np.random.default_rng([seed, DRAWS]).permutation(len(patch))
    draws = {}
    for count in COUNTS:
        more = order[: count * len(problem.scene.counted) - len(problem.classes)]
        patches, classes = np.append(problem.patches, patch[more]), np.append(problem.classes, kind[more])
        draws[count] = replace(problem, patches=patches, classes=classes)
    return draws


def half_of(problem: Problem, seed: int) -> Problem:
    """Only the examples of every other class."""
    keep = np.isin(problem.classes, problem.scene.counted[seed % 2 :: 2])
    return replace(problem, patches=problem.patches[keep], classes=problem.classes[keep])


def rated(tallies: Sequence[Tally], classes: Sequence[np.ndarray] | None = None) -> list[float]:
    """Mean IoU of each of several answers: over the classes that are counted, or over some of its own."""
    if classes is None:
        return [round(tally.mean_iou, 4) for tally in tallies]
    return [round(float(tally.iou[own].mean()), 4) for tally, own in zip(tallies, classes, strict=True)]


def answers(scene: LabelledSet, seeds: Sequence[np.ndarray]) -> dict[str, list[Tally]]:
    """What seeds say of the labels as they are, and once propagated."""
    singles = [one.astype(np.float32) for one in seeds]
    return {"seeds": scene.compare(singles), "propagated": scene.compare([scene.spread(one) for one in singles])}


def measure(scene: LabelledSet, scale: float, draws: int) -> dict[str, Any]:
    """All that is measured on a set: for each method, number of points, and stage a list over draws."""
    ways = {name: way for name, way in METHODS.items() if scene.num_bands > 3 or way is not head_by_colours}
    nothing = Problem(scene, scale, np.zeros(0, int), np.zeros(0, int))
    problems = {seed: {n: Problem(scene, scale, *scene.draw(n, seed)) for n in COUNTS} for seed in range(draws)}
    chosen = {
        SUGGESTED: [suggested_draws(of[COUNTS[0]]) for of in problems.values()],
        ANYWHERE: [drawn_anywhere(of[COUNTS[0]], seed) for seed, of in problems.items()],
    }
    by_words = answers(scene, [words(nothing)])
    methods: dict[str, Any] = {name: {} for name in (*ways, *chosen)}
    halves: dict[str, Any] = {}
    for count in COUNTS:
        arms = {name: [way(of[count]) for of in problems.values()] for name, way in ways.items()}
        arms |= {name: [head(of[count]) for of in each] for name, each in chosen.items()}
        for name, seeds in arms.items():
            methods[name][str(count)] = {stage: rated(found) for stage, found in answers(scene, seeds).items()}
        each = [half_of(of[count], seed) for seed, of in problems.items()]
        without = [np.setdiff1d(scene.counted, half.classes) for half in each]
        found = answers(scene, [head(half) for half in each])["propagated"]
        before = by_words["propagated"] * draws
        halves[str(count)] = {"head": rated(found, without), WORDS: rated(before, without), "all": rated(found)}
        print(f"  {scene.name}: {count} points a class done", flush=True)
    result = {
        "draws": draws,
        "patches": len(scene.observations),
        "bands": scene.num_bands,
        "counted": [scene.words[index] for index in scene.counted],
        WORDS: {stage: rated(found)[0] for stage, found in by_words.items()},
        "methods": methods,
        "half": halves,
    }
    if len(scene.observations) <= LARGEST_REFINED:
        result["refined"] = {
            WORDS: refined(scene, [words(nothing)]),
            SHIPPED: refined(scene, [head(of[REFINED_AT]) for of in problems.values()]),
        }
    return result


def refined(scene: LabelledSet, seeds: Sequence[np.ndarray]) -> list[float]:
    """Mean IoU of each of several seeds after propagation and the pixel stage."""

    def refine(example: Example, planes: torch.Tensor) -> torch.Tensor:
        return lposs.refine(torch.from_numpy(example.image), planes, SCENE_PARAMETERS)

    scores = [scene.spread(one.astype(np.float32)) for one in seeds]
    return rated(scene.compare(scores, refine))


def curve(result: Mapping[str, Any], method: str, stage: str = "propagated") -> Curve:
    """Mean IoU of a method at each number of points, 0 (the words alone) included, and its spread over draws."""
    each = [result["methods"][method][str(count)][stage] for count in COUNTS]
    start = result[WORDS][stage]
    return Curve((0, *COUNTS), np.array([start, *map(np.mean, each)]), np.array([0.0, *map(np.std, each)]))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of sets; its spread is the mean of theirs."""
    means, spreads = (np.mean([getattr(one, part) for one in curves], axis=0) for part in ("mean", "spread"))
    return Curve(curves[0].counts, means, spreads)


def report(results: Mapping[str, Any]) -> None:
    """Print what was measured as tables, in Markdown."""
    usual = [name for name in results if name != COARSE]
    for sets, stage in ((list(results), "propagated"), (usual, "propagated"), (usual, "seeds")):
        which = "all sets" if len(sets) == len(results) else f"the sets but {COARSE}"
        print(f"\nMean of {which}, {stage}:\n")
        print("| method | " + " | ".join(map(str, (0, *COUNTS))) + " |\n" + "|---" * (2 + len(COUNTS)) + "|")
        for method in results[sets[0]]["methods"]:
            having = [results[name] for name in sets if method in results[name]["methods"]]
            mean = mean_curve([curve(result, method, stage) for result in having]).mean
            note = "" if len(having) == len(sets) else f" ({len(having)} sets)"
            print(f"| {method}{note} | " + " | ".join(f"{value:.3f}" for value in mean) + " |")
    for method in (SHIPPED, SUGGESTED, ANYWHERE):
        print(f"\n{method}, propagated:\n")
        print("| set | " + " | ".join(map(str, (0, *COUNTS))) + " |\n" + "|---" * (2 + len(COUNTS)) + "|")
        for name, result in results.items():
            line = curve(result, method)
            cells = (f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(line.mean, line.spread, strict=True))
            print(f"| {name} | " + " | ".join(cells) + " |")
    print("\nExamples of half of the classes, the others' IoU, and by the words:\n")
    for name, result in results.items():
        pairs = [[np.mean(result["half"][str(count)][key]) for key in ("head", WORDS)] for count in COUNTS]
        print(f"{name}: " + ", ".join(f"{others:.3f} ({by_words:.3f})" for others, by_words in pairs))
    print(f"\nAfter the pixel stage, by words and with {REFINED_AT} points a class:\n")
    for name, result in results.items():
        if "refined" in result:
            print(f"{name}: " + ", ".join(f"{np.mean(values):.3f}" for values in result["refined"].values()))


def draw(results: Mapping[str, Any]) -> str:
    """The figure: a panel for the mean, and one for each set."""
    drawn = [method for method in METHODS if method in OTHERS] + [SHIPPED, SUGGESTED]
    by_set = {name: {method: curve(result, method) for method in drawn} for name, result in results.items()}
    usual = [of for name, of in by_set.items() if name != COARSE]
    mean = {method: mean_curve([of[method] for of in usual]) for method in drawn}
    return figure({"mean of the sets but " + COARSE: mean, **by_set})


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("build/examples"), help="folder for encoded pictures")
    parser.add_argument("--again", type=Path, nargs="+", help="JSON of earlier runs to report instead of measuring")
    parser.add_argument("--sets", nargs="+", help="only these, by name")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--figure", type=Path, help="SVG to write")
    args = parser.parse_args()
    if (args.build is None) == (args.again is None):
        parser.error("give either --build or --again")
    if args.again:
        runs = [json.loads(path.read_text()) for path in args.again]
        run = {**runs[0], "sets": {name: result for one in runs for name, result in one["sets"].items()}}
    else:
        run = measured(args.build / "data", args.cache, args.draws, args.sets)
        if not run["sets"]:
            parser.error(f"no set is called {' or '.join(args.sets)}")
    report(run["sets"])
    if args.json:
        args.json.write_text(json.dumps(run) + "\n")
    if args.figure:
        args.figure.write_text(draw(run["sets"]), encoding="utf-8")


def measured(data: Path, cache: Path, draws: int, names: Sequence[str] | None) -> dict[str, Any]:
    """What the JSON holds: when and where it was measured, and the figures of each set."""
    encoder = encoders.load(models.find("mini"), torch.device("cpu"))
    assert encoder.seed_scale is not None
    results = {}
    for benchmark in scenes(data):
        if names is None or benchmark.name in names:
            results[benchmark.name] = measure(prepare(benchmark, encoder, cache), encoder.seed_scale, draws)
    machine = machine_facts(encoder.device)
    return {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "sets": results}


if __name__ == "__main__":
    main()
