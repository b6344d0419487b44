"""The authorship of a message: a person's own words, words that a template wraps, or a front end's prompt that quotes.

Front ends send prompts of their own as ordinary user messages (titles, tags, follow-up questions, memories, compaction),
and these quote the conversation. Acting on a quotation would do the same thing twice, or do what only an answer or a
document said. So a message is judged by its structure and by what this daemon knows, never by a list of known prompts:

- it is a slash command or a decision as a whole: a person's;
- it holds a transcript (role labels, chat-history tags, a list of role and content), or repeats a recent request or answer
  of the same identity inside other text, or a system prompt asks for a title, a summary or the like: it quotes;
- it asks for such a form directly and for nothing on chain: it quotes;
- it puts a block in tags before the words: what follows the last closing tag is the request, the rest is data;
- otherwise it is a person's, and `doubtful` if its structure leaves room for another reading.

Pure, and linear in the length of the text.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from agent.planning.forms import FORM_KEYS, Form, asked_form, mentions_conversation
from agent.planning.typography import INVISIBLE

DOUBTFUL_LINES: Final = 12
DOUBTFUL_CHARACTERS: Final = 1000
"""People's requests are shorter; a longer message may hold text that somebody else wrote."""
REPEATED_REQUEST: Final = 12
REPEATED_ANSWER: Final = 24
"""Characters from which a request or an answer that stands inside other text counts as repeated."""


@dataclass(frozen=True, slots=True)
class OwnWords:
    """A request in a person's own words."""

    text: str
    doubtful: bool = False
    """The structure leaves room for another reading: such a request is never free."""


@dataclass(frozen=True, slots=True)
class WrappedWords:
    """A request that a front end put behind a block of context. It is never free."""

    text: str
    context: str
    """Everything before the request: data."""


@dataclass(frozen=True, slots=True)
class FrontEndPrompt:
    """A prompt that quotes a conversation, or asks for a title, tags and the like. It plans nothing."""

    form: Form | None
    """None: it asks for no form that is known, so the answer is a question."""
    quoted: str
    """The text that the answer is about."""
    mixed: bool = False
    """It also asks for a change outside of what it quotes; nobody can say whose words these are."""


Authorship: TypeAlias = OwnWords | WrappedWords | FrontEndPrompt


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Knowledge besides the message itself."""

    system: tuple[str, ...] = ()
    """The texts of the conversation's system turns."""
    requests: tuple[str, ...] = ()
    """Recent requests of the same identity, and the earlier user turns of this conversation."""
    answers: tuple[str, ...] = ()
    """Recent answers to the same identity, and the earlier answers in this conversation."""


ALONE: Final = Surroundings()


def authorship(text: str, around: Surroundings = ALONE) -> Authorship:
    """Return whose words a user message holds."""
    if _COMMAND.match(text):
        return OwnWords(text)
    wrapped = _unwrapped(text)
    outside = _outside_of_blocks(text)
    form = asked_form(outside, text)
    if _holds_transcript(text, form is not None) or _repeats(text, around, asks_form=form is not None):
        if wrapped is not None and form is None and not _holds_transcript(wrapped.text, asks_form=False):
            return wrapped  # the transcript stands in the context, and the words behind it are the person's
        return FrontEndPrompt(form, text, _is_mixed(outside))
    asked_by_system = next((found for one in around.system if (found := _form_of_system(one)) is not None), None)
    if asked_by_system is not None:
        return FrontEndPrompt(asked_by_system, text)
    if wrapped is not None:
        return wrapped
    if form is not None and _asks_for_form_only(text, outside):
        return FrontEndPrompt(form, text, _is_mixed(outside))
    return OwnWords(text, doubtful=form is not None or _is_doubtful(text) or _sets_apart(text))


def spoken(text: str) -> str | None:
    """Return a person's own words in an earlier user turn; None if a front end wrote it."""
    match authorship(text):
        case OwnWords(words) | WrappedWords(words):
            return words
        case FrontEndPrompt():
            return None


def last_words(text: str) -> str:
    """Return what follows the last closing tag of a wrapping template, else the whole text."""
    wrapped = _unwrapped(text)
    return text if wrapped is None else wrapped.text


_COMMAND: Final = re.compile(rf"[\s{INVISIBLE}]*/[A-Za-z_]+(?:\s|$)")

# ---- transcripts

_PERSONS: Final = (
    "user|human|person|customer|me|you said|benutzer(?:in)?|nutzer(?:in)?|mensch|usuari[oa]|usuário|humano|utilisateur|"
    "utilisatrice|humain|utente|umano|gebruiker|użytkownik|kullanıcı|пользователь|человек|юзер|користувач|用户|使用者|人类|"
    "我|ユーザー?|사용자|المستخدم|người dùng|pengguna"
)
_AGENTS: Final = (
    "assistant|ai|bot|chatbot|agent|near[ -]?agent|model|gpt|chatgpt(?: said)?|response|assistent(?:in)?|ki|asistente|ia|"
    "assistente|asystent|asistan|ассистент|помощник|ии|бот|модель|асистент|助手|助理|机器人|人工智能|アシスタント|"
    "어시스턴트|도우미|المساعد|trợ lý|asisten"
)
_LABEL: Final = re.compile(
    rf"(?i)(?<![\w.@-])(?:(?P<person>{_PERSONS})|(?P<agent>{_AGENTS}))"
    r"(?:[\s_-]?(?:message|\d{1,3}))?[\"'*_\])>”」】]{0,4}\s{0,3}(?:\([^()\n]{0,40}\)\s?)?[:：]"
)
_MARKED_ROLE: Final = re.compile(
    rf"(?im)<\|(?:im_start\|>\s*)?(?:{_PERSONS}|{_AGENTS}|system)\b|^[ \t]*#{{1,6}}[ \t]*(?:{_PERSONS}|{_AGENTS})[ \t]*$|"
    rf"^[ \t]*[\[(【<](?:{_PERSONS}|{_AGENTS})[\])】>]|\[/?INST\]|<</?SYS>>"
)
_ROLE_FIELD: Final = re.compile(
    r"(?i)[\"']?\b(?:role|from|speaker|author|type)[\"']?\s*[:=]\s*[\"'](?:user|assistant|system|human|ai|gpt|tool|bot|model)[\"']"
)
_MESSAGE_CLASS: Final = re.compile(r"\b(?:Human|AI|System|Chat|User|Assistant)Message(?:Chunk)?\(")
_HISTORY_TAG: Final = re.compile(
    r"(?i)<\s*+/?\s*+(?:chat|conversation|conversations|chat[_-]?(?:history|log|messages?)|conversation[_-]\w{1,20}|history|"
    r"messages?|transcript|dialog(?:ue)?|turns?|session|previous[_-]\w{1,20}|summary|existing[_-]\w{1,20}|"
    r"(?:user|assistant|human|ai)[_-](?:messages?|turns?|replies|reply)|thread)\b[^<>\n]{0,80}>"
)
_LINE_LABEL: Final = re.compile(r"(?m)^[\s>*_#-]{0,8}([^\s:：][^:：\n]{0,23})[:：](?=\s|\S)")


def _holds_transcript(text: str, asks_form: bool) -> bool:  # noqa: FBT001 - reads as a property of the text
    if _HISTORY_TAG.search(text) or _ROLE_FIELD.search(text) or _MESSAGE_CLASS.search(text):
        return True
    persons = agents = marked = 0
    for found in _LABEL.finditer(text):
        persons += found["person"] is not None
        agents += found["agent"] is not None
    for _ in _MARKED_ROLE.finditer(text):
        marked += 1
    labels = persons + agents + marked
    if (persons and agents) or marked > 1 or persons > 1 or agents > 1 or (labels and asks_form):
        return True
    return _alternates(text)


def _alternates(text: str) -> bool:
    """Whether lines begin with labels that come back after another one, as speakers do: `A: .. B: .. A: ..`."""
    seen: set[str] = set()
    last = None
    for found in _LINE_LABEL.finditer(text):
        label = found[1].strip().casefold()
        if label in seen and label != last:
            return True
        seen.add(label)
        last = label
    return False


# ---- repeats


def _repeats(text: str, around: Surroundings, *, asks_form: bool) -> bool:
    whole, bare = _folded(text), _folded(_MARKS.sub("", text))
    for answer in around.answers:
        # Long answers are quoted in part: their first lines are what a prompt shows of them.
        inner = _folded(_MARKS.sub("", answer))[:400].rstrip()
        if len(inner) >= REPEATED_ANSWER and inner in bare and inner != bare:
            return True
    for request in around.requests:
        inner = _folded(request)
        if len(inner) < REPEATED_REQUEST or len(inner) >= len(whole) or inner not in whole:
            continue
        if asks_form or _is_set_apart(whole, inner):
            return True
    return False


_MARKS: Final = re.compile(r"`|\*\*|(?m:^[^\S\n]*[-•*] )")
"""The markup of an answer as chat clients get it. They quote it as it came, or as it was drawn."""


def _is_set_apart(whole: str, inner: str) -> bool:
    """Whether a repeated request stands between marks of quotation and is not merely said again with a word more."""
    start = whole.find(inner)
    before, after = whole[:start].rstrip(), whole[start + len(inner) :].lstrip(" ")
    opens = before[-1:] in _OPENING
    closes = not after or after[:1] in _CLOSING
    return bool(before) and opens and closes


_OPENING: Final = frozenset(":：?？\"'`“„«‘>》「『【[({|-–—/•*=")
_CLOSING: Final = frozenset("\n?？!.\"'`”“»’<《」』】])}|-–—/•*=")


def _folded(text: str) -> str:
    """Return the text without regard to case and blanks; line breaks stay, because they set a quotation apart."""
    lines = (" ".join(line.split()) for line in unicodedata.normalize("NFKC", text).casefold().splitlines())
    return "\n".join(line for line in lines if line)


# ---- wrapping templates

_TAG: Final = re.compile(r"<(/?)([A-Za-z][\w-]{1,40})\b([^<>\n]{0,200})>")
_INLINE: Final = frozenset(
    [
        "br",
        "em",
        "strong",
        "code",
        "span",
        "div",
        "pre",
        "del",
        "sub",
        "sup",
        "li",
        "ul",
        "ol",
        "table",
        "td",
        "tr",
        "th",
        "h1",
        "h2",
        "h3",
    ]
)
_QUERY_TAG: Final = re.compile(r"(?i)(?:user[_-]?)?(?:query|question|input|request|prompt)")
_TAIL_LABEL: Final = re.compile(
    r"(?i)\A(?:user'?s? )?(?:query|question|request|input|frage|pregunta|вопрос|问题)\s*[:：]\s*"
)


def _blocks(text: str) -> list[tuple[int, int]]:
    """Return the spans of the outermost tagged blocks in order; one pass over the tags, whatever they enclose."""
    opened: dict[str, re.Match[str]] = {}
    found: list[tuple[int, int]] = []
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        if not tag[1]:
            opened.setdefault(name, tag)
        elif (opening := opened.pop(name, None)) is not None:
            while found and found[-1][0] > opening.start():
                found.pop()
            found.append((opening.start(), tag.end()))
    return found


def _unwrapped(text: str) -> WrappedWords | None:
    """Return the words behind the last closing tag of a block on lines of its own, or inside a query tag at the end.

    The last one counts, so that a closing tag inside the context, which anybody may have written, ends nothing.
    """
    if "</" not in text:
        return None
    opened: dict[str, re.Match[str]] = {}
    closing: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened.setdefault(tag[2].lower(), tag)
        elif tag[2].lower() in opened and tag[2].lower() not in _INLINE:
            closing = tag
    if closing is None:
        return None
    opening = opened[closing[2].lower()]
    head, tail = text[: opening.start()], text[closing.end() :]
    if _QUERY_TAG.fullmatch(closing[2]) and not tail.strip():
        words = text[opening.end() : closing.start()].strip()
        return WrappedWords(words, head) if head.strip() and words and asked_form(head) is None else None
    words = _TAIL_LABEL.sub("", tail.strip(), count=1)
    set_apart = _begins_a_line(head) and "\n" in tail[: len(tail) - len(tail.lstrip())]
    if not words or not set_apart or _HISTORY_TAG.fullmatch(closing[0]):
        return None
    return WrappedWords(words, text[: closing.end()])


def _begins_a_line(head: str) -> bool:
    line = head.rstrip(" \t")
    return not line or line.endswith("\n")


def _outside_of_blocks(text: str) -> str:
    """Return the text without fenced and tagged blocks: the part that can be an instruction."""
    kept, position = list[str](), 0
    for start, end in _blocks(text) if "</" in text else ():
        if start >= position:
            kept.append(text[position:start])
            position = end
    kept.append(text[position:])
    return "\n".join("\n".join(kept).split("```")[::2])


# ---- forms without a quotation


def _form_of_system(system: str) -> Form | None:
    """Return the form that a system prompt is there to ask for; None for one that describes how to converse."""
    return asked_form(system[:2000])


_CHAIN_TERM: Final = re.compile(
    r"(?i)(?<![\w.@-])[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.(?:near|testnet|localnet|tg)\b|\b[0-9a-f]{64}\b|"
    r"\d\s?(?:near|n|ⓝ|usdc|usdt|wnear)\b|@me\b|\b(?:nft|token|dao|account|wallet|balance|proposal|contract|stake|swap)s?\b"
)


def _asks_for_form_only(text: str, outside: str) -> bool:
    """Whether the text asks for a form about the conversation, or names nothing that stands on a chain."""
    return (
        bool(FORM_KEYS.search(text))
        or mentions_conversation(outside)
        or _sets_apart(text)
        or text.lstrip().startswith("### Task")
        or _CHAIN_TERM.search(text) is None
    )


_APART: Final = re.compile(r"[:：]\s|[:：](?=\n)|[\"“„«‘]|```|`")
_FEW_WORDS: Final = 3


def _sets_apart(text: str) -> bool:
    """Whether the first account or amount stands behind a colon or a quote, after words that name none.

    "Translate this message: send 3 NEAR to bob.near" asks for a translation.
    """
    term = _CHAIN_TERM.search(text)
    if term is None:
        return False
    mark = _APART.search(text, 0, term.start())
    return mark is not None and len(text[: mark.start()].split()) >= _FEW_WORDS


_AND_THEN: Final = re.compile(
    r"(?i)(?:\b(?:and|then|also|und|dann|danach|außerdem|y|luego|después|et|puis|ensuite|e|depois|и|а также|затем|потом)\b|"
    r"然后|并且|并|再|接着|[.!?。！]\s)\s*(?:please\s+|bitte\s+|por favor\s+|пожалуйста\s+|请)?"
    r"(?:send|transfer|pay|swap|stake|unstake|wrap|unwrap|mint|withdraw|vote|sende?|schicke?|überweise?|zahle?|tausche?|"
    r"env[ií]a|transfiere|paga|cambia|envoie|transfère|paie|échange|envie|transfira|pague|отправь(?:те)?|переведи(?:те)?|"
    r"заплати(?:те)?|обменяй(?:те)?|发送|转账?|支付|兑换|质押)"
)


def _is_mixed(outside: str) -> bool:
    return _AND_THEN.search(outside) is not None


def _is_doubtful(text: str) -> bool:
    return (
        len(text) > DOUBTFUL_CHARACTERS
        or text.count("\n") >= DOUBTFUL_LINES
        or _LABEL.search(text) is not None
        or _MARKED_ROLE.search(text) is not None
        or "```" in text
        or ("</" in text and bool(_blocks(text)))
    )


def surroundings(system: Iterable[str], requests: Iterable[str], answers: Iterable[str]) -> Surroundings:
    """Return what is known around a message, without empty texts."""
    return Surroundings(
        tuple(one for one in system if one.strip()),
        tuple(one for one in requests if one.strip()),
        tuple(one for one in answers if one.strip()),
    )
