"""The words of the payers' pages, in English and Brazilian Portuguese."""

from __future__ import annotations

from sandbox.texts import LANGUAGES

WORDS: dict[str, tuple[str, str]] = {
    "checkout": ("Checkout", "Pagamento"),
    "payment": ("Payment", "Pagamento"),
    "portal": ("Your subscriptions", "Suas assinaturas"),
    "onboarding": ("Set up your account", "Configure sua conta"),
    "authorize": ("Connect your account to the platform?", "Conectar sua conta à plataforma?"),
    "over": ("This page is over.", "Esta página expirou."),
    "canceled": ("You left without paying.", "Você saiu sem pagar."),
    "declined": ("Your card was declined.", "Seu cartão foi recusado."),
    "card": ("Pay by card", "Pagar com cartão"),
    "decline": ("Pay with a card that is declined", "Pagar com um cartão recusado"),
    "three_d_secure": ("Pay with a card that asks (3DS)", "Pagar com um cartão que pergunta (3DS)"),
    "pix": ("Pay with PIX", "Pagar com PIX"),
    "pay": ("Pay", "Pagar"),
    "refuse": ("Refuse", "Recusar"),
    "cancel": ("Cancel", "Cancelar"),
    "cancel_subscriptions": ("Cancel at the end of the period", "Cancelar ao fim do período"),
    "back": ("Back", "Voltar"),
    "finish": ("Finish", "Concluir"),
    "connect": ("Connect", "Conectar"),
    "deny": ("Deny", "Negar"),
    "account": ("Account", "Conta"),
}


def words_of(language: str) -> dict[str, str]:
    """Return all words in one language."""
    position = LANGUAGES.index(language)
    return {key: pair[position] for key, pair in WORDS.items()}
