"""The words by which an approval card is found again in a history, as Markdown or as it was drawn."""

from typing import Final

CARD_BEGIN: Final = "Approval needed for request "
CARD_END: Final = "Nothing is sent unless it is confirmed before then."
CARD_ENDS: Final = (CARD_END, "Nothing is sent before that.")
"""With the last words of cards of earlier versions, which clients still send in their histories."""
CARD_MASK: Final = "[approval card of request "
"""The beginning of what stands for a card in a history, with the request's id and a bracket behind it."""
