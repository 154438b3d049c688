"""Prompts to token ids: open_clip's byte-pair ids, or a compact vocabulary of those that occur in a small world."""

import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

PAD, UNKNOWN, START, FIRST_WORD = 0, 1, 2, 3


@lru_cache(maxsize=1)
def _bpe():
    from open_clip import SimpleTokenizer

    return SimpleTokenizer()


def build_vocabulary(captions: Iterable[str]) -> list[int]:
    """The byte-pair ids that occur in ``captions``, ascending; without the special ones."""
    bpe = _bpe()
    return sorted({token for caption in set(captions) for token in bpe.encode(caption)})


class PromptTokenizer:
    """``tokenize(prompts) -> ids`` of one length, with a warning where words are lost.

    Without a vocabulary the ids are open_clip's. With one they are compact: 0 padding, 1 unknown, 2 start, 3… the
    words, and the end of text has the highest id, where CLIP's pooling looks for it.

    Args:
        context_length: tokens a prompt, start and end included; longer ones are cut as open_clip cuts them.
        vocabulary: byte-pair ids, from :func:`build_vocabulary`.
    """

    def __init__(self, context_length: int = 77, vocabulary: Sequence[int] | None = None) -> None:
        self.context_length = context_length
        self.compact = None if vocabulary is None else {token: FIRST_WORD + i for i, token in enumerate(vocabulary)}

    @property
    def vocab_size(self) -> int:
        """Ids in use, so the size of the embedding table."""
        return _bpe().vocab_size if self.compact is None else FIRST_WORD + len(self.compact) + 1

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """(B, context_length) int64. The empty prompt is start, end and padding."""
        bpe = _bpe()
        start, end = (bpe.sot_token_id, bpe.eot_token_id) if self.compact is None else (START, self.vocab_size - 1)
        ids = torch.full((len(prompts), self.context_length), PAD, dtype=torch.long)
        for row, prompt in zip(ids, prompts, strict=True):
            tokens = [start, *self._words(prompt), end]
            if len(tokens) > self.context_length:
                kept = self.context_length
                warnings.warn(
                    f"the prompt has {len(tokens)} tokens and is cut to {kept}: {_shorten(prompt)!r}", stacklevel=2
                )
                tokens = [*tokens[: kept - 1], end]
            row[: len(tokens)] = torch.tensor(tokens)
        return ids

    def _words(self, prompt: str) -> list[int]:
        bpe = _bpe()
        tokens = bpe.encode(prompt)
        if self.compact is None:
            return tokens
        if any(token not in self.compact for token in tokens):
            lost = [word for word in prompt.split() if any(t not in self.compact for t in bpe.encode(word))]
            warnings.warn(f"words that this model does not know: {', '.join(dict.fromkeys(lost))}", stacklevel=2)
        return [self.compact.get(token, UNKNOWN) for token in tokens]


def _shorten(prompt: str, length: int = 60) -> str:
    return prompt if len(prompt) <= length else prompt[: length - 1] + "…"
