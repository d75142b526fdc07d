"""Access tokens in free text, recognised by their published formats or by what stands before."""

import re

# Formats with a fixed prefix. 40 hex digits alone are no secret: a git commit looks the same.
_FORMATS = (
    r"hf_[A-Za-z0-9]{16,}",  # Hugging Face
    r"wandb_v\d+_\w{16,}",  # Weights & Biases
    r"gh[pousr]_[A-Za-z0-9]{16,}",  # GitHub
    r"github_pat_\w{16,}",
    r"glpat-[\w-]{16,}",  # GitLab
    r"sk-(?:proj-|svcacct-|ant-[a-z0-9]+-|or-v1-)?[A-Za-z0-9_]{16,}[\w-]*",  # OpenAI and alike
    r"xox[a-z]-[\w-]{10,}",  # Slack
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # Amazon
    r"AIza[\w-]{30,}",  # Google
    r"ya29\.[\w-]{16,}",
    r"pypi-[\w-]{16,}",
    r"npm_[A-Za-z0-9]{16,}",
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",  # JSON web tokens
)
_TOKEN = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_FORMATS)})")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
# "password: x", "API key is x", "token=x": letters and digits mixed, or it may be a word of prose
_ASSIGNED = re.compile(
    r"(?P<name>\b(?:api[_ -]?key|access[_ -]?key|token|secret|password|passwd|pwd)\b"
    r"[\"']?\s*(?:[:=]|\bis\b)\s*[\"']?)"
    r"(?=[^\s\"',;]*\d)(?=[^\s\"',;]*[A-Za-z])(?P<value>[^\s\"',;<>{}()\[\]]{8,})",
    re.IGNORECASE,
)


def masked(text: str, mask: str) -> str:
    """`text` with each token, private key and assigned password replaced by `mask`."""
    text = _PRIVATE_KEY.sub(mask, text)
    text = _TOKEN.sub(mask, text)
    return _ASSIGNED.sub(rf"\g<name>{mask}", text)
