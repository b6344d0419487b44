"""Forms that front ends ask for beside the conversation: titles, tags, follow-up questions and the like.

`asked_form` recognizes the request by its grammar (an imperative whose direct object is such a form) in the languages that
chat front ends ship; `answer_form` answers it from the quoted words alone, in the shape that was asked for.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from agent.planning.card_words import CARD_ENDS, CARD_MASK
from contracts.knowledge.inert import inert

FormName: TypeAlias = Literal[
    "title", "tags", "follow_ups", "queries", "summary", "emoji", "memories", "completion", "label"
]


@dataclass(frozen=True, slots=True)
class Form:
    """A form that is asked for, and whether in JSON or a tag."""

    name: FormName
    key: str | None = None
    """The key of the JSON object that was asked for; None for plain text."""
    tag: str | None = None
    """The tag that shall enclose the answer."""


_NOUNS: Final[Mapping[FormName, str]] = {
    "title": (
        r"titles?|headlines?|heading|subject line|chat name|(?:name|names) for (?:this|the) (?:chat|conversation|thread)|"
        r"topic|titel|überschrift|betreff|thema|t[íi]tulo|encabezado|titre|titolo|заголов\w{1,3}|названи\w|тем[уаы]|标题|标題|標題|题目|主题|"
        r"タイトル|題名|제목|başlık|tytuł\w?|tiêu đề|judul|عنوان"
    ),
    "tags": (
        r"tags?|keywords?|labels|topics|categories|schlag(?:wörter|worte)|stichw(?:ö|o)rt\w{0,3}|etiquetas|palabras clave|"
        r"étiquettes|mots[- ]clés|palavras-chave|parole chiave|тег\w{0,2}|ключевы\w{1,2} слов\w?|метк\w|标签|標籤|关键词|タグ|태그"
    ),
    "follow_ups": (
        r"follow[- ]?ups?|follow[- ]?up (?:questions?|prompts?)|(?:suggested|next|related|further|likely next) "
        r"(?:questions?|replies|prompts|messages?)|folgefragen|anschlussfragen|(?:weitere|mögliche) fragen|"
        r"preguntas (?:de seguimiento|siguientes|relacionadas)|questions? de suivi|perguntas de (?:acompanhamento|seguimento)|"
        r"(?:уточняющи\w{1,2}|последующи\w{1,2}|следующи\w{1,2}|дополнительны\w{1,2}) вопрос\w{0,2}|后续问题|后续的?问题|追问|相关问题|推荐问题|"
        r"フォローアップ|후속 질문"
    ),
    "queries": (
        r"(?:web |internet |google )?search (?:quer(?:y|ies)|terms?|keywords?)|queries|standalone (?:question|query)|"
        r"suchanfragen?|suchbegriffe?|eigenständige frage|(?:términos|consultas?|preguntas?) (?:de búsqueda|independiente)|"
        r"requêtes? de recherche|поисков\w{2,3} запрос\w{0,2}|самостоятельн\w{2,3} вопрос|搜索(?:查询|词|关键词|语句)|检索(?:词|查询|语句)|"
        r"独立(?:的)?问题|検索クエリ|검색어"
    ),
    "summary": (
        r"summar(?:y|ies)|recap|synopsis|abstract|digest|zusammenfassung|resum(?:en|o)|résumé|riassunto|"
        r"кратк\w{2,3} (?:содержани\w|изложени\w|пересказ)|резюме|саммари|сводк\w|итог\w?|总结|摘要|概要|概述|要約|요약"
    ),
    "emoji": r"emojis?|emoticon|表情(?:符号)?|эмодзи|смайл\w{0,3}|絵文字|이모지",
    "memories": (
        r"memor(?:y|ies)|(?:relevant |key |important |personal )?(?:facts?|information|details|preferences|entities)"
        r"(?= (?:about|on|of|from) the (?:user|human|person|conversation|following))|(?:user|personal) (?:facts|preferences|profile)|"
        r"erinnerungen|fakten(?= über)|recuerdos|hechos(?= sobre)|souvenirs|воспоминани\w|факт\w{0,2}(?= (?:о|об|из)\b)|记忆|用户(?:信息|偏好|画像)|事实"
    ),
    "completion": (
        r"(?:auto)?completion|continuation|rest of (?:the|this) (?:text|sentence|message)|next words?|vervollständigung|"
        r"fortsetzung|continuación|продолжени\w|补全|续写"
    ),
    "label": r"(?:one[- ]word )?(?:classification|category|intent|sentiment|language code)|分类|意图",
}
_VERBS: Final = (
    r"generate|create|write|provide|suggest|give|make|produce|come up with|propose|return|output|(?:reply|respond|answer) with|extract|"
    r"identify|list|rewrite|rephrase|name|think of|pick|choose|compose|craft|draft|predict|formulate|find|invent|craft|assign|"
    r"determine|classify|detect|add|need|want|"
    r"erzeugen?|erstellen?|generieren?|schreiben?|formulieren?|gib|geben|nennen?|verfassen?|finden?|extrahieren?|schlagen?|"
    r"vergib|liefern?|denk|bilden?|"
    r"genera(?:r|d)?|gener[ae]|crea(?:r)?|crie|escrib[ae]|escreva|proporcion[ae]|sugier[ae]|sugira|dame|d[ae]|dê|extra[ei](?:r|a)?|"
    r"redact[ae]|prop[oó]n|proponga|elabor[ae]|pon|identific[ae]|forneça|devuelve|"
    r"génère|générez|générer|crée|créez|écris|écrivez|donne[zr]?|propose[zr]?|fournis(?:sez)?|rédige[zr]?|extrais|extrayez|trouve[zr]?|"
    r"scrivi|fornisci|suggerisci|dammi|estrai|"
    r"придумай(?:те)?|сгенерируй(?:те)?|создай(?:те)?|напиши(?:те)?|дай(?:те)?|предложи(?:те)?|составь(?:те)?|"
    r"сформулируй(?:те)?|извлеки(?:те)?|назови(?:те)?|подведи(?:те)?|выдели(?:те)?|перечисли(?:те)?|сделай(?:те)?|подбери(?:те)?|"
    r"определи(?:те)?|верни(?:те)?|ответь(?:те)?|"
    r"oluştur|yaz|napisz|wygeneruj|podaj"
)
_CJK_VERBS: Final = (
    r"生成|创建|写|提供|给出|提取|起|取|拟|想|输出|返回|列出|推荐|作成|付けて|つけて|만들|생성|建立|产生|產生|抽取|命名"
)


@dataclass(frozen=True, slots=True)
class _Grammar:
    """A verb and its object behind it, with adjectives and counts between the two.

    Verbs and objects are found apart and paired afterwards: one pattern for both would look for every object behind every
    verb, and a text of verbs alone would hold the event loop.
    """

    verbs: re.Pattern[str]
    stops: re.Pattern[str]
    """Separators that may not stand between them: a preposition, an account id, the end of a sentence."""
    objects: Mapping[FormName, re.Pattern[str]]
    """Each match is empty and has the object as its first group, so that objects may overlap."""
    reach: int
    """Characters between the two at most."""

    def asked(self, text: str) -> Iterator[tuple[int, FormName]]:
        """Yield for each form the end of the first object that a verb asks for."""
        ends = [found.end() for found in self.verbs.finditer(text)]
        if not ends:
            return
        stops = [found.start() for found in self.stops.finditer(text)]
        for name, pattern in self.objects.items():
            for found in pattern.finditer(text):
                start = found.start()
                nearest = bisect_right(ends, start)
                if nearest and start - ends[nearest - 1] <= self.reach:
                    verb_end = ends[nearest - 1]
                    if bisect_left(stops, start) == bisect_left(stops, verb_end):
                        yield found.end(1), name
                        break


_FREE_OBJECTS: Final[Mapping[FormName, re.Pattern[str]]] = {
    name: re.compile(rf"(?i)(?=({nouns}))") for name, nouns in _NOUNS.items()
}
_BOUNDED_OBJECTS: Final[Mapping[FormName, re.Pattern[str]]] = {
    name: re.compile(rf"(?i)(?<!\w)(?=((?:{nouns})(?!\w|\.\w)))") for name, nouns in _NOUNS.items()
}
_CJK_STOPS: Final = re.compile(r"[。！？\n]")
_GRAMMARS: Final = (
    _Grammar(
        re.compile(rf"(?i)(?<!\w)(?:{_VERBS})(?!\w)"),
        re.compile(r"(?i)\b(?:with|at|from|into|mit|bei|nach|con|com|avec|с)\b|[.\n!?。！？<>{}@]"),
        _BOUNDED_OBJECTS,
        reach=90,
    ),
    _Grammar(re.compile(_CJK_VERBS), _CJK_STOPS, _FREE_OBJECTS, reach=40),
    _Grammar(re.compile(r"为|給|给|把|将|對|对|根据|基于"), _CJK_STOPS, _FREE_OBJECTS, reach=60),
)
_SUMMARIZE: Final = re.compile(
    r"(?i)(?<!\w)(?:(?:summari[sz]e|condense|compact|compress|shorten|recap)(?!\w)|fasse?\b[^.\n]{0,80}\bzusammen|"
    r"zusammenfassen|resum[ei]r?\b(?! ?:)|résume[rz]?|riassumi|резюмируй(?:те)?|обобщи(?:те)?|подытожь(?:те)?|"
    r"кратко (?:изложи|опиши|перескажи)(?:те)?|сократи(?:те)?)|总结|概括|归纳|总结一下|压缩|要約して|요약해"
)
_COMPLETE: Final = re.compile(
    r"(?i)\b(?:autocomplet\w{0,6}|complete (?:the|this) (?:text|sentence|message|prompt)|continue (?:the|this) text)\b|补全|续写"
)
_EXTRACT_MEMORY: Final = re.compile(
    r"(?i)\b(?:memory|personal information) (?:manager|organizer|extractor|assistant)\b|\bremember about the user\b"
)
_CONVERSATION: Final = re.compile(
    r"(?i)(?<!\w)(?:(?:this|the|our|above|following|previous|preceding|whole|entire|chat|given)\s+(?:\w+\s+){0,2}?(?:conversation|chat|"
    r"dialog(?:ue)?|discussion|exchange|thread|session|history|transcript|messages?|text|prompt|query|question|interaction)|"
    r"conversation|transcript|chat history|chat log|user'?s? (?:message|request|question|input|query)|first message|so far|lines|"
    r"gespräch\w{0,3}|unterhaltung|konversation|dialogs?|chatverlauf\w?|verlauf\w?|nachricht(?:en)?|"
    r"conversaci[oó]n|di[aá]logo|charla|mensajes?|conversa|mensagem|conversazione|discussion|échange|"
    r"разговор\w{0,2}|диалог\w{0,2}|беседы?|беседу|переписк\w|чат\w{0,2}|сообщени\w{1,2}|"
    r"konuşma\w{0,4}|rozmow\w)(?!\w)|对话|會話|会话|聊天|消息|对话记录|以上内容|下面|以下|会話|대화"
)
_OTHERWISE_ASKED: Final[tuple[tuple[re.Pattern[str], FormName], ...]] = (
    (_COMPLETE, "completion"),
    (_EXTRACT_MEMORY, "memories"),
)

FORM_KEYS: Final = re.compile(
    r"[\"'](title|tags|follow_ups|followUps|follow_up_questions|questions|queries|query|text|emoji|summary|facts|memories|memory|keywords)"
    r"[\"']\s*:"
)
_KEYS: Final[Mapping[str, FormName]] = {
    "title": "title",
    "tags": "tags",
    "keywords": "tags",
    "follow_ups": "follow_ups",
    "followUps": "follow_ups",
    "follow_up_questions": "follow_ups",
    "questions": "follow_ups",
    "queries": "queries",
    "query": "queries",
    "text": "completion",
    "emoji": "emoji",
    "summary": "summary",
    "facts": "memories",
    "memories": "memories",
    "memory": "memories",
}
_TAGGED: Final = re.compile(r"(?i)<(title|tags|summary|name)>")


def asked_form(text: str, whole: str | None = None) -> Form | None:
    """Return the form that a text asks for, None if it asks for none. The first one asked for counts.

    `whole`: the message that the text is the instruction of, in which the shape of the answer may stand in a block.
    """
    bounded = text[:_READ_CHARACTERS]
    found = [one for grammar in _GRAMMARS for one in grammar.asked(bounded)]
    for pattern, name in _OTHERWISE_ASKED:
        asked = pattern.search(bounded)
        if asked is not None:
            found.append((asked.end(), name))
    if not found and (asked := _SUMMARIZE.search(bounded)) is not None and _CONVERSATION.search(bounded):
        found.append((asked.end(), "summary"))
    if not found:
        return None
    key = FORM_KEYS.search(whole or text)
    tag = _TAGGED.search(whole or text)
    name = min(found)[1] if key is None else _KEYS[key[1]]
    return Form(name, None if key is None else key[1], None if tag is None else tag[1].lower())


_READ_CHARACTERS: Final = 20_000
"""Instructions stand at the beginning; the quoted conversation behind them may be long."""


def mentions_conversation(text: str) -> bool:
    """Whether a text speaks of a conversation, a message or a text beside itself."""
    return _CONVERSATION.search(text[:_READ_CHARACTERS]) is not None


# ---- answers

_ACCOUNT: Final = re.compile(r"(?<![\w.@-])[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.(?:near|testnet|localnet|tg)(?![\w-])")
_TOPICS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"ft_transfer|near_transfer|transfer|send|pay|überweis|schick|env[ií]a|envoi|отправ|перевед|перевод|转|发送",
        "Transfer",
        "to",
    ),
    (r"unstake", "Unstake", "at"),
    (r"stake|staking|质押|стейк", "Stake", "with"),
    (r"swap|exchange|tausch|cambia|échang|обмен|兑换", "Token swap", "at"),
    (r"unwrap|wrap", "Wrapped NEAR", "of"),
    (r"nft", "NFT", "at"),
    (r"dao|proposal|vote", "DAO proposal", "of"),
    (r"access_key|key_add|key_delete|access key", "Access keys", "of"),
    (r"storage", "Storage deposit", "at"),
    (r"balance|kontostand|guthaben|saldo|solde|баланс|余额", "Balance", "of"),
    (r"contract", "Contract call", "of"),
    (r"tx_status|transaction", "Transaction status", "of"),
)
_PATTERNS: Final = tuple((re.compile(rf"(?i){words}"), label, joint) for words, label, joint in _TOPICS)
_FOLLOW_UPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Transfer": ("What is my balance now?", "What is the status of the last transaction?"),
    "Stake": ("How much have I staked?", "When can I withdraw unstaked funds?"),
    "Unstake": ("When can I withdraw unstaked funds?", "How much is still staked?"),
    "Token swap": ("What are my token balances?", "What would the swap back give?"),
    "Balance": ("Which tokens do I hold?", "Which access keys does my account have?"),
}
_WAITING_FOLLOW_UPS: Final = ("/cards", "/cancel all")
"""None of them approves: a suggestion is sent by one click."""
_DECIDED: Final = re.compile(r"(?i)\b(?:confirm|cancel|done\b)")
_DEFAULT_FOLLOW_UPS: Final = ("What is my balance?", "Which commands are there?")
_MAX_TITLE: Final = 60
_MAX_SUMMARY: Final = 1200


def answer_form(form: Form, quoted: str) -> str:
    """Return the answer in the form asked for, made from the quoted words without acting on any of them.

    Accounts are repeated, amounts are not: a title is no place to look one up.
    """
    value = _value(form.name, quoted)
    if form.key is not None:
        listed = form.name in {"tags", "follow_ups", "queries", "memories"} and form.key not in {"query", "memory"}
        items: str | list[str] = value if not isinstance(value, str) or not listed else [value]
        if not listed and not isinstance(items, str):
            items = ", ".join(items)
        return json.dumps({form.key: items}, ensure_ascii=False)
    text = value if isinstance(value, str) else "\n".join(value)
    return f"<{form.tag}>{text}</{form.tag}>" if form.tag is not None else text


def _value(name: FormName, quoted: str) -> str | list[str]:
    label, joint = _topic(quoted)
    account = _ACCOUNT.search(quoted)
    title = f"{label} {joint} {account[0]}" if account is not None else label
    match name:
        case "title":
            return title if len(title) <= _MAX_TITLE else label
        case "tags":
            return ["NEAR", label]
        case "follow_ups":
            return list(_WAITING_FOLLOW_UPS if _card_waits(quoted) else _FOLLOW_UPS.get(label, _DEFAULT_FOLLOW_UPS))
        case "queries" | "memories":
            return []
        case "emoji":
            return "💸" if label in {"Transfer", "Token swap"} else "💬"
        case "completion":
            return ""
        case "label":
            return label
        case "summary":
            return f"The conversation is about: {title}. What was quoted: {inert(quoted[-_MAX_SUMMARY:], _MAX_SUMMARY)}"


def _card_waits(quoted: str) -> bool:
    """Return whether the last card in the quoted conversation is not decided in it."""
    end = max(at + len(words) if (at := quoted.rfind(words)) >= 0 else -1 for words in (*CARD_ENDS, CARD_MASK))
    return end >= 0 and _DECIDED.search(quoted, end) is None


def _topic(quoted: str) -> tuple[str, str]:
    """Return the label of the action that is spoken of first, and the preposition before its account."""
    found = [(at.start(), label, joint) for pattern, label, joint in _PATTERNS if (at := pattern.search(quoted))]
    return min(found)[1:] if found else ("NEAR conversation", "with")
