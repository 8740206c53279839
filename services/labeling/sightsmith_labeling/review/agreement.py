"""How far reviewers agree beyond chance."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from sightsmith_labeling.review.deciding import say_the_same
from sightsmith_labeling.review.item import Answer

# What each reviewer said of one item.
Answers = Mapping[str, Answer]


@dataclass(frozen=True)
class PairAgreement:
    """How far two reviewers agree.

    Attributes:
        item_count: items that both have reviewed, at least 1.
        percent_agreement: share of them on which both said the same, boxes included.
        cohen_kappa: over the sets of labels; None where both only ever said one and the same.
    """

    reviewer: str
    other_reviewer: str
    item_count: int
    percent_agreement: float
    cohen_kappa: float | None


@dataclass(frozen=True)
class Agreement:
    """How far all reviewers agree.

    Attributes:
        item_count: items that two people or more have reviewed.
        percent_agreement: share of the pairs of reviews of one item that say the same, the mean over the items; None
            without items.
        fleiss_kappa: over the sets of labels; None without items, or where only one thing was ever said.
        pairs: ordered by name.
    """

    item_count: int
    percent_agreement: float | None
    fleiss_kappa: float | None
    pairs: Sequence[PairAgreement]


def agreement(items: Sequence[Answers]) -> Agreement:
    """Compares what reviewers said.

    Args:
        items: of each item, what each of its reviewers said, two at least.
    """
    together: dict[tuple[str, str], list[tuple[Answer, Answer]]] = defaultdict(list)
    shares = []
    for answers in items:
        pairs = list(combinations(sorted(answers), 2))
        for one, other in pairs:
            together[one, other].append((answers[one], answers[other]))
        shares.append(fmean(say_the_same(answers[one], answers[other]) for one, other in pairs))
    return Agreement(
        item_count=len(items),
        percent_agreement=fmean(shares) if shares else None,
        fleiss_kappa=fleiss_kappa([[_category(answer) for answer in answers.values()] for answers in items]),
        pairs=[_pair(*names, answers) for names, answers in sorted(together.items())],
    )


def cohen_kappa(ratings: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Agreement of two raters beyond chance.

    After J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20
    (1960).

    Args:
        ratings: the categories that the two gave each subject.

    Returns:
        1 for full agreement, 0 for as much as by chance; None without subjects, or if chance alone explains everything.
    """
    if not ratings:
        return None
    observed = fmean(one == other for one, other in ratings)
    first, second = Counter(one for one, _ in ratings), Counter(other for _, other in ratings)
    expected = sum(count * second[category] for category, count in first.items()) / len(ratings) ** 2
    return _beyond_chance(observed, expected)


def fleiss_kappa(ratings: Sequence[Sequence[Hashable]]) -> float | None:
    """Agreement of any number of raters beyond chance.

    After J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76 (1971).
    Subjects may have different numbers of ratings: each subject's agreement counts alike, and each rating in the
    categories' shares; with equal numbers this is the original.

    Args:
        ratings: the categories that each subject was given, two at least.

    Returns:
        1 for full agreement, 0 for as much as by chance; None without subjects, or if chance alone explains everything.
    """
    if not ratings:
        return None
    counts = [Counter(given) for given in ratings]
    observed = fmean(_share_of_agreeing_pairs(count) for count in counts)
    overall = sum(counts, Counter[Hashable]())
    expected = sum((count / overall.total()) ** 2 for count in overall.values())
    return _beyond_chance(observed, expected)


def _share_of_agreeing_pairs(count: Counter[Hashable]) -> float:
    total = count.total()
    return sum(given * (given - 1) for given in count.values()) / (total * (total - 1))


def _beyond_chance(observed: float, expected: float) -> float | None:
    return (observed - expected) / (1 - expected) if expected < 1 else None


def _category(answer: Answer) -> Hashable:
    return answer.verdict, frozenset(label for label, _ in answer.labels)


def _pair(one: str, other: str, answers: Sequence[tuple[Answer, Answer]]) -> PairAgreement:
    return PairAgreement(
        reviewer=one,
        other_reviewer=other,
        item_count=len(answers),
        percent_agreement=fmean(say_the_same(*pair) for pair in answers),
        cohen_kappa=cohen_kappa([(_category(said), _category(other_said)) for said, other_said in answers]),
    )
