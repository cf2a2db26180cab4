"""Groups texts by what they are about, and names a group in the texts' own words. No model is trained, and no number of groups is given.

Texts that are among one another's nearest form a graph; its communities (Louvain's method, with the share of neighbors two texts have in
common as weight) are small groups, and groups whose texts are nearly as like each other's as their own become one. For that each text speaks
as much by its neighbors as by itself, since one short text says little. What a group is to an organization, and whether it was there before,
is not decided here.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asoe.ai.encoder import Vectors
from asoe.ai.features import words_of
from asoe.ai.language import function_words

NEIGHBORS: Final = 12
RESOLUTION: Final = 12.0
"""Of modularity: more of it makes more and smaller groups to begin with."""
AS_LIKE: Final = 0.8
"""Groups become one from this share of the likeness inside the less alike of them. RESOLUTION and NEIGHBORS were chosen on cuts of the train
and dev parts of clinc150, it on cuts of the dev parts of clinc150 and banking77: even and uneven, of 8 to 150 subjects (`docs/evidence.md`)."""
STAYS_ONE: Final = 0.5
BECOMES_ONE: Final = 0.9
"""The same for parts of what was one group before, and of what were two: groups change only when it is clear."""
LEAST: Final = 4
"""Texts of a group; fewer are no topic."""
SHRUNK_BY: Final = 10
"""The texts of one organization have much in common that tells none from another: their mean is taken off, the more the more there are."""
LEAST_AUTHORS: Final = 2
_ROUNDS: Final = 5
_STAYS: Final = 0.05
"""How much more like another group's center a text must be to leave its own, once groups are known."""
_PART: Final = 0.1
"""A part of a group that was there before is looked at by itself from this share of it on."""
_LEAST_ALIKE: Final = 0.05
"""Texts less alike than this in the mean are of no subject; it keeps a group of one text from joining all."""
_BLOCK: Final = 512
_MOST_ROUNDS: Final = 20
_MOST_TERMS: Final = 5
_PAIR: Final = 1.5
"""What a pair of words is worth of one word: it reads better."""
_STEM: Final = 5
_WORD: Final = re.compile(r"[^\W_]+")
_NEVER: Final = frozenset(
    "please hello hi dear thanks thank regards hey email phone iban card secret name 0000 have has had get got does did can could would will "
    "need want know like just help tell let make made thing things one also any some there here yes no not don didn doesn won isn ve ll re".split()
)
"""What every text says and none is about."""

Labels = NDArray[np.int32]
_Term = tuple[str, ...]


def find_groups(vectors: Vectors, before: Labels | None = None) -> Labels:
    """The group of each text, counted from 0 with the largest first; -1 for a text of none. Rows are unit vectors.

    `before` says of which group each text was (-1: of none, or new): what was one stays one, what was two stays two, unless it is clear.
    """
    if len(vectors) < LEAST:
        return np.full(len(vectors), -1, np.int32)
    own = apart(vectors)
    linked = _shared(_nearest(own))
    own = _with_neighbors(own, linked)
    found = _joined(own, _communities(linked))
    if before is None or before.max() < 0:
        return _largest_first(_refined(own, found, rounds=_ROUNDS))
    parts, of = _parts(found, before)
    return _largest_first(_refined(own, _joined(own, parts, of), rounds=1, stays=_STAYS))


def apart(vectors: Vectors, shared: Vectors | None = None) -> Vectors:
    """Unit vectors of what tells the texts from one another: what they share (or `shared`) is taken off."""
    own = vectors - (shared_part(vectors) if shared is None else shared)
    found: Vectors = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-6)
    return found


def shared_part(vectors: Vectors) -> Vectors:
    found: Vectors = vectors.mean(axis=0) * (len(vectors) / (len(vectors) + SHRUNK_BY))
    return found


def centers(vectors: Vectors, labels: Labels) -> Vectors:
    """The mean vector of each group, shape (groups, dimensions)."""
    groups = int(labels.max(initial=-1)) + 1
    sums = np.zeros((groups, vectors.shape[1]), np.float32)
    np.add.at(sums, labels[labels >= 0], vectors[labels >= 0])
    sizes = np.maximum(np.bincount(labels[labels >= 0], minlength=groups), 1)
    found: Vectors = sums / sizes.astype(np.float32)[:, None]
    return found


def name_groups(
    texts: Sequence[str], authors: Sequence[str], labels: Sequence[int], *, groups: int
) -> list[tuple[str, ...]]:
    """For each group the words and pairs of words that it says and others do not, the best first (class-based TF-IDF).

    Nothing that fewer than LEAST_AUTHORS of its authors wrote is among them, so that no client's own words are.
    """
    wrote: list[dict[_Term, set[str]]] = [{} for _ in range(groups)]
    said: list[Counter[_Term]] = [Counter() for _ in range(groups)]
    spelled: dict[str, Counter[str]] = {}
    for text, author, label in zip(texts, authors, labels, strict=True):
        words = list(_words(text))
        for plain, word in words:
            spelled.setdefault(plain, Counter())[word] += 1
        for term in _terms([plain for plain, _ in words]):
            said[label][term] += 1
            wrote[label].setdefault(term, set()).add(author)
    sizes = Counter(labels)
    shares = [{term: count / sizes[group] for term, count in said[group].items()} for group in range(groups)]
    everywhere: dict[_Term, float] = {}
    for each in shares:
        for term, share in each.items():
            everywhere[term] = everywhere.get(term, 0.0) + share
    found = []
    for group in range(groups):
        scored = {
            term: share * log(1 + groups / everywhere[term]) * (_PAIR if len(term) > 1 else 1.0)
            for term, share in shares[group].items()
            if len(wrote[group][term]) >= LEAST_AUTHORS
        }
        found.append(tuple(" ".join(spelled[word].most_common(1)[0][0] for word in term) for term in _best(scored)))
    return found


def _best(scored: dict[_Term, float]) -> list[_Term]:
    """The best terms, none of which says again what a better one said."""
    taken: list[_Term] = []
    stems: set[str] = set()
    for term in sorted(scored, key=lambda term: (-scored[term], term)):
        own = {word[:_STEM] for word in term}
        if not own & stems:
            taken.append(term)
            stems |= own
        if len(taken) == _MOST_TERMS:
            break
    return taken


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Each word as it is counted and as it is written; "" where it says nothing."""
    for word in _WORD.findall(text.lower()):
        yield _telling(word), word


@lru_cache(maxsize=50_000)
def _telling(word: str) -> str:
    plain = "".join(words_of(word))
    is_telling = 2 < len(plain) < 30 and not any(char.isdigit() for char in plain)
    return plain if is_telling and plain not in function_words() and plain not in _NEVER else ""


def _terms(words: Sequence[str]) -> set[_Term]:
    pairs = {(one, other) for one, other in pairwise(words) if one and other and one != other}
    return {(word,) for word in words if word} | pairs


def _nearest(vectors: Vectors) -> NDArray[np.int32]:
    """For each text the NEIGHBORS most like it, itself left out; block by block, so that memory grows with the texts only."""
    most = min(NEIGHBORS, len(vectors) - 1)
    found = np.empty((len(vectors), most), np.int32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        likeness = block @ vectors.T
        likeness[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        found[start : start + len(block)] = np.argpartition(likeness, -most, axis=1)[:, -most:]
    return found


def _shared(nearest: NDArray[np.int32]) -> Any:
    """Texts that are neighbors, weighted by the share of neighbors they have in common (Jaccard)."""
    from scipy import sparse

    texts, most = nearest.shape
    rows = np.repeat(np.arange(texts), most)
    linked = sparse.csr_matrix((np.ones(rows.size, np.float32), (rows, nearest.ravel())), (texts, texts))
    own = linked + sparse.identity(texts, np.float32, "csr")
    either = ((linked + linked.T) > 0).astype(np.float32).tocoo()
    common = np.asarray(own[either.row].multiply(own[either.col]).sum(axis=1)).ravel()
    weights = common / (2 * (most + 1) - common)
    return sparse.csr_matrix((weights, (either.row, either.col)), (texts, texts))


def _with_neighbors(vectors: Vectors, linked: Any) -> Vectors:
    """Unit vectors of which the half is the text's own, the other half the mean of its neighbors', weighted by what they share with it."""
    means = (linked @ vectors) / np.maximum(np.asarray(linked.sum(axis=1)), 1e-6).reshape(-1, 1)
    found: Vectors = (vectors + means).astype(np.float32)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return found


def _communities(graph: Any) -> Labels:
    """Louvain's method (Blondel et al., 2008) with a queue of what may still move; the same graph always gives the same groups."""
    from scipy import sparse

    label, level = np.arange(graph.shape[0]), graph
    for _ in range(_MOST_ROUNDS):
        moved = _moved(level)
        groups, moved = np.unique(moved, return_inverse=True)
        label = moved[label]
        if len(groups) == level.shape[0]:
            break
        onto = sparse.csr_matrix((np.ones(len(moved)), (np.arange(len(moved)), moved)), (len(moved), len(groups)))
        level = (onto.T @ level @ onto).tocsr()
    return label.astype(np.int32)


def _moved(graph: Any) -> NDArray[np.int64]:
    """One level: each node goes to the neighboring group that gains most modularity, until none gains."""
    nodes = graph.shape[0]
    starts, others, weights = graph.indptr.tolist(), graph.indices.tolist(), graph.data.tolist()
    strength = np.asarray(graph.sum(axis=1)).ravel().tolist()
    total = sum(strength) or 1.0
    group, held = list(range(nodes)), list(strength)
    waiting, is_waiting = deque(np.random.default_rng(0).permutation(nodes).tolist()), [True] * nodes
    left = 50 * nodes
    while waiting and left:
        left -= 1
        node = waiting.popleft()
        is_waiting[node] = False
        mine, own = group[node], strength[node]
        links: dict[int, float] = {}
        for place in range(starts[node], starts[node + 1]):
            other = others[place]
            if other != node:
                links[group[other]] = links.get(group[other], 0.0) + weights[place]
        held[mine] -= own
        best, most = mine, links.get(mine, 0.0) - RESOLUTION * own * held[mine] / total
        for each, weight in links.items():
            gain = weight - RESOLUTION * own * held[each] / total
            if gain > most + 1e-12:
                best, most = each, gain
        held[best] += own
        if best != mine:
            group[node] = best
            for place in range(starts[node], starts[node + 1]):
                other = others[place]
                if group[other] != best and not is_waiting[other]:
                    is_waiting[other] = True
                    waiting.append(other)
    return np.asarray(group)


def _joined(vectors: Vectors, label: Labels, of: Labels | None = None) -> Labels:
    """Groups joined pair by pair, the most alike first: the mean likeness across two against that inside each (group average).

    `of` says of which group before each one is a part (-1: of none).
    """
    groups = int(label.max(initial=-1)) + 1
    of = np.full(groups, -1, np.int32) if of is None else of.copy()
    size = np.bincount(label, minlength=groups).astype(float)
    largest = size.copy()
    sums = np.zeros((groups, vectors.shape[1]))
    np.add.at(sums, label, vectors)
    across = sums @ sums.T
    inside = (across.diagonal() - size) / np.maximum(size * (size - 1), 1)
    is_left = np.ones(groups, bool)

    def alike(one: int) -> NDArray[np.float64]:
        """How like each other group it is, 1 being enough to be joined."""
        needed = np.where((of < 0) | (of[one] < 0), AS_LIKE, np.where(of == of[one], STAYS_ONE, BECOMES_ONE))
        likeness = across[one] / (size * size[one]) / np.maximum(np.minimum(inside, inside[one]), _LEAST_ALIKE)
        found: NDArray[np.float64] = likeness / needed
        found[one], found[~is_left] = -np.inf, -np.inf
        return found

    pairs = np.stack([alike(one) for one in range(groups)])
    becomes = np.arange(groups)
    while groups > 1:
        one, other = divmod(int(pairs.argmax()), groups)
        if pairs[one, other] < 1:
            break
        if of[one] < 0 or (of[other] >= 0 and largest[other] > largest[one]):
            of[one] = of[other]
        largest[one] = max(largest[one], largest[other])
        across[one] += across[other]
        across[:, one] += across[:, other]
        size[one] += size[other]
        inside[one] = (across[one, one] - size[one]) / max(size[one] * (size[one] - 1), 1)
        becomes[becomes == other] = one
        is_left[other] = False
        pairs[other], pairs[:, other] = -np.inf, -np.inf
        pairs[one] = pairs[:, one] = alike(one)
    return _numbered(becomes[label])


def _parts(label: Labels, before: Labels) -> tuple[Labels, Labels]:
    """Groups cut by what their texts were of before, and of what each part is; texts that are new go where most of their group were.

    A part too small to be looked at stays with the largest of what it was of.
    """
    was = before.copy()
    for group in range(int(label.max()) + 1):
        members = label == group
        known = was[members & (before >= 0)]
        if 2 * len(known) >= members.sum() and len(known):
            was[members & (before < 0)] = np.bincount(known).argmax()
    cuts, place, sizes = np.unique(np.stack([label, was]), axis=1, return_inverse=True, return_counts=True)
    of, becomes = cuts[1], np.arange(cuts.shape[1])
    for group in range(int(before.max()) + 1):
        mates = np.flatnonzero(of == group)
        if len(mates):
            small = sizes[mates] < max(LEAST, _PART * sizes[mates].sum())
            becomes[mates[small]] = mates[sizes[mates].argmax()]
    left, parts = np.unique(becomes[place.ravel()], return_inverse=True)
    return parts.astype(np.int32), of[left].astype(np.int32)


def _refined(vectors: Vectors, label: Labels, *, rounds: int, stays: float = 0.0) -> Labels:
    """Each text goes to the group whose center is most like it (Lloyd's method); its own counts for `stays` more."""
    for _ in range(rounds):
        middles = centers(vectors, label)
        middles /= np.maximum(np.linalg.norm(middles, axis=1, keepdims=True), 1e-6)
        alike = vectors @ middles.T
        alike[np.arange(len(label)), label] += stays
        label = _numbered(alike.argmax(axis=1))
    return label


def _numbered(label: NDArray[Any]) -> Labels:
    return np.unique(label, return_inverse=True)[1].astype(np.int32)


def _largest_first(label: Labels) -> Labels:
    """Groups renumbered by size; those with fewer than LEAST texts become -1."""
    _, place, sizes = np.unique(label, return_inverse=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    number = np.empty(len(sizes), np.int32)
    number[order] = np.arange(len(sizes))
    number[sizes < LEAST] = -1
    found: Labels = number[place]
    return found
