"""Tokens as a person reads them, and typed text with special tokens in it."""

import numpy as np
import pytest

from fxformer.data.special_tokens import Specials
from fxformer.data.tokenizer_basic import Byte, SymbolTokenizer
from fxformer.data.tokenizer_fast import ByteLevelBPE, Word
from fxformer.errors import UserError
from fxformer.inference.token_text import encode_text, token_strings

SPECIALS = Specials(sentinels=2)


def test_spaces_line_ends_and_broken_bytes_can_be_seen():
    tokenizer = Byte(specials=SPECIALS).make([])
    ids = tokenizer.encode("a b\n")
    broken = tokenizer.encode("é")[:1]
    assert token_strings(np.concatenate([ids, broken]), tokenizer) == ["a", "▁", "b", "↵", "\\xc3"]


def test_special_tokens_are_called_by_name_and_can_be_typed():
    for tokenizer in (
        Byte(specials=SPECIALS).make([]),
        Word(specials=SPECIALS, vocab_size=60).make(["the cat sat"] * 3),
    ):
        ids = tokenizer.ids
        typed = encode_text("the <mask> sat<extra_id_1></s>", tokenizer)
        assert typed[-2:].tolist() == [ids.sentinels[1], ids.eos] and (typed == ids.mask).sum() == 1
        shown = token_strings(typed, tokenizer)
        assert "<mask>" in shown and shown[-2:] == ["<extra_id_1>", "</s>"]


def test_special_tokens_can_be_typed_as_the_vocabulary_names_them():
    specials = Specials(mask="[MASK]", bos="[CLS]", eos="[SEP]")
    tokenizer = Word(specials=specials, vocab_size=60).make(["the cat sat"] * 3)
    for text in ("the [MASK] sat [SEP]", "the <mask> sat</s>"):
        ids = encode_text(text, tokenizer)
        assert [tokenizer.ids.mask, tokenizer.ids.eos] == ids[[1, 3]].tolist() and len(ids) == 4


def test_a_mask_takes_the_space_of_the_word_it_stands_for():
    texts = ["the cat sat on the mat and the dog sat"] * 20
    bpe = ByteLevelBPE(specials=SPECIALS, vocab_size=400).make(texts)
    typed = encode_text("the cat <mask> on the mat", bpe)
    whole = bpe.encode("the cat sat on the mat")
    place = typed.tolist().index(bpe.ids.mask)
    assert np.delete(typed, place).tolist() == np.delete(whole, place).tolist()
    assert token_strings(whole, bpe)[1] == "▁cat"
    letters = Byte(specials=SPECIALS).make([])
    assert token_strings(encode_text("a <mask>", letters), letters) == ["a", "▁", "<mask>"]


def test_text_without_specials_is_encoded_as_it_is():
    tokenizer = SymbolTokenizer(10)
    assert token_strings(encode_text("3 0 7", tokenizer), tokenizer) == ["3", "0", "7"]
    assert encode_text("", tokenizer).shape == (0,)
    markup = Byte(specials=SPECIALS).make([])
    assert "".join(token_strings(encode_text("<script>", markup), markup)) == "<script>"


def test_lone_surrogates_are_refused_with_their_place():
    with pytest.raises(UserError, match="character 2 of the text is a lone surrogate"):
        encode_text("a \ud800", Byte(specials=SPECIALS).make([]))
