"""Whether a person's words ask for a change: a question, a report or a price asks for none. Pure.

A model's plan names a change; this reads the words beside it. What asks for nothing changes nothing: such a plan becomes a
question. Words that could be either never go without a person's approval.
"""

import re
from typing import Final, Literal, TypeAlias

Asking: TypeAlias = Literal["asks", "unclear", "asks_nothing"]

_IMPERATIVES: Final = (
    # English
    r"send|transfer|pay|give|tip|move|swap|exchange|trade|convert|buy|sell|stake|unstake|withdraw|deposit|wrap|unwrap|mint|"
    r"burn|create|make|open|delete|remove|close|register|unregister|approve|revoke|vote|propose|add|call|run|execute|invoke|"
    r"increment|decrement|increase|decrease|reset|set|write|post|sign|deploy|put|take|drop|claim|donate|refund|return|submit|"
    r"top up|pull|push|forward|wire|ship|zap|gift|hand|let|do|reject|grant|generate|rotate|use|repeat|cash out|split|"
    # German
    r"sende?t?|schicke?t?|überweise?t?|zahle?t?|bezahle?|gib|tausche?|wechsle|kaufe?|verkaufe?|hebe?|zahl|wandle|erstelle?|"
    r"lösche?|registriere?|genehmige?|widerrufe?|stimme?|schlage?|füge?|rufe?|führe?|präge?|lege?|transferiere?|stake|"
    # Spanish, Portuguese, Italian
    r"env[ií][ae]r?|envíale|transfi[ea]r[ea]|transfer[ie]r?|pag[ae]r?|da(?:le|me)?|cambi[ae]r?|intercambi[ae]|compr[ae]r?|"
    r"vend[ea]r?|retir[ae]r?|deposit[ae]r?|cre[ae]r?|crie|borr[ae]|elimin[ae]r?|registr[ae]r?|aprueb[ae]|aprov[ae]r?|"
    r"revo(?:ca|que)|vot[ae]r?|prop[oó]n(?:er|ga)?|proponha|añad[ea]|agreg[ae]|adicion[ae]|llam[ae]|cham[ae]|acuñ[ae]|"
    r"mand[ae]r?|apost[ae]|manda|invia|paga|scambia|compra|vendi|crea|delega|troc[ae]r?|saqu[ea]|"
    # French
    r"envoie[sz]?|envoyer|transf[èé]re[rz]?|paie[sz]?|paye[rz]?|donne[rz]?|échange[rz]?|ach[eè]te[rz]?|vend[sz]?|retire[rz]?|"
    r"dépose[rz]?|crée[rz]?|supprime[rz]?|enregistre[rz]?|approuve[rz]?|révoque[rz]?|vote[rz]?|propose[rz]?|ajoute[rz]?|appelle[rz]?|"
    # Russian, Ukrainian
    r"отправ(?:ь|ить|ьте)|пошли(?:те)?|переведи(?:те)?|перевести|перечисли(?:те)?|заплати(?:те)?|оплати(?:те)?|дай(?:те)?|"
    r"обменяй(?:те)?|обменять|поменяй(?:те)?|купи(?:те)?|продай(?:те)?|застейкай(?:те)?|стейкни|выведи(?:те)?|вывести|внеси(?:те)?|"
    r"создай(?:те)?|создать|удали(?:те)?|зарегистрируй(?:те)?|одобри(?:те)?|отзови(?:те)?|проголосуй(?:те)?|предложи(?:те)?|"
    r"добавь(?:те)?|вызови(?:те)?|заверни(?:те)?|разверни(?:те)?|скинь(?:те)?|кинь|надішли|перекажи|"
    # Turkish, Polish, Dutch, Indonesian, Vietnamese
    r"gönder|öde|takas et|oluştur|sil|wyślij|przelej|zapłać|wymień|kup|sprzedaj|utwórz|usuń|stuur|betaal|wissel|koop|verkoop|"
    r"kirim(?:kan)?|bayar|tukar|beli|jual|gửi|chuyển|trả|đổi|mua|bán"
)
_CJK: Final = (
    r"发送|发给|发|转账|转给|转|支付|付给|付|给|打|兑换|换成|换|买|购买|卖|质押|解除质押|赎回|提取|提现|存入|铸造|创建|删除|注册|批准|撤销|投票|提议|"
    r"添加|调用|發送|轉帳|轉|送って|送金|送信|支払|交換|ステーク|作成|削除|投票して|보내|송금|지불|교환|스테이킹|만들|삭제"
)
_WORD_IMPERATIVE: Final = re.compile(rf"(?i)(?<![\w.@/-])(?:{_IMPERATIVES})(?![\w-]|\.\w)")
_CJK_IMPERATIVE: Final = re.compile(_CJK)

_SENTENCE: Final = re.compile(r"(?<=[.!?。！？;\n])\s+|(?<=[。！？])|\n+")
_QUESTION_END: Final = re.compile(r"[?？][\s\"'”»)\]]*+\Z")
_QUESTION_START: Final = re.compile(
    r"(?i)\A[\s\"'“(¿-]*(?:(?:so|and|but|ok(?:ay)?|hey|hi|hello|also|well|und|aber|y|et|а|и|ну)[\s,]+)*"
    r"(?:what(?:'s| is| are| was| would| does| did|\b)|who|whom|whose|when|where|why|which|how|is|are|was|were|am|did|does|do (?:i|you|we|they)|"
    r"has|have|had|should|shall i|may i|might|would it|will it|if\b|isn't|didn't|tell me (?:how|what|why|if|whether|when|who)|explain (?:how|what|why)|"
    r"was|wer|wann|wo|warum|welche\w?|wie(?:viel)?|ist|sind|hat|habe|hast|soll|darf|wurde|"
    r"qu[eé]|qui[eé]n|cu[aá]ndo|d[oó]nde|por qu[eé]|cu[aá]l|c[oó]mo|cu[aá]nto|es|est[aá]|ha|he|debo|quanto|quem|quando|onde|como|"
    r"que|qu'|quel\w*|qui|quand|où|pourquoi|comment|combien|est-ce|dois-je|"
    r"что|кто|когда|где|почему|какой|какая|какие|как|сколько|чем|зачем|ли\b|"
    r"为什么|什么|谁|何时|哪里|怎么|如何|多少|是否|能否告诉)"
)
_POLITE: Final = re.compile(
    r"(?i)\b(?:(?:can|could|would|will) (?:you|u|we)|can i (?:get|have) you|please|pls|plz|i (?:want|need|would like|'?d like|wanna) (?:you )?to|"
    r"i'd like to|let'?s|go ahead|kannst du|könntest du|können sie|könnten sie|bitte|ich (?:will|möchte|würde gern\w?)|"
    r"puedes|podr[ií]as|puede|por favor|quiero|quisiera|me gustaría|pode(?:ria)?|quero|gostaria|puoi|potresti|vorrei|per favore|"
    r"peux-tu|pourrais-tu|pouvez-vous|pourriez-vous|s'il (?:te|vous) pla[iî]t|je (?:veux|voudrais|souhaite)|"
    r"пожалуйста|можешь|можете|мог(?:ла)? бы|хочу|прошу|надо|нужно|lütfen|proszę)\b|请|麻烦|帮我|幫我|我想|我要|能不能|可以.{0,20}吗|ください|お願い|해주세요|해 주세요"
)
_REPORT: Final = re.compile(
    r"(?i)\b(?:sent|paid|transferred|swapped|asked|received|got|staked|moved|bought|sold|wanted|requested|offered|owes?|said|says|told|"
    r"wrote|proposed|hat|habe|wurde|gesendet|bezahlt|überwiesen|bekommen|gefragt|envi[oó]|envié|pag[oó]|pagué|recib[ií]|pidió|enviou|pagou|"
    r"a envoyé|ai envoyé|a payé|ai payé|a demandé|отправил[аи]?|заплатил[аи]?|перев[её]л[аи]?|получил[аи]?|попросил[аи]?|сказал[аи]?)\b|"
    r"发了|转了|付了|收到|已经|说过"
)
_HYPOTHETICAL: Final = re.compile(
    r"(?i)\b(?:if i|if you|if we|what if|suppose|imagine|for example|e\.g\.|would cost|hypothetical\w*|don'?t|do not|never|without sending|"
    r"wenn ich|falls ich|nicht|si (?:yo )?env[ií]o|no env[ií]es|si j'envoie|n'envoie pas|если (?:я|мы)|не (?:отправляй|переводи|надо))\b|如果|不要|别"
)


def asking(words: str) -> Asking:
    """Return whether words ask for a change.

    A sentence asks if it has an imperative of a change and is neither a question about it nor a report of it, or if it
    asks politely ("could you send ..."). Words with a question or a report and nothing that asks ask for nothing.
    """
    speaks = unsure = False
    for sentence in _SENTENCE.split(words):
        if not sentence.strip():
            continue
        question = bool(_QUESTION_END.search(sentence) or _QUESTION_START.match(sentence))
        verb = _WORD_IMPERATIVE.search(sentence) or _CJK_IMPERATIVE.search(sentence)
        if _LEAD.match(sentence) and not question:
            return "asks"  # a report or a condition can only follow: "send what he asked for", "swap it if you can"
        if question and (_LEAD.match(sentence) or _LATER_LEAD.search(sentence)):
            unsure = (
                True  # "send 5 NEAR to bob.near?", "what is my balance, then send 5 NEAR to bob.near": it may be either
            )
        elif _HYPOTHETICAL.search(sentence):
            speaks = True
        elif verb and (_POLITE.search(sentence) or not (question or _REPORT.search(sentence))):
            return "asks"
        elif question or _REPORT.search(sentence):
            speaks = True
    return "asks_nothing" if speaks and not unsure else "unclear"


_LEAD: Final = re.compile(
    rf"(?i)\A[\s\"'“(*-]*(?:(?:ok(?:ay)?|hey|hi|hello|yes|now|then|and|also|agent|bot|so|next|first|second(?:ly)?|finally)[\s,:!-]+)*(?:{_IMPERATIVES})(?![\w-]|\.\w)"
)
_LATER_LEAD: Final = re.compile(
    rf"(?i)[,;:]\s+(?:(?:and|then|please|und|dann|y|luego|et|puis|и|затем)\s+){{0,2}}(?:{_IMPERATIVES})(?![\w-]|\.\w)"
)
