"""The losses of pytorch-metric-learning as their papers have them, the slow and obvious way, in loops.

Each takes a `Way`, queries against the other modality, and gives the loss of that way; both ways are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor


class Way(NamedTuple):
    """Queries [Q, E] and others [R, E], and the others that are a query's own."""

    queries: Tensor
    others: Tensor
    own: list[list[int]]

    def foreign(self, q: int) -> list[int]:
        return [r for r in range(len(self.others)) if r not in self.own[q]]

    def cosine(self, q: int, r: int) -> float:
        return float(self.queries[q] @ self.others[r])

    def distance(self, q: int, r: int) -> float:
        return float((self.queries[q] - self.others[r]).norm())

    def rows(self) -> range:
        return range(len(self.queries))

    def pairs(self) -> Iterator[tuple[int, int]]:
        return ((q, p) for q in self.rows() for p in self.own[q])

    def triplets(self) -> Iterator[tuple[int, int, int]]:
        return ((q, p, n) for q, p in self.pairs() for n in self.foreign(q))


def ways(images: Tensor, captions: Tensor, owners: Tensor) -> tuple[Way, Way]:
    whose = owners.tolist()
    of_images = [[c for c, owner in enumerate(whose) if owner == i] for i in range(len(images))]
    return Way(images, captions, of_images), Way(captions, images, [[owner] for owner in whose])


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def mean_of_violations(values: list[float]) -> float:
    return mean([value for value in values if value > 0])


def log_sum(values: list[float], *, one: bool = False) -> float:
    total = sum(math.exp(value) for value in values) + one
    return math.log(total) if total and (values or one) else 0.0


def contrastive(way: Way) -> float:
    right = [way.distance(q, p) for q, p in way.pairs()]
    wrong = [1 - way.distance(q, n) for q in way.rows() for n in way.foreign(q)]
    return mean_of_violations(right) + mean_of_violations(wrong)


def contrastive_of_cosines(way: Way) -> float:
    right = [1 - way.cosine(q, p) for q, p in way.pairs()]
    wrong = [way.cosine(q, n) for q in way.rows() for n in way.foreign(q)]
    return mean_of_violations(right) + mean_of_violations(wrong)


def noise_contrastive(way: Way) -> float:
    def ratio(q: int, r: int) -> float:
        return float((way.queries[q] - way.others[r]).var() / way.queries[q].var())

    right = [ratio(q, p) for q, p in way.pairs()]
    wrong = [1 - ratio(q, n) for q in way.rows() for n in way.foreign(q)]
    return mean_of_violations(right) + mean_of_violations(wrong)


def triplet(way: Way) -> float:
    return mean_of_violations([way.distance(q, p) - way.distance(q, n) + 0.05 for q, p, n in way.triplets()])


def smooth_triplet(way: Way) -> float:
    gaps = [way.distance(q, p) - way.distance(q, n) + 0.05 for q, p, n in way.triplets()]
    return mean([math.log(1 + math.exp(gap)) for gap in gaps])


def margin(way: Way) -> float:
    right = [max(0.0, way.distance(q, p) - 1.2 + 0.2) for q, p, _ in way.triplets()]
    wrong = [max(0.0, 1.2 - way.distance(q, n) + 0.2) for q, _, n in way.triplets()]
    return sum(right + wrong) / sum(value > 0 for value in right + wrong)


def ntxent(way: Way) -> float:
    losses = []
    for q, p in way.pairs():
        right = math.exp(way.cosine(q, p) / 0.07)
        losses.append(
            -math.log(right / (right + sum(math.exp(way.cosine(q, n) / 0.07) for n in way.foreign(q))))
        )
    return mean(losses)


def supcon(way: Way) -> float:
    losses = []
    for q in way.rows():
        total = sum(math.exp(way.cosine(q, r) / 0.1) for r in range(len(way.others)))
        losses.append(-mean([math.log(math.exp(way.cosine(q, p) / 0.1) / total) for p in way.own[q]]))
    return mean_of_violations(losses)


def nca(way: Way) -> float:
    losses = []
    for q in way.rows():
        share = [math.exp(-(way.distance(q, r) ** 2)) for r in range(len(way.others))]
        if way.own[q]:
            losses.append(-math.log(sum(share[p] for p in way.own[q]) / sum(share)))
    return mean(losses)


def multi_similarity(way: Way) -> float:
    return mean(
        [
            log_sum([-2 * (way.cosine(q, p) - 0.5) for p in way.own[q]], one=True) / 2
            + log_sum([50 * (way.cosine(q, n) - 0.5) for n in way.foreign(q)], one=True) / 50
            for q in way.rows()
        ]
    )


def circle(way: Way) -> float:
    losses = []
    for q in way.rows():
        right = [-80 * max(0, 1.4 - way.cosine(q, p)) * (way.cosine(q, p) - 0.6) for p in way.own[q]]
        wrong = [80 * max(0, way.cosine(q, n) + 0.4) * (way.cosine(q, n) - 0.4) for n in way.foreign(q)]
        if right and wrong:
            losses.append(log_sum([log_sum(right) + log_sum(wrong)], one=True))
    return mean_of_violations(losses)


def angular(way: Way) -> float:
    tan = math.tan(math.radians(40)) ** 2
    losses = []
    for q, p in way.pairs():
        both = way.queries[q] + way.others[p]
        terms = [
            4 * tan * float(both @ way.others[n]) - 2 * (1 + tan) * way.cosine(q, p) for n in way.foreign(q)
        ]
        losses.append(log_sum(terms, one=True))
    return mean(losses)


def generalized_lifted(way: Way) -> float:
    return mean(
        [
            max(
                0.0,
                log_sum([way.distance(q, p) for p in way.own[q]])
                + log_sum([1 - way.distance(q, n) for n in way.foreign(q)]),
            )
            for q in way.rows()
        ]
    )


def tuplet(way: Way) -> float:
    losses = []
    for q, p in way.pairs():
        right = math.cos(math.acos(way.cosine(q, p)) - math.radians(5.73))
        losses.append(log_sum([64 * (way.cosine(q, n) - right) for n in way.foreign(q)], one=True))
    return mean(losses)


ONE_WAY: dict[str, Callable[[Way], float]] = {
    "AngularLoss": angular,
    "CircleLoss": circle,
    "ContrastiveLoss": contrastive,
    "GeneralizedLiftedStructureLoss": generalized_lifted,
    "MarginLoss": margin,
    "MultiSimilarityLoss": multi_similarity,
    "NCALoss": nca,
    "NTXentLoss": ntxent,
    "SignalToNoiseRatioContrastiveLoss": noise_contrastive,
    "SupConLoss": supcon,
    "TripletMarginLoss": triplet,
    "TupletMarginLoss": tuplet,
}


def lifted(images: Tensor, captions: Tensor, owners: Tensor) -> float:
    way, back = ways(images, captions, owners)
    losses = []
    for i, c in way.pairs():
        negatives = [1 - way.distance(i, n) for n in way.foreign(i)]
        negatives += [1 - back.distance(c, n) for n in back.foreign(c)]
        losses.append(max(0.0, log_sum(negatives) + way.distance(i, c)) ** 2 / 2)
    return mean(losses)


def threshold_consistent(images: Tensor, captions: Tensor, owners: Tensor) -> float:
    way, _ = ways(images, captions, owners)
    right = [0.9 - way.cosine(i, c) for i, c in way.pairs()]
    wrong = [way.cosine(i, n) - 0.5 for i in way.rows() for n in way.foreign(i)]
    return mean([one for one in right if one >= 0]) + mean([one for one in wrong if one >= 0])


def n_pairs(images: Tensor, captions: Tensor, owners: Tensor) -> float:
    way, _ = ways(images, captions, owners)
    described = [i for i in way.rows() if way.own[i]]
    losses = []
    for turn in range(max(len(own) for own in way.own)):
        chosen = [way.own[i][turn % len(way.own[i])] for i in described]
        score = [[way.cosine(i, c) for c in chosen] for i in described]
        for at in range(len(described)):
            losses.append(log_sum(score[at]) - score[at][at])
            losses.append(log_sum([row[at] for row in score]) - score[at][at])
    return mean(losses)


def histogram(images: Tensor, captions: Tensor, owners: Tensor) -> float:
    way, _ = ways(images, captions, owners)

    def density(values: list[float]) -> list[float]:
        nodes = [0.0] * 101
        for value in values:
            place = (value + 1) / 0.02
            below = math.floor(place)
            nodes[below] += (below + 1 - place) / len(values)
            nodes[below + 1] += (place - below) / len(values)
        return nodes

    right = density([way.cosine(i, c) for i, c in way.pairs()])
    wrong = density([way.cosine(i, n) for i in way.rows() for n in way.foreign(i)])
    return sum(wrong[r] * right[k] for r in range(101) for k in range(r + 1))


def vicreg(images: Tensor, captions: Tensor, owners: Tensor) -> float:
    mine = images[owners]
    count, width = captions.shape
    total = 25 * float(((mine - captions) ** 2).mean(1).mean())
    for side in (mine, captions):
        spread = [math.sqrt(float(side[:, k].var()) + 1e-4) for k in range(width)]
        total += 25 * mean([max(0.0, 1 - one) / 2 for one in spread])
        centred = side - side.mean(0)
        total += sum(
            float(centred[:, a] @ centred[:, b] / (count - 1)) ** 2 / width
            for a in range(width)
            for b in range(width)
            if a != b
        )
    return total


def dynamic_soft_margin(images: Tensor, captions: Tensor, owners: Tensor) -> float:
    history = [0.0] * 12
    losses = []
    for way in ways(images, captions, owners):
        gaps = [way.distance(q, p) - way.distance(q, n) for q, p, n in way.triplets()]
        keep = 0.99 if sum(history) else 0.0
        history = [keep * one for one in history]
        for gap in gaps:
            place = (gap + 2) / 0.4
            history[math.floor(place)] += (1 - keep) * (1 - place % 1)
            history[math.floor(place) + 1] += (1 - keep) * (place % 1)
        history = [one / sum(history) for one in history]
        losses.append(mean([sum(history[: math.floor((gap + 2) / 0.4) + 1]) * gap for gap in gaps]))
    return mean(losses)


BOTH_WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], float]] = {
    "DynamicSoftMarginLoss": dynamic_soft_margin,
    "HistogramLoss": histogram,
    "LiftedStructureLoss": lifted,
    "NPairsLoss": n_pairs,
    "ThresholdConsistentMarginLoss": threshold_consistent,
    "VICRegLoss": vicreg,
}


def cross_entropy(logits: list[float], right: int) -> float:
    return math.log(sum(math.exp(one - max(logits)) for one in logits)) + max(logits) - logits[right]


def arc_face(cosines: list[float], right: int) -> float:
    angle, gap = math.acos(cosines[right]), math.radians(28.6)
    turned = math.cos(angle + gap) if angle <= math.pi - gap else math.cos(angle) - gap * math.sin(gap)
    return cross_entropy([64 * (turned if k == right else one) for k, one in enumerate(cosines)], right)


def cos_face(cosines: list[float], right: int) -> float:
    return cross_entropy([64 * (one - 0.35 * (k == right)) for k, one in enumerate(cosines)], right)


def normalized_softmax(cosines: list[float], right: int) -> float:
    return cross_entropy([one / 0.05 for one in cosines], right)


def soft_triple(cosines: list[float], right: int) -> float:
    return cross_entropy([20 * (one - 0.01 * (k == right)) for k, one in enumerate(cosines)], right)


def proxy_nca(cosines: list[float], right: int) -> float:
    return cross_entropy([-(2 - 2 * one) for one in cosines], right)


OF_CLASSES: dict[str, Callable[[list[float], int], float]] = {
    "ArcFaceLoss": arc_face,
    "CosFaceLoss": cos_face,
    "NormalizedSoftmaxLoss": normalized_softmax,
    "ProxyNCALoss": proxy_nca,
    "SoftTripleLoss": soft_triple,
    "SubCenterArcFaceLoss": arc_face,
}
"""of one image or caption: its cosines to all classes, and its own class"""


def proxy_anchor(cosines: list[list[float]], labels: list[int]) -> float:
    classes = range(len(cosines[0]))
    right = [
        log_sum(
            [-32 * (row[k] - 0.1) for row, label in zip(cosines, labels, strict=True) if label == k], one=True
        )
        for k in classes
    ]
    wrong = [
        log_sum(
            [32 * (row[k] + 0.1) for row, label in zip(cosines, labels, strict=True) if label != k], one=True
        )
        for k in classes
    ]
    return sum(right) / len(set(labels)) + sum(wrong) / len(classes)
