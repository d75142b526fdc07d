"""Small files in the exact format of the GLUE download, with the traps of the real ones."""

from pathlib import Path

ROWS = 12  # of each split; those of QQP include one that lacks columns
BOM = "\ufeff"
PARSE = "( ( The cat ) ( sat . ) )"


def cola(n: int) -> str:
    """No header: source, label, author's mark, sentence; a quotation mark that is never closed."""
    return f'gj04\t{n % 2}\t{"*" if n % 2 == 0 else ""}\t"Sentence number {n} is here.'


def table(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


def sst2(n: int) -> str:
    return f"a {'fine' if n % 2 else 'dull'} film , number {n} \t{n % 2}"


def mrpc(n: int) -> str:
    """Quotation marks inside and at the begin of a string, not in pairs."""
    return f'{n % 2}\t{100 + n}\t{200 + n}\tHe said , " yes {n} .\t" He said yes {n} .'


def stsb(n: int) -> str:
    score = f"{(n % 6) * 0.8:.3f}"
    return (
        f'{n}\tmain-news\theadlines\t2015\t{n:04d}\tnone\tnone\tA man {n} .\tA "man {n} .\t{score}'
    )


def qqp(n: int) -> str:
    if n == 3:
        return f'{n}\t{2 * n}\t{2 * n + 1}\tWhat is "this'  # as rows of the real file
    return f"{n}\t{2 * n}\t{2 * n + 1}\tHow do I {n}?\tHow does one {n}?\t{n % 2}"


MNLI = ("entailment", "neutral", "contradiction")


def mnli(n: int, labels: int = 1) -> str:
    gold = MNLI[n % 3]
    first = f"{n}\t{n}p\t{n}c\tfiction\t{PARSE}\t{PARSE}\t{PARSE}\t{PARSE}"
    return f'{first}\tThe cat {n} sat .\tA "cat {n} sat .\t' + "\t".join([gold] * (labels + 1))


MNLI_HEAD = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\t"
)


def entailed(n: int) -> str:
    label = "not_entailment" if n % 2 else "entailment"
    return f'{n}\tIt is " {n} .\tSomething is {n} .\t{label}'


def wnli(n: int) -> str:
    return f"{n}\tThe box {n} fell .\tIt fell {n} .\t{n % 2}"


def write(root: Path, rows: int = ROWS) -> Path:
    """All files; rows of the two splits differ."""
    texts: dict[str, str] = {}
    for split, start in (("train", 0), ("dev", 100)):
        numbers = [*range(start, start + rows)]
        texts[f"CoLA/{split}.tsv"] = "\n".join(map(cola, numbers)) + "\n"
        texts[f"SST-2/{split}.tsv"] = table("sentence\tlabel", [*map(sst2, numbers)])
        head = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
        texts[f"MRPC/{split}.tsv"] = BOM + table(head, [*map(mrpc, numbers)])
        head = (
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
        )
        texts[f"STS-B/{split}.tsv"] = table(head, [*map(stsb, numbers)])
        head = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
        texts[f"QQP/{split}.tsv"] = table(head, [*map(qqp, numbers)])
        head = "index\tquestion\tsentence\tlabel"
        texts[f"QNLI/{split}.tsv"] = table(head, [*map(entailed, numbers)])
        head = "index\tsentence1\tsentence2\tlabel"
        texts[f"RTE/{split}.tsv"] = table(head, [*map(entailed, numbers)])
        texts[f"WNLI/{split}.tsv"] = table(head, [*map(wnli, numbers)])
    texts["MNLI/train.tsv"] = table(MNLI_HEAD + "label1\tgold_label", [*map(mnli, range(rows))])
    five = "\t".join(f"label{n}" for n in range(1, 6))
    for name, start in (("matched", 100), ("mismatched", 200)):
        made = [mnli(n, labels=5) for n in range(start, start + rows)]
        texts[f"MNLI/dev_{name}.tsv"] = table(MNLI_HEAD + five + "\tgold_label", made)
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root
