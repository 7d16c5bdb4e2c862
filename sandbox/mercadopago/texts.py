"""The words of the hosted pages, in English and Brazilian Portuguese."""

from __future__ import annotations

from sandbox.texts import LANGUAGES

# key: (English, Brazilian Portuguese)
TEXTS: dict[str, tuple[str, str]] = {
    "language": ("Português", "English"),
    "pay_to": ("Payment to", "Pagamento para"),
    "total": ("Total", "Total"),
    "card": ("Pay by card", "Pagar com cartão"),
    "decline": ("Pay by a card that is declined", "Pagar com um cartão recusado"),
    "pix": ("Pay by PIX", "Pagar com PIX"),
    "account_money": ("Pay with account balance", "Pagar com saldo em conta"),
    "back": ("Go back without paying", "Voltar sem pagar"),
    "back_to_shop": ("Back to the shop", "Voltar para a loja"),
    "over": ("This checkout is no longer open.", "Este checkout não está mais disponível."),
    "unknown": ("There is nothing here.", "Não há nada aqui."),
    "status": ("Status", "Situação"),
    "copy": ("PIX copy and paste", "PIX copia e cola"),
    "scan": ("Scan with your bank's app", "Leia com o aplicativo do seu banco"),
    "bar_code": ("Bar code", "Código de barras"),
    "pay_now": ("Pay now", "Pagar agora"),
    "pay_less": ("Pay half of it", "Pagar a metade"),
    "approved": ("paid", "pago"),
    "pending": ("waiting", "aguardando"),
    "in_process": ("in review", "em análise"),
    "rejected": ("declined", "recusado"),
    "cancelled": ("canceled", "cancelado"),
    "refunded": ("refunded", "devolvido"),
    "connect_title": ("Connect your account", "Conecte sua conta"),
    "connect_lead": (
        "{name} wants to take payments in your name. Choose the account.",
        "{name} quer receber pagamentos em seu nome. Escolha a conta.",
    ),
    "deny": ("Do not allow", "Não permitir"),
    "bad_address": ("The application cannot connect to Mercado Pago", "O aplicativo não pode se conectar"),
    "subscribe_title": ("Subscription", "Assinatura"),
    "subscribe": ("Subscribe with a card", "Assinar com cartão"),
    "no_pix": ("No PIX or boleto is waiting.", "Nenhum PIX ou boleto aguardando."),
    "waiting_title": ("Payments that wait", "Pagamentos aguardando"),
    "fictitious": (
        "A stand-in for tests: no money moves here.",
        "Um substituto para testes: nenhum dinheiro se move aqui.",
    ),
}


def texts_of(language: str) -> dict[str, str]:
    """Return all texts in one language."""
    position = LANGUAGES.index(language)
    return {key: pair[position] for key, pair in TEXTS.items()}
