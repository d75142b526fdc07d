"""Words and sentences of texts: the rules of UAX #29, and tokens that part or join characters."""

import numpy as np
import pytest

from fxformer.batch import Vocabulary
from fxformer.segmentation import begins_word, ends_sentence, sentences_of_text, words_of_text
from fxformer.spelling import TokenText
from fxformer.word_break import sentence_ends, word_boundaries

# In the notation of Unicode's own test file: ÷ a boundary, × none. One line or more for each rule.
RULES = """
÷ 000D × 000A ÷ 0061 ÷ 000A ÷ 0308 ÷
÷ 0061 ÷ 0085 ÷ 0061 ÷
÷ 1F469 × 200D × 1F52C ÷
÷ 0020 × 0020 ÷ 0061 ÷
÷ 0020 × 0308 ÷ 0020 ÷
÷ 0061 × 0308 × 00AD × 0062 ÷
÷ 0061 × 0062 ÷ 002C ÷ 0062 ÷
÷ 0061 × 0027 × 0062 ÷ 0027 ÷
÷ 0061 × 2060 × 003A × 0308 × 0062 ÷
÷ 0061 ÷ 003A ÷ 0031 ÷
÷ 05D0 × 0027 ÷ 0020 ÷
÷ 05D0 × 0022 × 05D0 ÷ 0022 ÷ 0061 ÷
÷ 0031 × 0061 × 0032 ÷
÷ 0033 × 002E × 0031 × 0034 ÷ 002E ÷
÷ 0031 × 002C × 0030 × 0027 × 0030 ÷ 003A ÷ 0031 ÷
÷ 30A2 × 30A4 ÷ 3042 ÷ 3042 ÷
÷ 0061 × 005F × 0031 × 005F × 30A2 ÷
÷ 1F1E6 × 1F1E7 ÷ 1F1E8 × 1F1E9 ÷ 1F1EA ÷ 0061 ÷
÷ 4E2D ÷ 56FD ÷ 4EBA ÷ 3002 ÷
÷ D55C × AD6D ÷ 0020 ÷ 0E01 ÷ 0E02 ÷
""".strip().splitlines()


def codes(text):
    return np.array([ord(c) for c in text], np.int64)


@pytest.mark.parametrize("line", RULES)
def test_word_boundaries_follow_the_rules(line):
    marks = line.split()
    points = np.array([int(mark, 16) for mark in marks[1::2]], np.int64)
    assert word_boundaries(points).tolist() == [mark == "÷" for mark in marks[:-1:2]]


@pytest.mark.parametrize(
    "text, ends",
    [
        ("One. Two! Three?", ["One.", " Two!", " Three?"]),
        ("他说话。你好！我走…了？对", ["他说话。", "你好！", "我走…", "了？"]),
        ("“好。”他说。", ["“好。”", "他说。"]),
        ('He said "no." Then (yes!) he left...', ['He said "no."', " Then (yes!)", " he left..."]),
        ("It is 3.14 in os.path, e.g., this. End", ["It is 3.14 in os.path, e.g., this."]),
        ("好!我走.", ["好!", "我走."]),
        ("no end", []),
    ],
)
def test_sentences_end_where_the_text_ends_them(text, ends):
    places = [0, *(np.flatnonzero(sentence_ends(codes(text))) + 1)]
    assert [text[a:b] for a, b in zip(places, places[1:], strict=False)] == ends


def spelt(*tokens, special=1):
    """A vocabulary of one special token and these, and their ids in order."""
    known = [None] * special + [t.encode() if isinstance(t, str) else t for t in tokens]
    none = np.zeros(len(known), bool)
    mark = np.arange(len(known)) < special
    words = Vocabulary(len(known), 0, mark, none, none, text=TokenText(known))
    return words, np.arange(special, len(known))


def begun(*tokens, new=(0,)):
    words, ids = spelt(*tokens)
    first = np.zeros(len(ids), bool)
    first[list(new)] = True
    return np.flatnonzero(begins_word(words, ids, first)).tolist()


def test_words_do_not_depend_on_how_they_are_cut():
    assert begun(" Don", "'", "t", " sto", "p", ".") == [0, 3, 5]
    assert begun(*"Don't stop.") == [0, 5, 10]  # a space is of the word behind it
    assert begun("low ", "er ", ".") == [0, 1, 2]  # and of the one before it where a token says so
    assert begun(" ", " ", "x", "\n", " ", "y") == [0, 3, 4]
    assert begun("中国", "人", "。") == [0, 1, 2]
    assert begun(*(bytes([b]) for b in "中a国".encode())) == [0, 3, 4]


def test_a_character_that_is_cut_off_is_no_reason_to_fail():
    tail = [bytes([b]) for b in "国人".encode()[1:]]
    assert begun(*tail) == [0, 2]
    assert begun(b"\xff", b"a", b"\xe4") == [0, 1, 2]


def test_texts_and_special_tokens_are_borders():
    assert begun("a", "b", "c", new=(0, 1)) == [0, 1]
    words, ids = spelt("a", "b")
    new = np.array([True, False, False])
    assert begins_word(words, np.array([ids[0], 0, ids[1]]), new).all()


def test_sentences_end_in_the_token_with_the_last_byte_of_their_mark():
    words, ids = spelt(*(bytes([b]) for b in "好。好".encode()), "”")
    new = np.arange(len(ids)) == 0
    assert np.flatnonzero(ends_sentence(words, ids, new)).tolist() == [5]
    words, ids = spelt("a", ".", '"', " b", "c.")
    new = np.arange(len(ids)) == 0
    assert np.flatnonzero(ends_sentence(words, ids, new)).tolist() == [2, 4]


def test_without_spelling_the_flags_of_the_vocabulary_count():
    flag = np.array([False, True, False])
    words = Vocabulary(3, 0, np.array([True, False, False]), flag, flag)
    ids, new = np.array([2, 1, 2]), np.array([True, False, False])
    assert begins_word(words, ids, new).tolist() == [True, True, False]
    assert ends_sentence(words, ids, new).tolist() == [False, True, False]


# One character or more of each Word_Break property, marks that end sentences and close them.
CLASSES = (
    "\r\n\x85\u0308\u00ad\u200d\u30a2aZ:,.1_\U0001f1e6\u05d0\"'  \U0001f469\u00a9x"
    "中。!?)]\u2019;\u2028\u3042\t"
)


def random_vocabulary(rng, kind):
    """Tokens of some characters: whole ones, also single bytes, or any cuts and an empty one. The
    first token is special, the second has no text."""
    few = list(CLASSES) if kind % 2 else rng.choice(list(CLASSES), 6).tolist()
    known = [a.encode() for a in few]
    known += ["".join(rng.choice(few, rng.integers(1, 5))).encode() for _ in range(30)]
    if kind == 1:
        known += [bytes([byte]) for a in few for byte in a.encode()]
    if kind == 2:
        cuts = [("".join(rng.choice(few, 3)).encode(), *rng.integers(0, 4, 2)) for _ in range(10)]
        known += [b"", *(text[low : low + 1 + size] for text, low, size in cuts)]
    return spelt(None, *known)[0]


@pytest.mark.parametrize("kind", range(4))
def test_tables_of_tokens_decide_what_the_whole_text_does(kind):
    rng = np.random.default_rng(kind)
    for _ in range(12):
        words = random_vocabulary(rng, kind)
        mute = rng.choice([0.1, 1.0])
        chance = np.where(np.arange(words.size) < 2, mute, 1.0)
        for count in (1, 5, 400):
            ids = rng.choice(words.size, count, p=chance / chance.sum())
            new = rng.random(count) < rng.choice([0.02, 0.2])
            new[0] = True
            alone = new | words.special[ids] | np.append(False, words.special[ids][:-1])
            begins = alone | words_of_text(words.text, ids, new)
            assert begins_word(words, ids, new).tolist() == begins.tolist()
            ends = sentences_of_text(words.text, ids, new)
            assert ends_sentence(words, ids, new).tolist() == ends.tolist()
