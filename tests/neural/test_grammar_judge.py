"""The judge of the story grammar: planted errors, and each sentence against a reader that knows English, not tokens."""

import dataclasses
import itertools

import numpy as np
import pytest

from neural.language.grammar import ADVERBS, TIMES, StoryGrammar
from neural.language.grammar_judge import Judgement, Verdict, judge
from neural.language.grammar_sampling import next_token_probabilities, sample
from neural.language.grammar_sentences import ARCS

DEFAULT = StoryGrammar()
SMALL = StoryGrammar(agents=2, objects=2, places=2, times=2)
NONE, TRUE, FALSE, UNGRAMMATICAL = Verdict


@dataclasses.dataclass
class Reader:
    """A story as a reader keeps it: where people are, where things are or who has them, and the time of day."""

    times: tuple[str, ...]
    people: dict[str, str] = dataclasses.field(default_factory=dict)
    things: dict[str, str] = dataclasses.field(default_factory=dict)
    hour: int = 0

    def place(self, name: str) -> str | None:
        """Where a person or thing is; None if it has not been mentioned."""
        where = self.things.get(name, name)
        return self.people.get(where, where if where in self.things.values() else None)

    def told(self, sentence: str) -> bool:
        """Whether a sentence (without its full stop) is true; it then becomes part of the story."""
        if sentence.startswith("then it is "):
            self.hour = (self.hour + 1) % len(self.times)
            return bool(self.people) and sentence.endswith(self.times[self.hour])
        if " ? " in sentence:
            question, answer = sentence.split(" ? ")
            asked = question.split()[-1]
            if question.startswith("where"):
                return self.place(asked) is not None and answer == f"in the {self.place(asked)}"
            owner = self.things.get(asked)
            return owner is not None and answer == (owner if owner in self.people else "nobody")
        subject, rest = sentence.split(maxsplit=1)
        return all(self.clause(subject, clause.split()) for clause in rest.split(" and "))

    def clause(self, subject: str, words: list[str]) -> bool:
        verb, *rest = words[1:] if words[0] in ADVERBS else words
        here, last = self.people.get(subject), rest[-1]
        if verb == "arrives":
            self.people[subject] = last
            return here is None
        if here is None:
            return False
        if verb == "goes":
            self.people[subject] = last
            return last != here
        if verb == "is":
            return last == here
        if verb == "meets":
            return last != subject and self.people.get(last) == here
        if verb == "has":
            return subject not in self.things.values() if last == "nothing" else self.things.get(last) == subject
        if verb == "sees":
            return self.place(last) == here and self.things[last] != subject
        thing = rest[1]
        owner, self.things[thing] = self.things.get(thing), subject if verb in ("finds", "takes") else here
        if verb == "gives":
            self.things[thing] = last
            return owner == subject != last and self.people.get(last) == here
        return owner == {"finds": None, "takes": here, "drops": subject}[verb]


def read(grammar: StoryGrammar, text: str) -> Reader | None:
    """The reader after a text, which starts afresh with each `<begin>`; None if some sentence was not true."""
    reader = Reader(TIMES[: grammar.times])
    for sentence in text.replace("<end>", "").split(" ."):
        words = sentence.strip()
        if "<begin>" in words:
            reader, words = Reader(TIMES[: grammar.times]), words.replace("<begin>", "").strip()
        if words and not reader.told(words):
            return None
    return reader


def every_sentence(grammar: StoryGrammar) -> list[str]:
    """All grammatical sentences without `and`, adverbs or full stop, written out from their patterns."""
    people, things, places = (grammar.classes[kind] for kind in ("AGENT", "OBJECT", "PLACE"))
    patterns = [
        *(f"A {verb} P" for verb in ("arrives in the", "goes to the", "is in the")),
        *(f"A {verb} the O" for verb in ("finds", "takes", "drops", "has", "sees")),
        *("A gives the O to B", "A meets B", "A has nothing"),
        *("where is A ? in the P", "where is the O ? in the P", "who has the O ? A", "who has the O ? nobody"),
        *(f"then it is {time}" for time in TIMES[: grammar.times]),
    ]
    found = set()
    for pattern, a, b, o, p in itertools.product(patterns, people, people, things, places):
        names = {"A": a, "B": b, "O": o, "P": p}
        found.add(" ".join(names.get(word, word) for word in pattern.split()))
    return sorted(found)


def walked(grammar: StoryGrammar) -> list[str]:
    """The same from the automaton: all ways from the start of a sentence to its full stop."""
    found, open_ = [], [("start", "")]
    while open_:
        slot, text = open_.pop()
        for _, words, after, _ in (arc for arc in ARCS if arc[0] == slot):
            if words in ("and", "ADVERB", "<end>"):
                continue
            if words == ".":
                found.append(text.strip())
                continue
            open_ += [(after, f"{text} {word}") for word in grammar.classes.get(words, (words,))]
    return sorted(found)


def judged(grammar: StoryGrammar, text: str) -> Judgement:
    return judge(grammar, grammar.encode(text)[None])


@pytest.mark.parametrize("grammar", [DEFAULT, SMALL, StoryGrammar(16, 32, 16, 6, 3.0, 0.1), StoryGrammar(1, 1, 2, 1)])
def test_sampled_stories_have_no_error_and_are_true(grammar: StoryGrammar) -> None:
    tokens = sample(grammar, 100, 200, seed=0)
    found = judge(grammar, tokens)
    assert np.all(found.first_error == 200)
    assert np.all(found.kind == NONE)
    assert np.array_equal(found.sentence == TRUE, tokens == grammar.token("."))
    assert np.all(found.reward(150, start=50) == 1.0)
    for row in tokens:
        text = grammar.decode(row)
        assert read(grammar, text[: text.rindex(" .")]) is not None


def test_sentences_are_the_patterns() -> None:
    assert walked(SMALL) == every_sentence(SMALL)


def test_every_sentence_is_true_exactly_where_the_reader_says_so() -> None:
    candidates = every_sentence(SMALL)
    stop, outcomes = SMALL.token("."), np.zeros(2, dtype=int)
    for story in sample(SMALL, 25, 120, seed=1):
        stops = np.flatnonzero(story == stop)
        prefix = story[: stops[min(3 * (int(story.sum()) % 6), len(stops) - 1)] + 1]
        text = SMALL.decode(prefix)
        texts = [SMALL.encode(f"{text} {sentence} .") for sentence in candidates]
        width = max(map(len, texts))
        padded = np.stack([np.pad(one, (0, width - len(one)), constant_values=stop) for one in texts])
        found = judge(SMALL, padded)
        truth = np.array([read(SMALL, f"{text} {sentence}") is not None for sentence in candidates])
        verdicts = found.sentence[np.arange(len(texts)), [len(one) - 1 for one in texts]]
        assert np.array_equal(verdicts, np.where(truth, TRUE, FALSE))
        assert np.all(found.first_error[~truth] >= len(prefix))
        assert np.all(found.kind[~truth] == FALSE)
        outcomes += [np.sum(~truth), np.sum(truth)]
    assert outcomes.min() > 100


STORY = "<begin> anna arrives in the attic . ben arrives in the barn . anna finds the apple . "


@pytest.mark.parametrize(
    ("said", "word", "kind"),
    [
        ("ben gladly takes the apple .", 2, FALSE),
        ("anna takes the apple .", 1, FALSE),
        ("anna drops the ball .", 3, FALSE),
        ("ben drops the apple .", 1, FALSE),
        ("anna gives the apple to ben .", 1, FALSE),
        ("anna goes to the barn and gives the apple to anna .", 10, FALSE),
        ("anna goes to the attic .", 4, FALSE),
        ("ben is in the attic .", 4, FALSE),
        ("ben has the apple .", 2, FALSE),
        ("anna has nothing .", 2, FALSE),
        ("anna arrives in the barn .", 1, FALSE),
        ("clara goes to the barn .", 1, FALSE),
        ("clara gladly goes to the barn .", 1, FALSE),
        ("ben meets anna .", 1, FALSE),
        ("ben finds the apple .", 3, FALSE),
        ("ben sees the apple .", 1, FALSE),
        ("where is clara ? in the barn .", 2, FALSE),
        ("where is the apple ? in the barn .", 7, FALSE),
        ("who has the apple ? ben .", 5, FALSE),
        ("who has the apple ? nobody .", 5, FALSE),
        ("who has the ball ? nobody .", 3, FALSE),
        ("then it is evening .", 3, FALSE),
        ("anna the apple .", 1, UNGRAMMATICAL),
        ("anna anna goes to the barn .", 1, UNGRAMMATICAL),
        ("anna goes the barn .", 2, UNGRAMMATICAL),
        ("anna gladly quickly goes to the barn .", 2, UNGRAMMATICAL),
        ("anna gladly has the apple .", 2, UNGRAMMATICAL),
        ("anna has the barn .", 3, UNGRAMMATICAL),
        ("anna has the apple ? anna .", 4, UNGRAMMATICAL),
        ("where is the apple . in the attic .", 4, UNGRAMMATICAL),
        ("where is ben ? in the barn and goes to the attic .", 7, UNGRAMMATICAL),
        ("goes to the barn .", 0, UNGRAMMATICAL),
        (". ben is in the barn .", 0, UNGRAMMATICAL),
        ("<begin> ben arrives in the barn .", 0, UNGRAMMATICAL),
        ("ben is in the <end>", 4, UNGRAMMATICAL),
        ("<end> ben arrives in the barn .", 1, UNGRAMMATICAL),
    ],
)
def test_planted_errors_are_found_where_they_stand(said: str, word: int, kind: Verdict) -> None:
    found = judged(DEFAULT, STORY + said)
    start = len(STORY.split())
    assert found.first_error.tolist() == [start + word]
    assert found.kind.tolist() == [kind]
    length = len(said.split())
    assert found.reward(length, start=start).tolist() == [word / length]
    assert found.reward(start).tolist() == [1.0]
    # The same from the probabilities: the first word that they exclude.
    tokens = DEFAULT.encode(STORY + said)
    before = next_token_probabilities(DEFAULT, tokens[None, : start + word])[0, -1]
    assert before[tokens[start + word]] == 0
    assert before.sum() == pytest.approx(1.0)


def verdicts(text: str) -> list[Verdict]:
    sentence = judged(DEFAULT, text).sentence[0]
    return [Verdict(v) for v in sentence[sentence > 0]]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("anna goes to the barn and gladly gives the apple to ben and has nothing and is in the barn .", [TRUE]),
        # A false sentence is as good as unsaid, also where its first clause was true.
        ("anna goes to the barn and meets anna . anna is in the attic .", [FALSE, TRUE]),
        ("ben takes the apple . who has the apple ? anna .", [FALSE, TRUE]),
        ("ben takes the apple . who has the apple ? ben .", [FALSE, FALSE]),
        # The first error of a sentence decides, and later errors are not charged again.
        ("ben takes takes the apple . ben is in the barn .", [FALSE, TRUE]),
        ("ben the takes apple clara . ben is in the attic .", [UNGRAMMATICAL, FALSE]),
        (". . ben is in the barn .", [UNGRAMMATICAL, UNGRAMMATICAL, TRUE]),
        # Boundaries of stories hold wherever they stand.
        ("ben is <end> <begin> ben arrives in the attic .", [UNGRAMMATICAL, TRUE]),
        ("ben is <begin> ben arrives in the attic .", [UNGRAMMATICAL, TRUE]),
        ("<end> <begin> ben is in the barn . ben arrives in the barn .", [FALSE, TRUE]),
        ("<end> ben is . <begin> ben arrives in the barn .", [UNGRAMMATICAL, TRUE]),
        # What is not finished is not judged.
        ("ben has the ball", []),
    ],
)
def test_counting_goes_on_after_an_error(said: str, expected: list[Verdict]) -> None:
    assert verdicts(STORY + said) == [TRUE, TRUE, TRUE, *expected]
    found = judged(DEFAULT, STORY + said)
    for verdict in (TRUE, FALSE, UNGRAMMATICAL):
        assert found.count(verdict, start=len(STORY.split())).tolist() == [expected.count(verdict)]


def test_rows_are_judged_alone() -> None:
    rng = np.random.default_rng(2)
    tokens = sample(DEFAULT, 40, 80, seed=2)
    spoiled = rng.random(tokens.shape) < 0.03
    tokens[spoiled] = rng.integers(0, len(DEFAULT.vocabulary), spoiled.sum())
    together = judge(DEFAULT, tokens)
    assert {NONE, FALSE, UNGRAMMATICAL} <= set(together.kind.tolist())
    for i, row in enumerate(tokens):
        alone = judge(DEFAULT, row[None])
        assert alone.first_error[0] == together.first_error[i]
        assert alone.kind[0] == together.kind[i]
        assert np.array_equal(alone.sentence[0], together.sentence[i])
        # Nothing is charged before the first error.
        assert np.all(together.sentence[i, : together.first_error[i]] <= TRUE)


@pytest.mark.parametrize("text", ["anna", ". <begin>", "<end>"])
def test_a_text_that_does_not_begin_is_ungrammatical_at_once(text: str) -> None:
    found = judged(DEFAULT, text)
    assert found.first_error.tolist() == [0]
    assert found.kind.tolist() == [UNGRAMMATICAL]


def test_noise_is_judged_without_fail() -> None:
    tokens = np.random.default_rng(3).integers(0, len(DEFAULT.vocabulary), (300, 120))
    tokens[:, 0] = 0
    found = judge(DEFAULT, tokens)
    assert np.all(found.first_error < 20)
    assert np.all(found.kind > TRUE)
    assert np.all(found.reward(119, start=1) < 0.2)


@pytest.mark.parametrize(
    ("horizon", "start", "message"),
    [
        (0, 0, "horizon must be an integer at least 1, got 0"),
        (9, 0, "horizon must be at most 8 after the start, got 9"),
        (1, 9, "start must be an integer from 0 to 8, got 9"),
    ],
)
def test_bad_horizons_are_named(horizon: int, start: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge(DEFAULT, sample(DEFAULT, 2, 8, seed=4)).reward(horizon, start)
    with pytest.raises(ValueError, match="tokens must be from 0 to 65, got 99"):
        judge(DEFAULT, np.array([[0, 99]]))
