"""Writes vocabularies/: small vocabularies, and the ids that transformers' slow tokenizers give
hard texts with them. Run by a python with transformers 4 and sentencepiece:

    python make_vocabularies.py

Vocabularies that are there are kept: other versions of the libraries would train others.
"""

import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers

HERE = Path(__file__).parent / "vocabularies"
TEXT = (
    """The ship left the harbour before dawn, and nobody had slept that night.
She looked at him and said nothing. "It's cold," he thought; they'll turn to the north.
A naïve café in Zürich sold 1,000 cups for £5 in 2024, 3.14 each. 東京 の 日本語 テキスト.
Straße, Привет мир! def f(x): return x**2 # comment
The harbour was cold, and the others turned to the ships; nothing in the north had been there.
Nobody thought that the café would be sold, but she returned with two ways of saying nothing.
Before the night they left the cups, and he looked at the lines of the text: 1,000 or 2,024.
What would they find on the other side? They did not know it, and they did not ask for another.
There were many ways to turn, and they had looked at them all; it is said that ships have names.
Looking north, sleeping nobody, turning cold: these are lines and spaces, and the words of a text.
"""
    * 8
)
TEXTS = [
    "", " ", "\n\n", "The ship left the harbour.", "  two  spaces\tand\n\nlines ",
    "don't can't I'll WE'VE he'd ``quoted'' \"so\"", "naïve café Zürich, e\u0301 vs é; Å Ω",
    "1,000,000 ways, 3.14 in 2024,", "日本語のテキスト 東京", "Straße STRASSE ẞ İstanbul ﬁne ½",
    "Привет, мир! 한국어", "emoji 😀 zero\u200bwidth \xa0nbsp",
    "def f(x):\n    return x**2  # no\r\n",
    "\x00\x01 control \ufffd", "a new newtok anewtoken NEWTOK.", "x" * 130,
    ">>fra<< The ship left 5 << 6", ">>none<<nothing >>fra<<", ">>", "Das Schiff 東京 verlässt",
]  # fmt: skip
TARGETS = (
    """Das Schiff verließ den Hafen vor Tagesanbruch, und niemand hatte in der Nacht geschlafen.
Sie sah ihn an und sagte nichts. Es ist kalt, dachte er; sie wenden sich nach Norden.
Ein Café in Zürich verkaufte 1.000 Tassen; die Schiffe lagen im Hafen, und nichts war im Norden.
"""
    * 8
)


def word_vocabulary(cased: bool) -> str:
    """vocab.txt of WordPiece."""
    text = TEXT if cased else TEXT.lower().replace("ï", "i").replace("é", "e").replace("ü", "u")
    fast = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    letters = sorted({c for c in text if not c.isspace()})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    listed = list(dict.fromkeys(special + letters + ["##" + c for c in letters]))
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=len(listed) + 80, special_tokens=listed, show_progress=False
    )
    fast.train_from_iterator([text], trainer)
    return "".join(f"{name}\n" for name in sorted(fast.get_vocab(), key=fast.get_vocab().get))


def pairs(suffix: str | None, special: list[str]) -> tuple[dict[str, int], str]:
    """(vocab.json, merges.txt) of BPE: of bytes, or of characters with a mark of the last one."""
    fast = tokenizers.Tokenizer(tokenizers.models.BPE(end_of_word_suffix=suffix or ""))
    own = tokenizers.pre_tokenizers
    fast.pre_tokenizer = own.ByteLevel(False) if suffix is None else own.WhitespaceSplit()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        end_of_word_suffix=suffix or "",
        initial_alphabet=own.ByteLevel.alphabet() if suffix is None else [],
        show_progress=False,
    )
    fast.train_from_iterator([TEXT if suffix is None else TEXT.lower()], trainer)
    made = json.loads(fast.to_str())["model"]
    lines = [" ".join(pair) for pair in made["merges"]]
    return made["vocab"], "#version: 0.2\n" + "\n".join(lines) + "\n"


def ctrl(vocab: dict[str, int], merges: str) -> dict[str, int]:
    """CTRL's vocab.json over merges: pieces that go on end with @@; some are left out."""
    names = [name.removesuffix("</w>") if name.endswith("</w>") else f"{name}@@" for name in vocab]
    kept = [name for n, name in enumerate(names) if n % 7 != 3 or len(name) < 4]
    single = sorted({c for c in TEXT.lower() if not c.isspace()})
    listed = dict.fromkeys(["<unk>", *single, *kept])
    return {name: i for i, name in enumerate(listed)}


def pieces(file: Path, kind: str, size: int, text: str | None = None, **settings) -> None:
    """A SentencePiece model that changes no text, so that its file is small.

    It is written by `model_writer`: a model_prefix would be stored in it, with the path here."""
    written = io.BytesIO()
    made = dict(model_writer=written, model_type=kind, vocab_size=size,
                normalization_rule_name="identity", hard_vocab_limit=False, minloglevel=2,
                num_threads=1, character_coverage=1.0)  # fmt: skip
    if file.is_file():
        return
    lines = iter((TEXT.lower() + TEXT if text is None else text).split("\n"))
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, **made | settings)
    file.write_bytes(written.getvalue())


def write_vocabularies() -> None:
    """All files that the cases are made of."""
    HERE.mkdir(exist_ok=True)
    write("cased.txt", word_vocabulary(True))
    write("uncased.txt", word_vocabulary(False))
    for name, special in (("gpt2", ["<|endoftext|>"]), ("deberta", ["[CLS]", "[PAD]", "[SEP]",
                          "[UNK]", "[MASK]"]), ("roberta", ["<s>", "<pad>", "</s>", "<unk>",
                          "<mask>"])):  # fmt: skip
        dump(name, *pairs(None, special))
    vocab, merges = pairs("</w>", ["<unk>"])
    dump("openai", vocab, merges)
    dump("ctrl", ctrl(vocab, merges), merges)
    t5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    named = {"pad_id": 0, "pad_piece": "[PAD]", "bos_id": 1, "bos_piece": "[CLS]", "eos_id": 2,
             "eos_piece": "[SEP]", "unk_id": 3, "unk_piece": "[UNK]"}  # fmt: skip
    albert = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "bos_piece": "[CLS]", "eos_id": 3,
              "eos_piece": "[SEP]", "control_symbols": ["[MASK]"]}  # fmt: skip
    pieces(HERE / "t5.model", "unigram", 260, **t5)
    pieces(HERE / "spm.model", "unigram", 260, **named)
    pieces(HERE / "albert.model", "unigram", 260, **albert)
    pieces(HERE / "plain.model", "unigram", 260)
    pieces(HERE / "llama.model", "bpe", 520, byte_fallback=True, remove_extra_whitespaces=False)
    proto = sentencepiece.SentencePieceProcessor(model_file=str(HERE / "plain.model"))
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    names += [proto.id_to_piece(i) for i in range(3, len(proto)) if i % 11]
    write("m2m100.json", json.dumps({n: i for i, n in enumerate(names)}))
    pieces(HERE / "target.model", "unigram", 130, text=TARGETS)
    dump_marian()


def write(name: str, text: str) -> None:
    """A new file."""
    if not (HERE / name).is_file():
        (HERE / name).write_text(text)


def dump_marian() -> None:
    """Marian's vocab.json of both languages, some pieces left out, and one of each alone."""
    made = [sentencepiece.SentencePieceProcessor(model_file=str(HERE / f"{name}.model"))
            for name in ("plain", "target")]  # fmt: skip
    both = [[sp.id_to_piece(i) for i in range(3, len(sp)) if i % 13] for sp in made]
    ends = [">>deu<<", ">>fra<<", "<pad>"]
    for name, listed in (("marian", [*both[0], *both[1]]), ("marian_source", both[0]),
                         ("marian_target", both[1])):  # fmt: skip
        names = dict.fromkeys(["</s>", "<unk>", *listed, *ends])
        write(f"{name}.json", json.dumps({n: i for i, n in enumerate(names)}))


def dump(name: str, vocab: dict[str, int], merges: str) -> None:
    write(f"{name}.json", json.dumps(vocab))
    write(f"{name}.merges", merges)


def cases() -> dict[str, dict]:
    """{name: {"files": {target: source}, "config", "settings", "class"}}."""
    found: dict[str, dict] = {}

    def case(name, kind, cls, files, settings=None, **more):
        config = {"model_type": kind}
        found[name] = {"class": cls, "files": files, "config": config, "settings": settings} | more

    words = lambda name: {"vocab.txt": f"{name}.txt"}  # noqa: E731
    two = lambda name: {"vocab.json": f"{name}.json", "merges.txt": f"{name}.merges"}  # noqa: E731
    case("bert", "bert", "BertTokenizer", words("uncased"))
    case("electra", "electra", "ElectraTokenizer", words("uncased"))
    cased = {"do_lower_case": False}
    case("bert_cased", "bert", "BertTokenizer", words("cased"), cased)
    case("distilbert_cased", "distilbert", "DistilBertTokenizer", words("cased"), cased)
    case(
        "bert_accents",
        "bert",
        "BertTokenizer",
        words("cased"),
        {"do_lower_case": True, "strip_accents": False},
    )
    case(
        "bert_stripped",
        "bert",
        "BertTokenizer",
        words("cased"),
        {"do_lower_case": False, "strip_accents": True},
    )
    case(
        "bert_joined", "bert", "BertTokenizer", words("uncased"), {"tokenize_chinese_chars": False}
    )
    case("bert_added", "bert", "BertTokenizer", words("uncased"), added=["newtok", "[unused]"])
    case("prophetnet", "prophetnet", "ProphetNetTokenizer", {"prophetnet.tokenizer": "uncased.txt"})
    case("gpt2", "gpt2", "GPT2Tokenizer", two("gpt2"))
    case("gpt2_prefixed", "gpt2", "GPT2Tokenizer", two("gpt2"), {"add_prefix_space": True})
    case(
        "gpt2_added",
        "gpt2",
        "GPT2Tokenizer",
        two("gpt2"),
        added=["newtok", "<pad>"],
        named={"pad_token": "<pad>"},
    )
    for kind in ("roberta", "bart", "longformer", "led"):
        cls = {"led": "LEDTokenizer"}.get(kind, f"{kind.capitalize()}Tokenizer")
        case(kind, kind, cls, two("roberta"))
    case("deberta", "deberta", "DebertaTokenizer", two("deberta"))
    case(
        "qwen2",
        "qwen2",
        "Qwen2Tokenizer",
        two("gpt2"),
        {"bos_token": None, "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
    )
    case("openai", "openai-gpt", "OpenAIGPTTokenizer", two("openai"))
    case("ctrl", "ctrl", "CTRLTokenizer", two("ctrl"))
    case("t5", "t5", "T5Tokenizer", {"spiece.model": "t5.model"})
    case("t5_few", "t5", "T5Tokenizer", {"spiece.model": "t5.model"}, {"extra_ids": 7})
    case("mt5", "mt5", "T5Tokenizer", {"spiece.model": "t5.model"}, {"extra_ids": 0})
    case("pegasus", "pegasus", "PegasusTokenizer", {"spiece.model": "t5.model"})
    case("albert", "albert", "AlbertTokenizer", {"spiece.model": "albert.model"})
    case(
        "albert_cased",
        "albert",
        "AlbertTokenizer",
        {"spiece.model": "albert.model"},
        {"do_lower_case": False, "keep_accents": True, "remove_space": False},
    )
    case(
        "deberta_v2",
        "deberta-v2",
        "DebertaV2Tokenizer",
        {"spm.model": "spm.model"},
        added=["[MASK]"],
    )
    case(
        "deberta_v2_lower",
        "deberta-v2",
        "DebertaV2Tokenizer",
        {"spm.model": "spm.model"},
        {"do_lower_case": True},
        added=["[MASK]"],
    )
    bpe = {"sentencepiece.bpe.model": "plain.model"}
    case("xlm_roberta", "xlm-roberta", "XLMRobertaTokenizer", bpe)
    case("mbart", "mbart", "MBartTokenizer", bpe)
    case("mbart50", "mbart", "MBart50Tokenizer", bpe, {"tokenizer_class": "MBart50Tokenizer"})
    case("nllb", "m2m_100", "NllbTokenizer", bpe, {"tokenizer_class": "NllbTokenizer"})
    case("m2m_100", "m2m_100", "M2M100Tokenizer", bpe | {"vocab.json": "m2m100.json"})
    two_models = {"source.spm": "plain.model", "target.spm": "target.model"}
    case("marian", "marian", "MarianTokenizer", two_models | {"vocab.json": "marian.json"})
    apart = {"vocab.json": "marian_source.json", "target_vocab.json": "marian_target.json"}
    case("marian_apart", "marian", "MarianTokenizer", two_models | apart, {"separate_vocabs": True})
    case("llama", "llama", "LlamaTokenizer", {"tokenizer.model": "llama.model"})
    return found


def laid(case: dict, folder: Path) -> Path:
    """The files of a case as the folder of a published model has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for target, source in case["files"].items():
        shutil.copyfile(HERE / source, folder / target)
    (folder / "config.json").write_text(json.dumps(case["config"]))
    if case["settings"] is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(case["settings"]))
    if case.get("named"):
        (folder / "special_tokens_map.json").write_text(json.dumps(case["named"]))
    if case.get("ids"):
        (folder / "added_tokens.json").write_text(json.dumps(case["ids"]))
    return folder


def main() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import transformers

    transformers.logging.set_verbosity_error()
    write_vocabularies()
    said = {}
    for name, case in cases().items():
        with tempfile.TemporaryDirectory() as place:
            cls = getattr(transformers, case["class"])
            if case.get("added"):
                bare = cls.from_pretrained(str(laid(case | {"named": None}, Path(place))))
                end = len(bare) - ("[MASK]" in case["added"])  # which DeBERTa adds by itself
                case["ids"] = {token: end + n for n, token in enumerate(case.pop("added"))}
            slow = cls.from_pretrained(str(laid(case, Path(place))))
            case["special"] = {
                slot: getattr(slow, f"{slot}_token_id") for slot in ("pad", "unk", "mask")
            }
            case["sentinels"] = [
                i for t, i in sorted(slow.get_added_vocab().items()) if t.startswith("<extra_id_")
            ]
            case["encoded"] = [slow(t, add_special_tokens=False)["input_ids"] for t in TEXTS]
            if case["config"]["model_type"] == "marian":
                made = [slow(text_target=t, add_special_tokens=False)["input_ids"] for t in TEXTS]
                unk = slow.unk_token_id
                known = [[i for i in ids if i != unk] for ids in made]
                case["targets"], case["decoded"] = made, [slow.decode(ids) for ids in known]
        said[name] = case
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in said.items()]
    body = ",\n".join([f'"texts": {json.dumps(TEXTS)}', *lines])
    (HERE / "golden.json").write_text("{" + body + "}\n")


if __name__ == "__main__":
    main()
