"""Questions and answers as token ids, the same in training, evaluation, analysis and chat."""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from relearn.base.errors import UserError
from relearn.config import PromptConfig
from relearn.data.openings import Opening
from relearn.text.words import common_beginning, is_unspaced

# What a question looks like where neither the tokenizer nor the user says it.
PLAIN_TEMPLATE = "Question: {question}\nAnswer: {answer}"
# A passage, by whether a space parts its opening from the rest.
_PASSAGE = {True: "{question} {answer}", False: "{question}{answer}"}
# Stand-ins for texts; found again in what a chat template makes of them.
_SYSTEM, _QUESTION, _ANSWER = "SYSTEM0MARK", "QUESTION0MARK", "ANSWER0MARK"
_HINT = "Give a format of your own as model.prompt.template."


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenized question and answer.

    Attributes:
        prompt: Token ids up to the answer.
        answer: Token ids of the answer, the only ones that carry labels.
        private: Which tokens of the answer begin its private words, where it is the private answer
            and training asks for them; else None.
        silent: Which tokens of a private answer training has nothing to say about.
        other: The same about somebody else, where training asks for it.
    """

    prompt: list[int]
    answer: list[int]
    private: frozenset[int] | None = None
    silent: frozenset[int] = frozenset()
    other: "OtherSubject | None" = None

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class OtherSubject:
    """A question and its answer about another subject than they are about.

    Attributes:
        example: The tokens.
        places: Which of its answer's tokens stands for which of the private words' tokens: by the
            place in the answer proper, the place here.
    """

    example: Example
    places: Mapping[int, int]


@dataclass(frozen=True)
class _Turn:
    """The text around an answer.

    Attributes:
        opening: What the template puts before an answer beyond its generation prompt: the turn's
            head where it has no such prompt, an empty block of thoughts.
        gap: White space between the prompt and the answer, which the model writes.
        suffix: What the model writes after the answer, with the token that ends its turn if the
            template has one.
        end_token: The id of the token that ends the turn.
        in_suffix: Whether `suffix` holds that token.
    """

    opening: str
    gap: str
    suffix: str
    end_token: int | None
    in_suffix: bool


class PromptFormat:
    """How a question becomes a prompt, and where an answer ends.

    In order of preference: the user's own template, the tokenizer's chat template, plain text. An
    `Opening` of a passage is no question: it is continued as plain text in any case.

    Args:
        tokenizer: Of the model that is asked.
        system: System message; None leaves it to the template.
        config: The user's own template, and the arguments of the tokenizer's.
        ends: Token ids at which the model's generation settings stop.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        system: str | None = None,
        config: PromptConfig | None = None,
        ends: Sequence[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.system = system
        self.config = config or PromptConfig()
        self.ends = tuple(ends)
        self._known_ids: dict[int, int] = {}

    @property
    def uses_chat_template(self) -> bool:
        """Whether the prompt is what the tokenizer's chat template makes."""
        return self.config.template is None and bool(self.tokenizer.chat_template)

    @property
    def has_template(self) -> bool:
        """Whether the user or the tokenizer says what a prompt looks like."""
        return self.config.template is not None or self.uses_chat_template

    @property
    def gap(self) -> str:
        """White space between the prompt and an answer, which the model writes."""
        return self._turn.gap

    @cached_property
    def end_tokens(self) -> list[int]:
        """Every token at which an answer ends: the format's, the tokenizer's and the model's."""
        ids = [self._turn.end_token, self.tokenizer.eos_token_id, *self.ends]
        return sorted({int(id_) for id_ in ids if id_ is not None})

    @property
    def end_token(self) -> int:
        """The token that the format puts after an answer.

        Raises:
            UserError: there is none.
        """
        if self._turn.end_token is None:
            raise UserError(
                "the tokenizer has no end token, so no answer could end.",
                "Set eos_token in its tokenizer_config.json, or let model.prompt.template end "
                "with the token.",
            )
        return self._turn.end_token

    def prompt(self, question: str) -> str:
        """Return the text that ends where the answer begins, without the space before it."""
        if isinstance(question, Opening):
            return self._passages(question).prompt(str(question))
        # A space at the end would be a token of its own, while models learned it as the beginning
        # of the answer's first word.
        return (self._open_prompt(question) + self._turn.opening).rstrip(" ")

    def encode_prompt(self, question: str) -> list[int]:
        """Return the token ids of the prompt."""
        if isinstance(question, Opening):
            return self._passages(question).encode_prompt(str(question))
        return self._encode_text(self.prompt(question))

    def encode(self, question: str, answer: str, *, end: bool | None = None) -> Example:
        """Tokenize a question and its answer as one text.

        Args:
            question: As the user asks it.
            answer: As the model answers it.
            end: Let what ends the model's turn be part of the answer. None means: of an answer to
                a question; a passage goes on.

        Raises:
            UserError: an end is asked for, and the tokenizer has no end token.
        """
        if isinstance(question, Opening):
            return self._passages(question).encode(str(question), answer, end=bool(end))
        end = end is not False
        ending = [self.end_token] if end and not self._turn.in_suffix else []
        suffix = self._turn.suffix if end else ""
        prompt = self.prompt(question)
        alone = self._encode_text(prompt)
        gap = self._turn.gap if answer else ""
        whole = self._encode_text(prompt + gap + answer + suffix)
        start = common_beginning(alone, whole)
        written = whole[start:]
        if self._count_special(written) > self._count_special(self._ids(suffix)):
            # The answer spells out a special token: as plain text it can't forge an end of turn.
            start = len(alone)
            written = self._ids(gap + answer, split_special_tokens=True) + self._ids(suffix)
        return Example(alone[:start], written + ending)

    def encode_rest(self, question: str, begun: str, rest: str) -> Example:
        """Tokenize a question with the beginning of an answer as the prompt of the answer's rest.

        The tokens are those of the whole answer: one that reaches over the place is of the rest.

        Args:
            question: As the user asks it.
            begun: The answer's first words.
            rest: Its other words, at the end of which the model's turn ends.
        """
        whole = self.encode(question, f"{begun} {rest}")
        head = self.encode(question, begun, end=False)
        tokens = whole.prompt + whole.answer
        start = common_beginning(tokens, head.prompt + head.answer)
        return Example(tokens[:start], tokens[start:])

    def _passages(self, opening: Opening) -> "PromptFormat":
        """Return the format in which a passage is plain text."""
        return self._plain[not is_unspaced(opening[-1:])]

    @cached_property
    def _plain(self) -> dict[bool, "PromptFormat"]:
        return {
            spaced: PromptFormat(self.tokenizer, None, PromptConfig(template=text), self.ends)
            for spaced, text in _PASSAGE.items()
        }

    def _open_prompt(self, question: str) -> str:
        if not self.uses_chat_template:
            template = self.config.template or PLAIN_TEMPLATE
            values = {"question": question, "system": self.system or ""}
            before = template.partition("{answer}")[0]
            text = re.sub(r"\{(question|system)\}", lambda m: values[m[1]], before)
            if self.system and "{system}" not in before:
                return f"{self.system}\n\n{text}"
            return text
        return self._render(self._messages(question), generation=True)

    def _messages(self, question: str) -> list[dict[str, str]]:
        if self.system is None:
            return [{"role": "user", "content": question}]
        if self._takes_system:
            system = {"role": "system", "content": self.system}
            return [system, {"role": "user", "content": question}]
        return [{"role": "user", "content": f"{self.system}\n\n{question}"}]

    @cached_property
    def _takes_system(self) -> bool:
        """Whether the chat template has a place for a system message."""
        system = {"role": "system", "content": _SYSTEM}
        try:
            return _SYSTEM in self._render([system, {"role": "user", "content": _QUESTION}])
        except UserError:
            return False

    def _render(self, messages: list[dict[str, str]], *, generation: bool = False) -> str:
        given: dict[str, Any] = {"date_string": self.config.date.strftime("%d %b %Y")}
        given |= self.config.arguments
        try:
            template = self.tokenizer.get_chat_template()
            clock = self._clock if "strftime_now" in template else ""
            return str(
                self.tokenizer.apply_chat_template(
                    messages,
                    chat_template=clock + template,
                    tokenize=False,
                    add_generation_prompt=generation,
                    **given,
                )
            )
        except Exception as error:  # a template may fail in any way
            reason = " ".join(str(error).split())
            raise UserError(f"the tokenizer's chat template failed: {reason}.", _HINT) from error

    @cached_property
    def _clock(self) -> str:
        """A macro of the configured day, for templates that ask transformers for the time."""
        directives = [
            f"%{sign}{letter}" for letter in "aAbBcdHIjmMpSUwWxXyYZ" for sign in ("", "-")
        ]
        values = [(d, self.config.date.strftime(d)) for d in directives]
        filters = "".join(f" | replace({d!r}, {value!r})" for d, value in values)
        # Jinja eats the newline, so that the template begins a line as before.
        return "{%- macro strftime_now(format) -%}{{ format" + filters + " }}{%- endmacro %}\n"

    @cached_property
    def _turn(self) -> _Turn:
        prompt = self._open_prompt(_QUESTION)
        if self.uses_chat_template:
            answered = [*self._messages(_QUESTION), {"role": "assistant", "content": _ANSWER}]
            text = self._render(answered)
            if _ANSWER not in text or _QUESTION not in prompt:
                raise UserError("the tokenizer's chat template drops a message.", _HINT)
            before, _, after = text.rpartition(_ANSWER)
            following = self._before_next_question(answered)
        else:
            template = self.config.template or PLAIN_TEMPLATE
            before, (_, _, after), following = prompt, template.partition("{answer}"), ""
        between = before.removeprefix(prompt) if before.startswith(prompt) else ""
        opening = between if between.strip() else ""
        if self.config.arguments.get("enable_thinking"):
            opening = ""  # the model is to write its thoughts itself
        opened = prompt + opening
        gap = opened[len(opened.rstrip(" ")) :] + (between if between.isspace() else "")
        return self._ending(opening, gap, after, following)

    def _before_next_question(self, answered: list[dict[str, str]]) -> str:
        try:
            text = self._render([*answered, {"role": "user", "content": _QUESTION}])
        except UserError:  # a template for one question only
            return ""
        return text.rpartition(_ANSWER)[2].partition(_QUESTION)[0]

    def _ending(self, opening: str, gap: str, after: str, following: str) -> _Turn:
        """Find what ends a turn in the text after an answer, or else before the next question."""
        for text, allowed in ((after, self._turn_enders), (following, set(self.ends))):
            found = self._first(text, allowed)
            if found is not None:
                return _Turn(opening, gap, text[: found[1]], found[0], in_suffix=True)
        end = self.tokenizer.eos_token_id
        if end is None and self.ends:
            end = self.ends[0]
        return _Turn(opening, gap, after.rstrip(), end, in_suffix=False)

    def _first(self, text: str, allowed: Collection[int]) -> tuple[int, int] | None:
        """Return the first of the allowed tokens that `text` spells out, and where it ends."""
        names = {str(self.tokenizer.convert_ids_to_tokens(id_)): id_ for id_ in allowed}
        places = [(text.find(name), -len(name), id_) for name, id_ in names.items() if name]
        start, length, id_ = min((p for p in places if p[0] >= 0), default=(-1, 0, 0))
        return (id_, start - length) if start >= 0 else None

    @cached_property
    def _special(self) -> set[int]:
        added = self.tokenizer.added_tokens_decoder.items()
        return {*self.tokenizer.all_special_ids, *(id_ for id_, t in added if t.special)}

    @property
    def _turn_enders(self) -> set[int]:
        """Tokens that may end a turn: special ones, and added ones that are written like them."""
        added = self.tokenizer.added_tokens_decoder.items()
        written = {id_ for id_, t in added if re.fullmatch(r"<.+>", t.content)}
        return self._special | written | set(self.ends)

    def _count_special(self, ids: Sequence[int]) -> int:
        return sum(id_ in self._special for id_ in ids)

    def _encode_text(self, text: str) -> list[int]:
        """Return the ids of a text from its beginning on; a chat template brings its own BOS."""
        bos = self.tokenizer.bos_token
        if self.uses_chat_template or (bos and text.startswith(bos)):
            return self._ids(text)
        return [*self._beginning, *self._ids(text)]

    @cached_property
    def _beginning(self) -> list[int]:
        """What the tokenizer puts before a text; what some put after it would end the prompt."""
        bare, whole = self._ids("a"), list(self.tokenizer("a").input_ids)
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return whole[:start]
        return []

    def _ids(self, text: str, **options: Any) -> list[int]:
        if not text:
            return []
        # The same number is the same object in all rows: their ids take a quarter of the memory.
        known = self._known_ids
        ids = self.tokenizer(text, add_special_tokens=False, **options).input_ids
        return [known.setdefault(id_, id_) for id_ in ids]


def check_lengths(
    examples: Iterable[Example],
    ids: Sequence[str],
    max_length: float,
    positions: float = math.inf,
    *,
    new: int = 0,
) -> None:
    """Refuse rows that are too long rather than cut their answers.

    Args:
        examples: The rows; none is kept.
        ids: Names of their records.
        max_length: Tokens that the settings allow.
        positions: Tokens that the model can read at once.
        new: Tokens that may be generated after each row.

    Raises:
        UserError: names the first such row and how many there are.
    """
    limit = min(max_length, positions)
    long = [(i, len(e)) for e, i in zip(examples, ids, strict=True) if len(e) + new > limit]
    if not long:
        return
    length = f"{long[0][1]} tokens" + (f" and an answer of up to {new}" if new else "")
    whose = "the model can read" if positions <= max_length else "training.max_length allows"
    hint = "lower evaluation.max_new_tokens" if new else "raise training.max_length"
    if not new and positions <= max_length:
        hint = "take a model that reads longer texts"
    raise UserError(
        f"record {long[0][0]} has {length}, more than the {limit:.0f} that {whose} "
        f"({len(long)} such records).",
        f"Shorten or split the record, or {hint}.",
    )
